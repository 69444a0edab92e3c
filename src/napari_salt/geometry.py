"""Axes of an image against axes of its stack: numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class StackGeometry:
    """Which axes of an ``ndim``-dimensional image make the stack ``(N, Y, X)``.

    ``slice_axis`` counts the slices, ``fixed`` holds the index of every other axis that the stack
    does not span; the two axes that remain, in their order, are Y and X. A two-dimensional image
    is a stack of one.
    """

    ndim: int
    slice_axis: int = 0
    fixed: dict[int, int] = field(default_factory=dict)

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

    def offset(self) -> NDArray[np.float64]:
        """Place of the layer's first element in the image, one number for each axis."""
        start = np.zeros(self.ndim)
        for axis, index in self.fixed.items():
            start[axis] = index
        return start


@dataclass(frozen=True)
class Place:
    """Where work happens: an image (by key) and the axes of its stack."""

    key: str
    geometry: StackGeometry

    @property
    def name(self) -> str:
        """Identifies the place in layer metadata."""
        fixed = ",".join(f"{axis}={index}" for axis, index in sorted(self.geometry.fixed.items()))
        return f"{self.key}/{self.geometry.slice_axis}/{fixed}"
