"""Affines of stacks: from voxel numbers (slice, row, column) to millimetres in RAS+."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_salt.io.units import PIXEL, convert, normalise_unit
from napari_salt.records import Affine

if TYPE_CHECKING:
    from napari_salt.records import StackInfo

_AXES = ("slices", "rows", "columns")
_SAME_AXIS, _SAME_DIRECTION = np.cos(np.deg2rad((45, 1)))
_SAME_SIZE, _SAME_START = 0.01, 0.5
"""Part of the size of a voxel by which sizes, and first voxels, may differ; what is less comes of rounding."""

_SHORTEST, _FLAT = 1e-12, 1e-6
"""Millimetres, and the volume of a voxel by the product of its edges, below which there is none."""

NO_PLACE = np.eye(4)[:, [2, 1, 0, 3]]
"""What whoever saves a bare array as NIfTI says of its place: the identity."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM counts x to the left and y to the back, NIfTI x to the right and y to the front."""


def as_affine(matrix: ArrayLike) -> Affine:
    """A 4 × 4 matrix as plain numbers."""
    rows = np.asarray(matrix, np.float64)
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in rows)


def usable(matrix: NDArray[np.float64]) -> Affine | None:
    """A 4 × 4 matrix as plain numbers; None where it places nothing: with steps of no length, or along one line."""
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (np.isfinite(matrix).all() and (lengths > _SHORTEST).all()):
        return None
    flat = abs(np.linalg.det(matrix[:3, :3] / lengths)) < _FLAT
    return None if flat else as_affine(matrix)


def from_columns(
    slices: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    first: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The matrix whose steps along slices, rows and columns are these vectors ``(3,)``, from ``first``."""
    matrix = np.eye(4)
    matrix[:3] = np.stack([slices, rows, columns, first], axis=1)
    return matrix


@dataclass(frozen=True)
class Apart:
    """How one stack lies elsewhere in the world than another of the same shape; empty for nothing that matters.

    Attributes
    ----------
    mirrored, turned
        Those of slices, rows and columns that run the opposite way, or along another axis.
    moved
        What else differs, in words: ``"voxel size"``, ``"tilt"``, ``"first voxel"``, or that only one is placed at all.
    """

    mirrored: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


def apart(one: StackInfo, other: StackInfo) -> Apart:
    """How ``one`` lies apart from ``other``; where either does not say where it lies, only sizes can differ.

    Of an axis with one voxel only its direction tells nothing. Of two OME-Zarr, which have no directions, translations
    are compared.
    """
    sized = ("voxel size",) if _sized_apart(one, other) else ()
    if one.origin.format == other.origin.format == "ome-zarr":
        return Apart(moved=(*sized, "first voxel") if _translated(one, other) else sized)
    places = [
        np.array(info.origin.affine)
        for info in (one, other)
        if info.origin.affine is not None and info.origin.placed
    ]
    sizes = [np.linalg.norm(place[:3, :3], axis=0) for place in places]
    if len(places) < 2 or not all(np.isfinite(a).all() for a in places) or not np.all(sizes):
        return Apart(moved=sized)
    if sum(np.array_equal(place, NO_PLACE) for place in places) == 1:
        return Apart(moved=("their affine, which only one of them has set",))
    axes = [place[:3, :3] / size for place, size in zip(places, sizes, strict=True)]
    along = dict(zip(_AXES, (axes[0] * axes[1]).sum(0), strict=True))
    told = {name: along[name] for name, length in zip(_AXES, one.shape, strict=True) if length > 1}
    shift = axes[1].T @ (places[0] - places[1])[:3, 3] / sizes[1]
    moved = {
        "voxel size": bool((np.abs(sizes[0] / sizes[1] - 1) > _SAME_SIZE).any()),
        "tilt": any(cosine < _SAME_DIRECTION for cosine in told.values()),
        "first voxel": bool((np.abs(shift) > _SAME_START).any()),
    }
    return Apart(
        tuple(name for name, cosine in told.items() if cosine <= -_SAME_AXIS),
        tuple(name for name, cosine in told.items() if abs(cosine) < _SAME_AXIS),
        tuple(name for name, differs in moved.items() if differs),
    )


def _sized_apart(one: StackInfo, other: StackInfo) -> bool:
    """Whether voxels differ along an axis of which both know the size in units that measure the same."""
    axes = zip(one.spacing, one.units, other.spacing, other.units, strict=True)
    for here, unit, there, as_unit in axes:
        size = convert(here, unit, as_unit)
        if size is None or normalise_unit(unit) == PIXEL:
            continue
        if abs(size / there - 1) > _SAME_SIZE:
            return True
    return False


def _translated(one: StackInfo, other: StackInfo) -> bool:
    """Whether translations differ by half a voxel or more along an axis whose units measure the same."""
    axes = zip(
        one.origin.offset, one.units, other.origin.offset, other.units, other.spacing, strict=True
    )
    for here, unit, there, as_unit, size in axes:
        place = convert(here, unit, as_unit)
        if place is not None and abs(place - there) > _SAME_START * size:
            return True
    return False
