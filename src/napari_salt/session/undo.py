"""Steps of paint that can be taken back: which pixels changed, from what, to what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint16]
Step: TypeAlias = "PaintStep | PaintSteps"

STROKE = "brush stroke"
"""What a step made by the viewer's own tools is called; every other step fills something in."""


@dataclass(frozen=True, eq=False)
class PaintStep:
    """One undoable change of one slice.

    ``pixels`` are flat positions in the ``(Y, X)`` plane, ``before`` and ``after`` their ids;
    ``completed`` says that the step also ticked the slice as complete, ``what`` names it for the
    user. ``pixels`` rise.
    """

    index: int
    pixels: NDArray[np.intp]
    before: NDArray[np.uint16]
    after: NDArray[np.uint16]
    completed: bool = False
    what: str = "prediction"

    @property
    def parts(self) -> tuple[PaintStep, ...]:
        """One part for each slice."""
        return (self,)

    @property
    def slices(self) -> tuple[int, ...]:
        """Slices that the step changes."""
        return (self.index,)

    @property
    def says_something(self) -> bool:
        """Whether taking the step back changes anything."""
        return bool(self.pixels.size) or self.completed

    @property
    def nbytes(self) -> int:
        """Memory that the step holds."""
        return self.pixels.nbytes + self.before.nbytes + self.after.nbytes

    def take_back(self, plane: Plane) -> None:
        """Undo, in place; pixels painted over since are newer work and stay."""
        _swap(plane, self.pixels, self.after, self.before)

    def make_again(self, plane: Plane) -> None:
        """Redo, in place; pixels painted over since are newer work and stay."""
        _swap(plane, self.pixels, self.before, self.after)

    def without(self, label_id: int) -> PaintStep:
        """The step as if a label had never been: it can bring no paint of it back."""
        keep = self.after != label_id
        before = self.before[keep]
        before[before == label_id] = 0
        return replace(self, pixels=self.pixels[keep], before=before, after=self.after[keep])

    def as_if_never(self, taken: Step) -> PaintStep:
        """The step as if an earlier one had never been: it can bring nothing of that back."""
        before = self.before.copy()
        for part in taken.parts:
            if part.index == self.index:
                _, mine, theirs = np.intersect1d(
                    self.pixels, part.pixels, assume_unique=True, return_indices=True
                )
                stale = before[mine] == part.after[theirs]
                before[mine[stale]] = part.before[theirs[stale]]
        return replace(self, before=before)

    def beside(self, newer: Step) -> PaintStep:
        """What of the step a newer one has not painted over."""
        keep = np.ones(self.pixels.size, np.bool_)
        for part in newer.parts:
            if part.index == self.index:
                keep &= ~np.isin(self.pixels, part.pixels)
        return replace(
            self, pixels=self.pixels[keep], before=self.before[keep], after=self.after[keep]
        )


@dataclass(frozen=True, eq=False)
class PaintSteps:
    """Changes of several slices that are taken back together; ``index`` is the slice to show."""

    index: int
    parts: tuple[PaintStep, ...]
    what: str = "prediction"

    @property
    def slices(self) -> tuple[int, ...]:
        """Slices that the step changes, rising."""
        return tuple(sorted({part.index for part in self.parts if part.says_something}))

    @property
    def says_something(self) -> bool:
        """Whether taking the step back changes anything."""
        return any(part.says_something for part in self.parts)

    @property
    def nbytes(self) -> int:
        """Memory that the step holds."""
        return sum(part.nbytes for part in self.parts)

    def without(self, label_id: int) -> PaintSteps:
        """The step as if a label had never been: it can bring no paint of it back."""
        return replace(self, parts=tuple(part.without(label_id) for part in self.parts))

    def as_if_never(self, taken: Step) -> PaintSteps:
        """The step as if an earlier one had never been: it can bring nothing of that back."""
        return replace(self, parts=tuple(part.as_if_never(taken) for part in self.parts))

    def beside(self, newer: Step) -> PaintSteps:
        """What of the step a newer one has not painted over."""
        return replace(self, parts=tuple(part.beside(newer) for part in self.parts))


class PaintHistory:
    """Undo and redo of steps in the order they were made, over all slices; the oldest go first.

    Brush strokes stand among the rest, so that nothing is taken back out of turn, whatever the
    viewer remembers of its own strokes.

    Parameters
    ----------
    max_steps, max_bytes
        How much is kept; the newest step is kept whatever its size.
    """

    def __init__(self, *, max_steps: int = 1000, max_bytes: int = 256 * 2**20) -> None:
        self._max_steps, self._max_bytes = max_steps, max_bytes
        self._done: list[Step] = []
        self._undone: list[Step] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to make again."""
        return bool(self._undone)

    @property
    def next_undo(self) -> Step | None:
        """The step that ``undo`` would take back."""
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> Step | None:
        """The step that ``redo`` would make again."""
        return self._undone[-1] if self._undone else None

    @property
    def next_fill(self) -> Step | None:
        """The step that ``undo_fill`` would take back: the newest that is no brush stroke."""
        return next((step for step in reversed(self._done) if step.what != STROKE), None)

    def did(self, step: Step) -> None:
        """Remember a new step; what had been undone cannot be redone any more."""
        self._undone.clear()
        self._done.append(step)
        while len(self._done) > 1 and (
            len(self._done) > self._max_steps
            or sum(kept.nbytes for kept in self._done) > self._max_bytes
        ):
            del self._done[0]

    def undo(self) -> Step | None:
        """The step to take back now; None when there is none."""
        return _move(self._done, self._undone)

    def redo(self) -> Step | None:
        """The step to make again now; None when there is none."""
        return _move(self._undone, self._done)

    def undo_fill(self) -> Step | None:
        """The newest step that is no brush stroke, to take back now; None when there is none.

        Strokes made since stay, but what they would bring back is no longer that fill.
        """
        step = self.next_fill
        if step is None:
            return None
        place = self._done.index(step)
        later, self._done[place:] = self._done[place + 1 :], []
        seen = step
        for newer in later:
            self._done.append(newer.as_if_never(seen))
            seen = seen.beside(newer)
        self._undone.append(step)
        return step

    def forget_label(self, label_id: int) -> None:
        """Make sure that no step brings back paint of a label that is gone."""
        for steps in (self._done, self._undone):
            cleaned = [step.without(label_id) for step in steps]
            steps[:] = [step for step in cleaned if step.says_something]


def _swap(plane: Plane, pixels: NDArray[Any], old: Plane, new: Plane) -> None:
    """Replace ``old`` by ``new`` where it still is; works on planes of any memory layout."""
    where = np.unravel_index(pixels, plane.shape)
    now = plane[where]
    plane[where] = np.where(now == old, new, now)


def _move(source: list[Step], target: list[Step]) -> Step | None:
    if not source:
        return None
    target.append(source.pop())
    return target[-1]
