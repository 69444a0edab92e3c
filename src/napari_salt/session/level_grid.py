"""Paint on the grid of another level of a pyramid: nearest neighbours, ids kept, no painted region lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_salt.geometry import middles, shown

if TYPE_CHECKING:
    from napari_salt.records import StackInfo
    from napari_salt.session.annotations import Annotations

Plane = NDArray[np.uint16]
Box = tuple[slice, slice]
"""Rows and columns."""

_TOUCHING = np.ones((3, 3), np.bool_)
"""Pixels that touch at a corner are one region, as a slanting stroke is."""


@dataclass(frozen=True, eq=False)
class Said:
    """What paint and ticks said at some moment.

    Attributes
    ----------
    plane
        Gives the paint of a slice ``(Y, X)`` uint16; None where there is none.
    usable
        Slices that are painted or complete.
    complete
        Slices whose unlabelled pixels are background.
    """

    plane: Callable[[int], Plane | None]
    usable: Collection[int]
    complete: Collection[int]

    @classmethod
    def by(cls, annotations: Annotations) -> Said:
        """What annotations say now, and only until they change."""
        return cls(
            lambda index: annotations.paint[index] if annotations.ids(index) else None,
            frozenset(annotations.usable_slices()),
            annotations.complete,
        )


NOTHING = Said(lambda index: None, frozenset(), frozenset())


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of two levels.

    ``shows`` is for each place there the place here that its middle lies in, ``lies`` for each place here the one
    there. Both rise.
    """

    shows: NDArray[np.intp]
    lies: NDArray[np.intp]

    @classmethod
    def between(cls, here: int, there: int, length: float) -> _Axis:
        """Of so many places each; one there is as long as ``length`` here."""
        if there <= here:
            return cls(middles(there, here, length), shown(there, here, length))
        return cls(shown(here, there, 1 / length), middles(here, there, 1 / length))

    @property
    def loses(self) -> bool:
        """Whether not every place here is shown there."""
        return len(self.shows) < len(self.lies)

    def onto(self, part: slice) -> slice:
        """The places there that a part here reaches."""
        low, high = np.searchsorted(self.shows, (part.start, part.stop))
        first, last = int(self.lies[part.start]), int(self.lies[part.stop - 1])
        return slice(min(int(low), first), max(int(high), last + 1))


class LevelGrid:
    """How the slices, rows and columns of one level (here) lie on those of another one of the same image (there)."""

    def __init__(self, here: StackInfo, there: StackInfo) -> None:
        self._slices, self._rows, self._columns = (
            _Axis.between(
                here.shape[axis], there.shape[axis], there.spacing[axis] / here.spacing[axis]
            )
            for axis in range(3)
        )
        self._size = there.shape[1:]

    @property
    def coarsens(self) -> bool:
        """Whether slices have fewer rows or columns there."""
        return self._rows.loses or self._columns.loses

    @property
    def whole(self) -> Box:
        """All rows and columns there."""
        return slice(0, self._size[0]), slice(0, self._size[1])

    def slices_there(self, slices: Iterable[int]) -> tuple[int, ...]:
        """Slices there that have to do with ``slices`` here; rising."""
        wanted = np.fromiter(slices, np.intp)
        there = np.union1d(
            self._slices.lies[wanted], np.flatnonzero(np.isin(self._slices.shows, wanted))
        )
        return tuple(int(place) for place in there)

    def slices_here(self, place: int) -> tuple[int, ...]:
        """Slices here that a slice there has to do with, the one in its middle first."""
        middle = int(self._slices.shows[place])
        others = np.flatnonzero(self._slices.lies == place)
        near = sorted({middle, *others.tolist()}, key=lambda one: abs(one - middle))
        return tuple(int(index) for index in near)

    def reach(self, said: Iterable[Said], place: int) -> Box | None:
        """The rows and columns there that the paint of a slice reaches; None where there is none."""
        planes = (one.plane(index) for one in said for index in self.slices_here(place))
        boxes = [_painted(plane) for plane in planes if plane is not None]
        found = [box for box in boxes if box is not None]
        if not found:
            return None
        rows, columns = (
            slice(min(box[axis].start for box in found), max(box[axis].stop for box in found))
            for axis in (0, 1)
        )
        return self._rows.onto(rows), self._columns.onto(columns)

    def seen(self, said: Said, place: int, box: Box) -> Plane:
        """The paint inside ``box`` of a slice there: of the slice in its middle, then of those beside it."""
        found = np.zeros([part.stop - part.start for part in box], np.uint16)
        for index in self.slices_here(place):
            plane = said.plane(index)
            if plane is not None:
                np.copyto(found, self._plane(plane, box), where=found == 0)
        return found

    def complete(self, said: Said, place: int) -> bool:
        """Whether all that is said of a slice there is complete."""
        told = [index for index in self.slices_here(place) if index in said.usable]
        return bool(told) and all(index in said.complete for index in told)

    def _plane(self, plane: Plane, box: Box) -> Plane:
        rows, columns = self._rows.shows[box[0]], self._columns.shows[box[1]]
        top = int(rows[0])
        part = plane[top : int(rows[-1]) + 1]
        # Whole rows are copied last where there are more of them, which is the quick way.
        if self._rows.loses:
            near = part.take(rows - top, axis=0).take(columns, axis=1)
        else:
            near = part.take(columns, axis=1).take(rows - top, axis=0)
        painted = _painted(plane) if self.coarsens else None
        if painted is not None:
            regions, ids = _regions(plane[painted])
            cells = (
                self._rows.lies[painted[0]] - box[0].start,
                self._columns.lies[painted[1]] - box[1].start,
            )
            at = _inside(rows, painted[0]), _inside(columns, painted[1])
            of_near = np.zeros(near.shape, np.int32)
            of_near[at[0][0], at[1][0]] = regions[np.ix_(at[0][1], at[1][1])]
            _bring_back(near, of_near, regions, ids, cells)
        return near


def _painted(plane: Plane) -> Box | None:
    """The smallest box that holds all paint."""
    rows = np.flatnonzero(plane.any(axis=1))
    if not rows.size:
        return None
    tall = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(plane[tall].any(axis=0))
    return tall, slice(int(columns[0]), int(columns[-1]) + 1)


def _inside(places: NDArray[np.intp], part: slice) -> tuple[slice, NDArray[np.intp]]:
    """Which of rising ``places`` lie in a part, and where in it."""
    low, high = np.searchsorted(places, (part.start, part.stop))
    return slice(int(low), int(high)), places[low:high] - part.start


def _regions(plane: Plane) -> tuple[NDArray[np.int32], list[int]]:
    """Number of the region that each pixel belongs to, from 1; and the label id of each number (0 of 0)."""
    regions, ids = np.zeros(plane.shape, np.int32), [0]
    seen = np.zeros(np.iinfo(np.uint16).max + 1, np.bool_)
    seen[plane] = True
    seen[0] = False
    for label_id in np.flatnonzero(seen).tolist():
        found, count = ndimage.label(plane == label_id, _TOUCHING)
        np.copyto(regions, found + (len(ids) - 1), where=found > 0, casting="unsafe")
        ids += [label_id] * count
    return regions, ids


def _bring_back(
    near: Plane,
    of_near: NDArray[np.int32],
    regions: NDArray[np.int32],
    ids: list[int],
    cells: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> None:
    """Give regions that no pixel of ``near`` shows those that they lie in, in place.

    All that are unlabelled; where none is, the one that the region fills most, if the region shown there has others.
    ``of_near`` are the regions that ``near`` shows, ``cells`` row and column in it of the pixels of ``regions``.
    """
    shown_by = np.bincount(of_near.ravel(), minlength=len(ids))
    is_lost = shown_by == 0
    is_lost[0] = False
    if not is_lost.any():
        return
    rows, columns = np.nonzero(is_lost[regions])
    cell = cells[0][rows] * near.shape[1] + cells[1][columns]
    pairs, areas = np.unique(
        regions[rows, columns].astype(np.int64) * near.size + cell, return_counts=True
    )
    flat, flat_regions = near.reshape(-1), of_near.reshape(-1)
    starts = np.flatnonzero(np.diff(pairs // near.size, prepend=-1))
    groups = zip(np.split(pairs, starts[1:]), np.split(areas, starts[1:]), strict=True)
    for pair, area in sorted(groups, key=lambda group: -int(group[1].sum())):
        region = int(pair[0] // near.size)
        wanted = (pair % near.size)[np.argsort(-area, kind="stable")]
        taken = wanted[flat[wanted] == 0]
        if not taken.size:
            taken = wanted[shown_by[flat_regions[wanted]] > 1][:1]
        shown_by -= np.bincount(flat_regions[taken], minlength=len(ids))
        shown_by[region] += taken.size
        flat[taken], flat_regions[taken] = ids[region], region
