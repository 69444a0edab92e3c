"""Single planes, from wherever they come and of whatever size, as one stack that is read lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.planewise import PlanewiseArray


@dataclass(frozen=True, eq=False)
class SinglePlane:
    """One plane, known by its header; ``read`` gives ``(Y, X)`` grey or ``(Y, X, 3)`` colour."""

    name: str
    size: tuple[int, int]
    """Rows and columns."""
    color: bool
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


class PlaneStack(PlanewiseArray):
    """``(N, Y, X)`` or, in colour, ``(N, Y, X, 3)`` over single planes; only one is kept in memory.

    A plane smaller than the largest lies at the top left, with zeros below and to the right of it.

    Parameters
    ----------
    planes
        At least one; all grey or all in colour, and of one pixel type.

    Raises
    ------
    InputError
        When there is none, or they differ in more than size.
    """

    def __init__(self, planes: Sequence[SinglePlane]) -> None:
        if not planes:
            raise InputError("There is no image to stack; choose a folder that holds some.")
        first = planes[0]
        for other in planes[1:]:
            _check_alike(first, other)
        self._planes = tuple(planes)
        self._last: tuple[int, NDArray[Any]] | None = None
        rows, columns = (max(plane.size[axis] for plane in planes) for axis in (0, 1))
        inner = (rows, columns, 3) if first.color else (rows, columns)
        super().__init__((len(planes), *inner), first.dtype.newbyteorder("="), 1)

    @property
    def rgb(self) -> bool:
        """Whether the planes are in colour."""
        return self._planes[0].color

    @property
    def planes(self) -> tuple[SinglePlane, ...]:
        """What the stack is made of, in order."""
        return self._planes

    @property
    def names(self) -> tuple[str, ...]:
        """What each slice shows: a file name, and its own size where it was padded."""
        whole = self.shape[1:3]
        return tuple(
            plane.name
            if plane.size == whole
            else f"{plane.name} ({plane.size[0]} × {plane.size[1]}, padded)"
            for plane in self._planes
        )

    @property
    def padded(self) -> int:
        """How many planes are smaller than the stack's."""
        return sum(plane.size != self.shape[1:3] for plane in self._planes)

    @property
    def note(self) -> str:
        """A sentence that says what was padded; empty where nothing was."""
        if not self.padded:
            return ""
        rows, columns = self.shape[1:3]
        return (
            f"The images differ in size: {self.padded} of {len(self)} were padded below and at the "
            f"right to {rows} × {columns}."
        )

    def _page(self, at: int) -> NDArray[Any]:
        # Several threads may read; each takes or leaves a whole pair.
        last = self._last
        if last is not None and last[0] == at:
            return last[1]
        page = self._padded(self._planes[at])
        page.flags.writeable = False
        self._last = (at, page)
        return page

    def _padded(self, plane: SinglePlane) -> NDArray[Any]:
        pixels = plane.read()
        if pixels.shape[:2] != plane.size or (pixels.ndim == 3) != plane.color:
            raise InputError(f"{plane.name} has changed since it was opened; open it again.")
        page = np.zeros(self.shape[1:], self.dtype)
        page[: plane.size[0], : plane.size[1]] = pixels[..., :3] if plane.color else pixels
        return page


def _check_alike(first: SinglePlane, other: SinglePlane) -> None:
    if first.color != other.color:
        grey, color = (other, first) if first.color else (first, other)
        raise InputError(
            f"{grey.name} is grey but {color.name} is in colour, so they make no stack; keep grey "
            "and colour images apart."
        )
    if first.dtype.newbyteorder("=") != other.dtype.newbyteorder("="):
        raise InputError(
            f"{first.name} has pixels of type {first.dtype.name}, {other.name} of type "
            f"{other.dtype.name}, so they make no stack; save all images in one type."
        )
