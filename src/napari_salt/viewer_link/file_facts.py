"""What another reader has left in a TIFF: napari's own shows the finest level of a pyramid alone, and takes every voxel
for one pixel wide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_salt.errors import NapariSaltError
from napari_salt.geometry import unit_name
from napari_salt.io.opening import Wanted, open_path
from napari_salt.io.tiff_read import SUFFIXES
from napari_salt.io.units import PIXEL, is_known

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_salt.io.opened import Opened

_SEEN = 64
"""Rows and columns that are looked at to know an array again."""


@dataclass(frozen=True)
class VoxelSize:
    """Lengths and units along the axes of an image layer, in their order."""

    lengths: tuple[float, ...]
    units: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Facts:
    coarser: tuple[Any, ...] = ()
    """Arrays of the coarser levels, finest first."""
    size: VoxelSize | None = None


_NOTHING = _Facts()
_known: WeakKeyDictionary[Image, tuple[Any, _Facts]] = WeakKeyDictionary()
"""The array that an image showed when its file was looked at, and what was found."""


def levels_of(image: Image) -> tuple[Any, ...]:
    """The arrays of all levels of an image, the finest first; one array where there is no pyramid.

    Where the layer has one level, those are taken that its file has, if the finest holds what the layer shows: what
    was made of an image since it was opened has no coarser levels.
    """
    if image.multiscale:
        return tuple(image.data)
    return (image.data, *_facts(image).coarser)


def size_in_file(image: Image) -> VoxelSize | None:
    """Size of a voxel by the file, where the layer says one pixel all along and still shows what is in the file."""
    if image.multiscale or any(scale != 1 for scale in image.scale):
        return None
    if any(unit_name(unit) != PIXEL for unit in image.units):
        return None
    return _facts(image).size


def _facts(image: Image) -> _Facts:
    data, found = _known.get(image, (None, _NOTHING))
    if data is not image.data:
        found = _look(image)
        _known[image] = image.data, found
    return found


def _look(image: Image) -> _Facts:
    path = image.source.path
    if not isinstance(path, str) or not path.lower().endswith(SUFFIXES):
        return _NOTHING
    if not Path(path).is_file():
        return _NOTHING
    try:
        # The layer holds its pixels, so whatever unpacks them has done so in this process.
        opened = open_path(path, Wanted(survived=True))
        size, coarser = _size(opened, image.ndim), opened.pyramid[1:]
        if (size or coarser) and _alike(opened.data, image.data, rgb=image.rgb):
            return _Facts(coarser, size)
    except (NapariSaltError, OSError):
        pass  # the layer is as good as before
    return _NOTHING


def _size(opened: Opened, ndim: int) -> VoxelSize | None:
    """What a file says of ``ndim`` axes, pixels where it gives no length; None where that is nothing napari shows."""
    axes = opened.axes[:ndim]
    lengths = tuple(opened.sizes.get(letter, 1.0) for letter in axes)
    units = tuple(opened.units.get(x, PIXEL) if x in opened.sizes else PIXEL for x in axes)
    told = any(length != 1 for length in lengths) or any(unit != PIXEL for unit in units)
    fine = all(np.isfinite(lengths)) and min(lengths) > 0 and all(map(is_known, units))
    return VoxelSize(lengths, units) if told and fine else None


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
