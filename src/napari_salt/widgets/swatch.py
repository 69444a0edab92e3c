"""Draws the colour of a label as a small rounded square."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QRect, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

_SIDE = 14


class SwatchDelegate(QStyledItemDelegate):
    """Delegate of the colour column; the colour is the cell's decoration."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Fill the selection, then draw the square in the middle of the cell."""
        if painter is None:
            return
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, option.palette.highlight())
        color = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(color, QColor):
            square = QRect(0, 0, _SIDE, _SIDE)
            square.moveCenter(option.rect.center())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            edge = QColor(option.palette.text().color())
            edge.setAlpha(110)
            painter.setPen(QPen(edge, 1))
            painter.setBrush(color)
            painter.drawRoundedRect(square, 3, 3)
        painter.restore()
