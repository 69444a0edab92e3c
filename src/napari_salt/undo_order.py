"""In which order brush strokes and accepted predictions are taken back.

The viewer keeps the strokes of the slice on screen and forgets them when the slice changes;
accepted predictions are kept by the annotations and survive. One key undoes both, so somebody must
remember what came last.
"""

from __future__ import annotations

from typing import Literal

Step = Literal["stroke", "accept"]


class UndoOrder:
    """Remembers the order of steps, never what they did."""

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def did(self, step: Step) -> None:
        """A new step was made; what had been undone cannot be redone any more."""
        self._done.append(step)
        self._undone.clear()

    def undo(self) -> Step | None:
        """The step to take back now; None when there is none."""
        return self._move(self._done, self._undone)

    def redo(self) -> Step | None:
        """The step to make again now; None when there is none."""
        return self._move(self._undone, self._done)

    def undo_accept(self) -> bool:
        """Take the newest accept out of the order, whatever came later; False for none."""
        for place in range(len(self._done) - 1, -1, -1):
            if self._done[place] == "accept":
                self._undone.append(self._done.pop(place))
                return True
        return False

    def forget_strokes(self) -> None:
        """The viewer has dropped its strokes (the slice changed)."""
        self._done = [step for step in self._done if step != "stroke"]
        self._undone = [step for step in self._undone if step != "stroke"]

    @staticmethod
    def _move(source: list[Step], target: list[Step]) -> Step | None:
        if not source:
            return None
        target.append(source.pop())
        return target[-1]
