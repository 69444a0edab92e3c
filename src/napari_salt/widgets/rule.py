"""A faint line between groups, in the colour of the text."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent


class Rule(QWidget):
    """Horizontal hairline with a little room around it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(9)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the line in the middle."""
        painter = QPainter(self)
        color = QColor(self.palette().color(self.foregroundRole()))
        color.setAlpha(45)
        middle = self.height() // 2
        painter.fillRect(0, middle, self.width(), 1, color)
