"""Room for text that comes and goes, so that buttons below it stay where they are."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel

_RESTYLED = (QEvent.Type.Polish, QEvent.Type.FontChange, QEvent.Type.StyleChange)
_WIDE = 100_000


def reserve_lines(label: QLabel, lines: int) -> None:
    """Keep room for this many lines of text, used or not, in whatever font the label is shown."""
    keeper = _Keeper(label, lines)
    label.installEventFilter(keeper)
    keeper.keep()


class _Keeper(QObject):
    """Works the room out anew when the theme brings another font or padding."""

    def __init__(self, label: QLabel, lines: int) -> None:
        super().__init__(label)
        self._label, self._lines = label, lines

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at changes of the style, after the label has taken them in."""
        if event is not None and event.type() in _RESTYLED and watched is self._label:
            self._label.removeEventFilter(self)
            self._label.event(event)
            self.keep()
            self._label.installEventFilter(self)
            return True
        return False

    def keep(self) -> None:
        """Ask the label itself how high so many lines are."""
        text = self._label.text()
        self._label.setText("\n".join("x" * self._lines))
        height = self._label.heightForWidth(_WIDE)
        self._label.setText(text)
        self._label.setMinimumHeight(max(height, self._label.fontMetrics().lineSpacing()))
