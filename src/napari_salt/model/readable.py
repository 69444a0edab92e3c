"""Slices that cannot be read: a page that was cut off, a chunk that is missing.

Adapt and Segment look at more slices than they are asked for: some for intensities and noise, those beside a slice. One
that cannot be read must not stop them; one that they are asked for is another matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_salt.errors import UnreadableSlice
from napari_salt.regions import with_regions

if TYPE_CHECKING:
    from napari_salt.records import Planes, StackInfo


class ReadablePlanes:
    """Planes in which a slice nearby stands for one that cannot be read.

    Parameters
    ----------
    planes
        The stack as it is.
    asked
        Slices that nothing may stand for: they raise ``UnreadableSlice``.
    """

    def __init__(self, planes: Planes, asked: Iterable[int] = ()) -> None:
        self._planes, self._asked = with_regions(planes), set(asked)
        self._unreadable: dict[int, UnreadableSlice] = {}

    @property
    def info(self) -> StackInfo:
        """Geometry of the stack."""
        return self._planes.info

    @property
    def unreadable(self) -> tuple[int, ...]:
        """Slices that could not be read so far; rising."""
        return tuple(sorted(self._unreadable))

    def check(self, slices: Iterable[int]) -> None:
        """``UnreadableSlice`` where most of these ``slices``, which were looked at, could not be read."""
        looked_at = list(slices)
        failed = [self._unreadable[index] for index in looked_at if index in self._unreadable]
        if 2 * len(failed) > len(looked_at):
            raise failed[0]

    def leave_out(self, index: int) -> None:
        """Do not ask for a slice any more."""
        self._asked.discard(index)

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)``, or that of one nearby."""
        return self._read(index, self._planes.plane)

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of slice ``index``, or that of one nearby."""
        return self._read(index, lambda at: self._planes.region(at, rows, columns))

    def _read(self, index: int, read: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
        problem: UnreadableSlice | None = None
        for at in self._instead_of(index):
            if at in self._unreadable:
                problem = problem or self._unreadable[at]
                continue
            try:
                return read(at)
            except UnreadableSlice as error:
                problem = problem or error
                self._unreadable[at] = error
        assert problem is not None  # the slice itself was tried
        raise problem

    def _instead_of(self, index: int) -> Iterator[int]:
        """A slice, then, unless it is asked for, others farther and farther away: a whole run of pages may be gone."""
        yield index
        count, away = self.info.shape[0], 1
        while index not in self._asked and away < count:
            yield from (at for at in (index - away, index + away) if 0 <= at < count)
            away *= 2


def readable(planes: Planes) -> ReadablePlanes:
    """``planes`` with nothing asked for, or as they are where they look past what cannot be read already."""
    return planes if isinstance(planes, ReadablePlanes) else ReadablePlanes(planes)
