"""Progress of the running job: a bar with a sentence in it."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QWidget

from napari_salt.views import ProgressState
from napari_salt.widgets.plain import plain_text


class ProgressLine(QProgressBar):
    """Thin bar; the sentence (step, total, seconds left) stands above it in the status line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextVisible(False)
        self.setFixedHeight(6)
        self._state = ProgressState()
        self.setState(self._state)

    def state(self) -> ProgressState:
        """The progress shown."""
        return self._state

    def setState(self, state: ProgressState) -> None:
        """Show other progress; an idle bar stays in place, empty, so that nothing jumps."""
        self._state = state
        self.setUpdatesEnabled(
            False
        )  # else Qt draws the window at once, and not with what else has changed
        if state.busy and state.total == 0:
            self.setRange(0, 0)
        else:
            self.setRange(0, max(state.total, 1))
            self.setValue(min(state.done, state.total) if state.busy else 0)
        self.setUpdatesEnabled(True)
        self.setToolTip(plain_text(state.text))
        self.setAccessibleDescription(state.text)
