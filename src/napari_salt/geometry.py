"""Axes of an image against axes of its stack: numbers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import Origin

_SHORT = {
    "meter": "m",
    "centimeter": "cm",
    "millimeter": "mm",
    "micrometer": "um",
    "nanometer": "nm",
    "angstrom": "A",
    "second": "s",
    "millisecond": "ms",
    "minute": "min",
    "hour": "h",
}


def unit_name(unit: object) -> str:
    """Short name of a unit: ``millimeter`` becomes ``mm``; unknown ones are kept as they are."""
    text = str(unit)
    return _SHORT.get(text, text)


def cosines_between(edges: NDArray[np.float64]) -> tuple[float, float, float]:
    """Cosines of the angles between (slices and rows, slices and columns, rows and columns).

    ``edges`` ``(D, 3)`` has the steps of a voxel along these in its columns; 0 for one that has no length.
    """
    lengths = np.linalg.norm(edges, axis=0)
    if not np.isfinite(lengths).all():
        return (0.0, 0.0, 0.0)
    units = edges / np.where(lengths > 0, lengths, 1.0)
    (_, one, two), (_, _, three), _ = (units.T @ units).tolist()
    return one, two, three


def part_filled(origin: Origin, axes: int = 3) -> float:
    """Volume of a voxel by the product of its edges; with ``axes`` 2 area of a pixel; below 1 where they are askew.

    Its square is the determinant of Gram's matrix of unit vectors along the edges.
    """
    cosines = origin.cosines
    if cosines is None:
        edges = np.array(np.eye(4) if origin.affine is None else origin.affine, np.float64)
        cosines = cosines_between(edges[:3, :3])
    one, two, three = cosines
    gram = np.array([[1, one, two], [one, 1, three], [two, three, 1]])[3 - axes :, 3 - axes :]
    return round(float(np.sqrt(max(np.linalg.det(gram), 0.0))), 6) or 1.0


@dataclass(frozen=True)
class StackGeometry:
    """Which axes of an ``ndim``-dimensional image make the stack ``(N, Y, X)``.

    ``slice_axis`` counts the slices, ``fixed`` holds the index of every other axis that the stack
    does not span; the two axes that remain, in their order, are Y and X. A two-dimensional image
    is a stack of one.

    A stack of a coarser level of a pyramid lies on the finest, which is the image: ``steps`` says
    for each axis how many voxels of the image go into one of the level; empty for one everywhere.
    """

    ndim: int
    slice_axis: int = 0
    fixed: dict[int, int] = field(default_factory=dict)
    steps: tuple[float, ...] = ()

    @property
    def plane_axes(self) -> tuple[int, ...]:
        """The image's axes that are Y and X."""
        if self.ndim == 2:
            return (0, 1)
        taken = {self.slice_axis, *self.fixed}
        return tuple(axis for axis in range(self.ndim) if axis not in taken)

    @property
    def stack_axes(self) -> tuple[int, ...]:
        """The image's axes that are N, Y and X; only (Y, X) for a two-dimensional image."""
        return self.plane_axes if self.ndim == 2 else (self.slice_axis, *self.plane_axes)

    def as_layer(self, array: NDArray[Any]) -> NDArray[Any]:
        """View of ``(N, Y, X)`` along the image's axes, length 1 along the fixed ones."""
        if self.ndim == 2:
            plane: NDArray[Any] = array[0]
            return plane
        axes = self.stack_axes
        ordered = array.transpose(np.argsort(axes))
        return np.expand_dims(ordered, tuple(sorted(self.fixed)))

    def step(self, axis: int) -> float:
        """How many voxels of the image go into one of the stack's level along an axis."""
        return self.steps[axis] if self.steps else 1.0

    def sizes(self) -> NDArray[np.float64]:
        """Size of an element of the layer in voxels of the image, one number for each axis."""
        return np.array([1.0 if a in self.fixed else self.step(a) for a in range(self.ndim)])

    def offset(self, start: Mapping[int, int] | None = None) -> NDArray[np.float64]:
        """Middle of an element of the layer in the image, one number for each axis.

        ``start`` is its index along the axes of the stack, 0 where left out.
        """
        first = np.array([float((start or {}).get(axis, 0)) for axis in range(self.ndim)])
        sizes = self.sizes()
        place: NDArray[np.float64] = first * sizes + (sizes - 1) / 2
        for axis, index in self.fixed.items():
            place[axis] = index
        return place

    def at_slice(self, index: int) -> dict[int, int]:
        """Slice ``index`` as a start for ``offset``; a plane has no other place than its own."""
        return {} if self.ndim == 2 else {self.slice_axis: index}

    def on_level(self, axis: int, place: float) -> int:
        """Index on the stack's level of the voxel that a place along an axis of the image lies in."""
        return floor((place + 0.5) / self.step(axis))

    def fixed_on_level(self) -> dict[int, int]:
        """``fixed`` counted on the stack's level."""
        return {axis: self.on_level(axis, index) for axis, index in self.fixed.items()}


def level_steps(coarse: tuple[int, ...], fine: tuple[int, ...]) -> tuple[float, ...]:
    """How many voxels of the ``fine`` level go into one of the ``coarse``, along each axis of these shapes.

    A whole number where one fits, as both levels begin at the same edge and writers drop or fill up less than one
    coarse voxel at the end.
    """
    return tuple(_step(few, many) for few, many in zip(coarse, fine, strict=True))


def _step(few: int, many: int) -> float:
    whole = max(round(many / few), 1)
    return float(whole) if abs(few * whole - many) < whole else many / few


def shown(few: int, many: int, step: float) -> NDArray[np.intp]:
    """For each of ``many`` places along an axis, the one of ``few`` coarse places that its middle lies in.

    ``step`` is how many places go into a coarse one; taken as ``many / few`` where it cannot be so.
    """
    places = ((np.arange(many) + 0.5) / _fitting(few, many, step)).astype(np.intp)
    return np.minimum(places, few - 1)


def middles(few: int, many: int, step: float) -> NDArray[np.intp]:
    """For each of ``few`` coarse places along an axis, the one of ``many`` in its middle; otherwise as ``shown``."""
    places = ((np.arange(few) + 0.5) * _fitting(few, many, step)).astype(np.intp)
    return np.minimum(places, many - 1)


def _fitting(few: int, many: int, step: float) -> float:
    # Writers drop or fill up less than one coarse place at the end.
    return many / few if few == many or abs(few * step - many) >= step else step


@dataclass(frozen=True)
class Place:
    """Where work happens: an image (by key), the axes of its stack, and the level of a pyramid (0 is the finest)."""

    key: str
    geometry: StackGeometry
    level: int = 0

    @property
    def name(self) -> str:
        """Identifies the place in layer metadata."""
        fixed = ",".join(f"{axis}={index}" for axis, index in sorted(self.geometry.fixed.items()))
        level = f"/level {self.level}" if self.level else ""
        return f"{self.key}/{self.geometry.slice_axis}/{fixed}{level}"
