"""HDF5 in: one dataset of a file, lazily, with the axes that ilastik and others write beside it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_salt.errors import Choice, ChoiceNeeded, InputError
from napari_salt.io.damage import one_line
from napari_salt.io.guarded import GuardedArray
from napari_salt.io.opened import Opened, distinct_axes
from napari_salt.io.probe import check_survives
from napari_salt.optional import need
from napari_salt.records import Origin

SEPARATOR = "::"
"""Stands between the file and the dataset in it: ``cells.h5::/volumes/raw``."""

SUFFIXES = (".h5", ".hdf5", ".hdf")
_MOST_AXES = 5


def split_dataset(path: str) -> tuple[Path, str | None]:
    """File and dataset of ``file.h5::/dataset``; no dataset where none is named, as by a file called ``a::b.tif``."""
    if SEPARATOR in path and os.path.exists(path):
        return Path(path), None
    file, separator, dataset = path.partition(SEPARATOR)
    return Path(file), dataset or None if separator else None


def open_hdf5(path: Path, dataset: str | None = None) -> Opened:
    """Open a dataset; without a name, the only one in the file that can be an image.

    Axes are those of the attribute ``axistags`` (ilastik) or of the dimension labels, else (Z, Y, X); sizes
    those of ``element_size_um`` (ilastik, Fiji), in micrometres. The file stays open as long as the pixels
    are in use. ``Origin.path`` names the file and the dataset. A child process tries the file first (`probe`).

    Raises
    ------
    ChoiceNeeded
        When several datasets can be an image, and none is named.
    InputError
        When the file is no HDF5, is cut short, has no such dataset, or does a process harm that reads it.
    MissingExtra
        Without h5py.
    """
    h5py = need("h5py", "hdf5", "Reading HDF5")
    check_survives(open_hdf5, path, dataset)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read as HDF5 ({one_line(error)}); it may be damaged or cut short, so copy "
            "it again."
        ) from error
    found = _chosen(h5py, file, path, dataset)
    axes = _axes(found)
    return Opened(
        GuardedArray(found, f"{path.name}{SEPARATOR}{found.name}"),
        axes,
        f"{path.stem} {found.name.strip('/')}",
        *_sizes(found, axes),
        origin=Origin(f"{path.absolute()}{SEPARATOR}{found.name}", "hdf5"),
    )


def _chosen(h5py: Any, file: Any, path: Path, name: str | None) -> Any:
    """The dataset named, or the only one that can be an image."""
    images: list[Any] = []

    def look(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and _is_image(item):
            images.append(item)

    file.visititems(look)
    listed = "; ".join(f"{one.name} ({_described(one)})" for one in images)
    if name is not None:
        found = file.get(name)
        inside = isinstance(found, h5py.Dataset) and found.file.filename == file.filename
        if not inside or not _is_image(found):
            raise InputError(
                f"{path.name} has no image “{name}”; it holds: {listed or 'no image at all'}."
            )
        return found
    if not images:
        raise InputError(f"{path.name} holds no image (numbers along two to five axes).")
    if len(images) > 1:
        raise ChoiceNeeded(
            f"{path.name} holds {len(images)} images: {listed}. Choose one as "
            f"{path.name}{SEPARATOR}{images[0].name}.",
            [
                Choice(f"{one.name} ({_described(one)})", f"{path}{SEPARATOR}{one.name}")
                for one in images
            ],
        )
    return images[0]


def _is_image(dataset: Any) -> bool:
    if _leads_elsewhere(dataset):
        return False
    lengths = dataset.shape or ()
    long = sum(length > 1 for length in lengths)
    return dataset.dtype.kind in "buif" and long >= 2 and len(lengths) <= _MOST_AXES


def _leads_elsewhere(dataset: Any) -> bool:
    """Whether its pixels are those of any other file on this machine, as bytes or as a dataset there."""
    if dataset.external:
        return True
    return dataset.is_virtual and any(one.file_name != "." for one in dataset.virtual_sources())


def _described(dataset: Any) -> str:
    return f"{' × '.join(map(str, dataset.shape))}, {dataset.dtype.name}"


def _axes(dataset: Any) -> str:
    """A letter for each axis."""
    ndim = dataset.ndim
    named = _axistags(dataset.attrs.get("axistags")) or "".join(
        label.strip()[:1].upper() or "Q" for label in _labels(dataset)
    )
    if len(named) != ndim or not {"X", "Y"} <= set(named):
        named = "Q" * (ndim - 2) + "YX"
    return distinct_axes(named, dataset.shape, dataset.dtype)


def _labels(dataset: Any) -> list[str]:
    """Labels of the dimensions; not by HDF5's own call for them, which trusts the attribute's type and may crash."""
    found = np.ravel(dataset.attrs.get("DIMENSION_LABELS", ()))
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in found]


def _axistags(text: Any) -> str:
    """Letters of vigra's axis tags, written as JSON; empty where there are none."""
    try:
        tags = json.loads(text.decode() if isinstance(text, bytes) else text)["axes"]
        return "".join(str(tag["key"])[:1].upper() for tag in tags)
    except (TypeError, ValueError, KeyError, AttributeError):
        return ""


def _sizes(dataset: Any, axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Size and unit by letter; the attribute has one number for each axis in space."""
    space = [letter for letter in axes if letter in "ZYX"]
    values = np.ravel(dataset.attrs.get("element_size_um", ()))
    if len(values) == 3 and len(space) == 2:
        values = values[1:]
    usable = len(values) == len(space) and values.dtype.kind in "iuf"
    if not usable or not all(math.isfinite(value) and value > 0 for value in values):
        return {}, {}
    return (
        {letter: float(value) for letter, value in zip(space, values, strict=True)},
        dict.fromkeys(space, "um"),
    )
