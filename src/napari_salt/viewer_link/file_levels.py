"""Levels of a pyramid that another reader has left in the file: napari's own shows the finest of a TIFF alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_salt.errors import NapariSaltError
from napari_salt.io.opening import open_path

if TYPE_CHECKING:
    from napari.layers import Image

SUFFIXES = (".tif", ".tiff")
"""Files that another reader opens and that may hold a pyramid."""

_SEEN = 64
"""Rows and columns that are looked at to know an array again."""

_known: WeakKeyDictionary[Image, tuple[Any, tuple[Any, ...]]] = WeakKeyDictionary()
"""The array that an image showed when its file was looked at, and the levels found."""


def levels_of(image: Image) -> tuple[Any, ...]:
    """The arrays of all levels of an image, the finest first; one array where there is no pyramid.

    Where the layer has one level, those are taken that its file has, if the finest holds what the layer shows: what
    was made of an image since it was opened has no coarser levels.
    """
    if image.multiscale:
        return tuple(image.data)
    data, found = _known.get(image, (None, ()))
    if data is not image.data:
        found = (image.data, *_coarser_in_file(image))
        _known[image] = image.data, found
    return found


def _coarser_in_file(image: Image) -> tuple[Any, ...]:
    path = image.source.path
    if not isinstance(path, str) or not path.lower().endswith(SUFFIXES):
        return ()
    if not Path(path).is_file():
        return ()
    try:
        finest, *coarser = open_path(path).pyramid or (image.data,)
        alike = coarser and _alike(finest, image.data, rgb=image.rgb)
    except (NapariSaltError, OSError):
        return ()  # the layer is as good as before
    return tuple(coarser) if alike else ()


def _alike(one: Any, other: Any, *, rgb: bool) -> bool:
    """Whether two arrays have the same shape and type, and the same pixels in the middle."""
    first, second = np.dtype(one.dtype), np.dtype(other.dtype)
    same_type = (first.kind, first.itemsize) == (second.kind, second.itemsize)
    if tuple(one.shape) != tuple(other.shape) or not same_type:
        return False
    planes = len(one.shape) - (3 if rgb else 2)
    where = tuple(
        slice(length // 2, length // 2 + (1 if axis < planes else _SEEN))
        for axis, length in enumerate(one.shape)
    )
    seen = np.asarray(one[where]), np.asarray(other[where])
    return np.array_equal(*seen, equal_nan=first.kind == "f")
