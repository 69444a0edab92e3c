"""Where the voxels of a stack lie in the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.units import PIXEL, convert, is_time, normalise_unit
from napari_salt.io.world import from_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import StackInfo

_SAME_SIZE = 1e-3
"""Voxel sizes that differ by less (relative) are the same: files round them."""


def affine_of(info: StackInfo) -> NDArray[np.float64]:
    """``(4, 4)``: (slice, row, column, 1) to (x, y, z, 1) in millimetres, RAS+.

    The origin's affine where there is one, with the voxel size that ``info`` has now. Else sizes and offset, with
    columns running to the left, rows to the back and slices up: what ITK, 3D Slicer and ITK-SNAP take a plain TIFF
    or PNG for, so that masks lie on the image there.

    Raises
    ------
    InputError
        When one axis has a size and another has none that can be turned into millimetres.
    """
    sizes = millimetres(info)
    if info.origin.affine is None:
        # Slices in time have no size here, and lie nowhere.
        lengths = sizes if not is_time(info.units[0]) else sizes * (0.0, 1.0, 1.0)
        return _by_size(sizes, np.array(info.origin.offset) / info.spacing * lengths)
    affine = np.array(info.origin.affine, np.float64)
    known = np.linalg.norm(affine[:3, :3], axis=0)
    if normalise_unit(info.units[2]) != PIXEL and not np.allclose(known, sizes, rtol=_SAME_SIZE):
        affine[:3, :3] *= sizes / np.where(known > 0, known, 1.0)
    return affine


def millimetres(info: StackInfo) -> NDArray[np.float64]:
    """Voxel size ``(3,)`` along (slices, rows, columns); a pixel without a unit counts as one millimetre.

    Raises
    ------
    InputError
        When rows or columns are measured in something that is no length.
    """
    sizes = np.ones(3)
    lengths = [
        convert(size, unit, "mm") for size, unit in zip(info.spacing, info.units, strict=True)
    ]
    for axis, length in enumerate(lengths):
        if length is not None:
            sizes[axis] = length
        elif normalise_unit(info.units[axis]) == PIXEL:
            sizes[axis] = info.spacing[axis]
        elif axis > 0:
            raise InputError(
                f"Pixels are measured in {info.units[axis]}, which is no length; set the unit of the "
                "image to mm or um."
            )
    return sizes


def _by_size(sizes: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxels of these ``sizes`` from the middle of the ``first``, both ``(3,)`` along (slices, rows, columns)."""
    along, down, across = np.diag(sizes * (1.0, -1.0, -1.0))
    return from_columns(along[::-1], down[::-1], across[::-1], (first * (1.0, -1.0, -1.0))[::-1])
