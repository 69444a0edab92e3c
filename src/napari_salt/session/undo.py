"""Steps of paint that can be taken back: which pixels changed, from what, to what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class PaintStep:
    """One undoable change of one slice.

    ``pixels`` are flat positions in the ``(Y, X)`` plane, ``before`` and ``after`` their ids;
    ``completed`` says that the step also ticked the slice as complete.
    """

    index: int
    pixels: NDArray[np.intp]
    before: NDArray[np.uint16]
    after: NDArray[np.uint16]
    completed: bool = False

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
        return PaintStep(self.index, self.pixels[keep], before, self.after[keep], self.completed)


class PaintHistory:
    """Undo and redo of steps, over all slices, oldest forgotten first.

    Parameters
    ----------
    max_steps, max_bytes
        How much is kept; the newest step is kept whatever its size.
    """

    def __init__(self, *, max_steps: int = 200, max_bytes: int = 256 * 2**20) -> None:
        self._max_steps, self._max_bytes = max_steps, max_bytes
        self._done: list[PaintStep] = []
        self._undone: list[PaintStep] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to make again."""
        return bool(self._undone)

    @property
    def next_undo(self) -> PaintStep | None:
        """The step that ``undo`` would take back."""
        return self._done[-1] if self._done else None

    def did(self, step: PaintStep) -> None:
        """Remember a new step; what had been undone cannot be redone any more."""
        self._undone.clear()
        self._done.append(step)
        while len(self._done) > 1 and (
            len(self._done) > self._max_steps
            or sum(kept.nbytes for kept in self._done) > self._max_bytes
        ):
            del self._done[0]

    def undo(self) -> PaintStep | None:
        """The step to take back now; None when there is none."""
        return _move(self._done, self._undone)

    def redo(self) -> PaintStep | None:
        """The step to make again now; None when there is none."""
        return _move(self._undone, self._done)

    def forget_label(self, label_id: int) -> None:
        """Make sure that no step brings back paint of a label that is gone."""
        for steps in (self._done, self._undone):
            cleaned = [step.without(label_id) for step in steps]
            steps[:] = [step for step in cleaned if step.pixels.size or step.completed]


def _swap(plane: Plane, pixels: NDArray[Any], old: Plane, new: Plane) -> None:
    """Replace ``old`` by ``new`` where it still is; works on planes of any memory layout."""
    where = np.unravel_index(pixels, plane.shape)
    now = plane[where]
    plane[where] = np.where(now == old, new, now)


def _move(source: list[PaintStep], target: list[PaintStep]) -> PaintStep | None:
    if not source:
        return None
    target.append(source.pop())
    return target[-1]
