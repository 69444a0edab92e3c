"""The font of text for what the host's style gives none: tables, lines to type in, and what is drawn."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel, QWidget

_RESTYLED = (QEvent.Type.Polish, QEvent.Type.FontChange, QEvent.Type.StyleChange)
_ROW_PADDING = 9


def follow_text(widget: QWidget, label: QLabel) -> None:
    """Show all that is in ``widget`` in letters as large as those of ``label``, whatever size the host gives that."""
    label.installEventFilter(_Follower(widget, label))


def row_height(widget: QWidget) -> int:
    """Height of one row of a table in the font of ``widget``, in pixels."""
    return widget.fontMetrics().lineSpacing() + _ROW_PADDING


class _Follower(QObject):
    """Hands the size on whenever the style brings another one."""

    def __init__(self, widget: QWidget, label: QLabel) -> None:
        super().__init__(label)
        self._widget, self._label = widget, label

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at changes of the style; without one the label has the widget's font itself."""
        if event is not None and event.type() in _RESTYLED and watched is self._label:
            size, font = self._label.font().pointSizeF(), self._widget.font()
            if size > 0 and size != font.pointSizeF():
                font.setPointSizeF(size)
                self._widget.setFont(font)
        return False
