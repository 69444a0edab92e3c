"""Packages that only some formats or machines need: imported when needed, missed with a sentence."""

from __future__ import annotations

import importlib
from types import ModuleType

from napari_salt.errors import MissingExtra


def need(module: str, extra: str, what: str) -> ModuleType:
    """Import ``module``; ``extra`` is the extra of napari-salt that brings it, ``what`` what is to be done.

    ``need("pydicom", "dicom", "Reading DICOM")``.

    Raises
    ------
    MissingExtra
        When it is not installed; the sentence says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f'{what} needs one more package; install it with: pip install "napari-salt[{extra}]".'
        ) from error
