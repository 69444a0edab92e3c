"""The live curve of a fit: loss as a line, held-out Dice as dots."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_salt.views import CurveState
from napari_salt.widgets.painting import painting
from napari_salt.widgets.plain import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

_LOSS = QColor("#56b4e9")
_DICE = QColor("#e69f00")
_LEAST_DICE_SPAN = 0.1
_LEAST_LOSS_SPAN = 0.2
"""Part of the largest loss."""
_ON_LIGHT = 155
"""How much darker (in percent) the colours are drawn on a light theme, to stay legible."""


def span(values: Sequence[float], least: float) -> tuple[float, float]:
    """Lowest and highest value, widened to ``least`` around the middle, so that noise stays small."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = max(least - (high - low), 0.0) / 2
    return low - room, high + room


def scaled(
    points: Sequence[tuple[int, float]], total: int, low: float, high: float, box: QRectF
) -> list[QPointF]:
    """Points (step, value) placed in ``box``: steps 0..total to the right, low..high upwards."""
    width = max(total, 1)
    height = max(high - low, 1e-9)
    return [
        QPointF(
            box.left() + box.width() * min(step / width, 1.0),
            box.bottom() - box.height() * min(max((value - low) / height, 0.0), 1.0),
        )
        for step, value in points
    ]


class Sparkline(QWidget):
    """Small curve of the running or last fit; nothing to interact with but the tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = CurveState()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("curve of the fit")
        self._say()

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(200, 44)

    def value(self) -> CurveState:
        """The curve shown."""
        return self._state

    def setValue(self, state: CurveState) -> None:
        """Show another curve."""
        if state != self._state:
            self._state = state
            self._say()
            self.update()

    def _say(self) -> None:
        losses, dice = self._state.losses, self._state.dice
        lines = ["Loss of the fit (line) and held-out Dice (dots)"]
        if losses:
            lines.append(f"loss {losses[0][1]:.3f} → {losses[-1][1]:.3f}")
        if dice:
            lines.append(f"held-out Dice {dice[-1][1]:.3f}")
        self.setToolTip(plain_text("\n".join(lines)))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the line, the dots and the last values."""
        with painting(self) as painter:
            self._draw(painter)

    def _draw(self, painter: QPainter) -> None:
        text = self.palette().color(self.foregroundRole())
        light = text.lightness() < 128
        loss_color, dice_color = (c.darker(_ON_LIGHT) if light else c for c in (_LOSS, _DICE))
        faint = QColor(text)
        faint.setAlpha(90)
        box = QRectF(self.rect()).adjusted(2, 4, -2, -4)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        losses, dice = self._state.losses, self._state.dice
        if not losses and not dice:
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), "no curve yet")
            return
        caption = self._caption()
        box.setRight(box.right() - painter.fontMetrics().horizontalAdvance(caption[0]) - 8)
        self._draw_loss(painter, box, loss_color)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(dice_color)
        low, high = span([value for _, value in dice], _LEAST_DICE_SPAN)
        for point in scaled(dice, self._state.total, low, high, box):
            painter.drawEllipse(point, 3, 3)
        self._draw_caption(painter, caption, loss_color, dice_color)

    def _draw_loss(self, painter: QPainter, box: QRectF, color: QColor) -> None:
        losses = self._state.losses
        if len(losses) < 2:
            return
        values = [value for _, value in losses]
        low, high = span(values, _LEAST_LOSS_SPAN * max(values))
        points = scaled(losses, self._state.total, low, high, box)
        path = QPainterPath(points[0])
        for point in points[1:]:
            path.lineTo(point)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, 1.6))
        painter.drawPath(path)

    def _caption(self) -> tuple[str, str]:
        losses, dice = self._state.losses, self._state.dice
        loss = f"loss {losses[-1][1]:.3f}" if losses else ""
        return (loss or "Dice 0.000", f"Dice {dice[-1][1]:.3f}" if dice else "")

    def _draw_caption(
        self, painter: QPainter, caption: tuple[str, str], loss: QColor, dice: QColor
    ) -> None:
        area = QRectF(self.rect()).adjusted(0, 2, -2, -4)
        right = Qt.AlignmentFlag.AlignRight
        if self._state.losses:
            painter.setPen(loss)
            painter.drawText(area, int(right | Qt.AlignmentFlag.AlignTop), caption[0])
        if caption[1]:
            painter.setPen(dice)
            painter.drawText(area, int(right | Qt.AlignmentFlag.AlignBottom), caption[1])
