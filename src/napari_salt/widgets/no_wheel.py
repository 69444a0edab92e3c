"""Keeps the mouse wheel from changing values while the user only scrolls the dock."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget


class NoWheel(QObject):
    """Event filter: a widget without focus hands the wheel on to the scroll area."""

    def guard(self, *widgets: QWidget) -> None:
        """Watch over these widgets."""
        for widget in widgets:
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Swallow wheel events of widgets that do not have the focus."""
        if (
            isinstance(watched, QWidget)
            and event is not None
            and event.type() == QEvent.Type.Wheel
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return super().eventFilter(watched, event)
