"""Held-out Dice of each label, round by round: lines in the labels' colours, with a legend."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_salt.widgets.painting import painting
from napari_salt.widgets.plain import plain_text
from napari_salt.widgets.sparkline import span

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

    from napari_salt.views import LabelCurve

_LEAST_SPAN = 0.05
_MOST_NAMES = 6
"""Labels in the legend; the tooltip has them all."""
_LEGEND_SHARE = 0.45
_ON_LIGHT = 140


class DiceCurve(QWidget):
    """Curves over rounds; nothing to interact with but the tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves: tuple[LabelCurve, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("held-out Dice of each label over the rounds")
        self._say()

    def sizeHint(self) -> QSize:
        """Room for one line of legend a label."""
        line = self.fontMetrics().lineSpacing()
        return QSize(200, max(44, min(len(self._curves), _MOST_NAMES) * line + 6))

    def value(self) -> tuple[LabelCurve, ...]:
        """The curves shown."""
        return self._curves

    def setValue(self, curves: tuple[LabelCurve, ...]) -> None:
        """Show other curves."""
        if curves != self._curves:
            self._curves = curves
            self._say()
            self.updateGeometry()
            self.update()

    def _say(self) -> None:
        lines = ["Dice of each label on painted slices that were left out of the fit, by round"]
        for curve in self._curves:
            values = ", ".join(f"round {number}: {value:.3f}" for number, value in curve.points)
            lines.append(f"{curve.name}: {values}")
        self.setToolTip(plain_text("\n".join(lines)))
        self.setAccessibleDescription("\n".join(lines[1:]) or "no score yet")

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axis, curves and legend; of one round there are only numbers to tell."""
        if not self._curves:
            return
        with painting(self) as painter:
            several = len({number for curve in self._curves for number, _ in curve.points}) > 1
            if several:
                self._draw(painter)
            left = self.width() * (1 - _LEGEND_SHARE) + 4 if several else 5.0
            for place, curve in enumerate(self._curves[:_MOST_NAMES]):
                self._draw_name(painter, place, curve, left)

    def _draw(self, painter: QPainter) -> None:
        text = self.palette().color(self.foregroundRole())
        box = QRectF(self.rect()).adjusted(6, 5, -2, -5)
        box.setWidth(box.width() * (1 - _LEGEND_SHARE) - 6)
        faint = QColor(text)
        faint.setAlpha(90)
        painter.setPen(QPen(faint, 1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        numbers = [number for curve in self._curves for number, _ in curve.points]
        values = [value for curve in self._curves for _, value in curve.points]
        first, last = min(numbers), max(numbers)
        low, high = span(values, _LEAST_SPAN)
        for place, curve in enumerate(self._curves):
            color = _legible(curve, light=text.lightness() < 128)
            points = [
                QPointF(
                    box.left() + box.width() * (number - first) / (last - first),
                    box.bottom() - box.height() * (value - low) / (high - low),
                )
                for number, value in curve.points
            ]
            painter.setPen(QPen(color, 1.6))
            painter.drawPolyline(QPolygonF(points))
            painter.setBrush(color)
            painter.setPen(Qt.PenStyle.NoPen)
            for point in points:
                painter.drawPolygon(_marker(place, point, 3.2))

    def _draw_name(self, painter: QPainter, place: int, curve: LabelCurve, left: float) -> None:
        text = self.palette().color(self.foregroundRole())
        metrics = painter.fontMetrics()
        top = 3 + place * metrics.lineSpacing()
        middle = QPointF(left + 4, top + metrics.lineSpacing() / 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_legible(curve, light=text.lightness() < 128))
        painter.drawPolygon(_marker(place, middle, 4.0))
        value = f"{curve.points[-1][1]:.2f}"
        room = int(self.width() - left - 14 - metrics.horizontalAdvance(value) - 8)
        name = metrics.elidedText(curve.name, Qt.TextElideMode.ElideRight, room)
        area = QRectF(left + 12, top, self.width() - left - 14, metrics.lineSpacing())
        painter.setPen(text)
        painter.drawText(area, int(Qt.AlignmentFlag.AlignLeft), name)
        painter.drawText(area, int(Qt.AlignmentFlag.AlignRight), value)


def _legible(curve: LabelCurve, *, light: bool) -> QColor:
    """The label's colour, darker where it stands on a light theme."""
    color = QColor.fromRgbF(*curve.color[:3])
    return color.darker(_ON_LIGHT) if light else color


def _marker(place: int, at: QPointF, radius: float) -> QPolygonF:
    """A shape for the label at a place: colours alone do not tell everybody enough."""
    shapes = (
        ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        ((0, -1.2), (1.2, 1), (-1.2, 1)),
        ((-1.2, -1), (1.2, -1), (0, 1.2)),
    )
    corners = shapes[place % len(shapes)]
    return QPolygonF([at + QPointF(dx * radius, dy * radius) for dx, dy in corners])
