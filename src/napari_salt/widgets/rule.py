"""A faint line between groups, in the colour of the text."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_salt.widgets.painting import painting

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent


class Rule(QWidget):
    """Horizontal hairline with a little room around it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(9)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the line in the middle."""
        color = QColor(self.palette().color(self.foregroundRole()))
        color.setAlpha(45)
        with painting(self) as painter:
            painter.fillRect(0, self.height() // 2, self.width(), 1, color)
