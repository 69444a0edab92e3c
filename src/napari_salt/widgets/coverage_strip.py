"""One mark for each slice: painted, complete, predicted, suggested, and where the viewer is."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_salt.session.coverage import (
    COMPLETE,
    OUTDATED,
    PAINTED,
    PREDICTED,
    SUGGESTED,
    gathered,
    in_words,
)
from napari_salt.views import CoverageState
from napari_salt.widgets.painting import painting
from napari_salt.widgets.under_slider import UnderSlider

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent

_PAINT, _PREDICTION, _SUGGESTION = QColor("#e69f00"), QColor("#56b4e9"), QColor("#cc79a7")
"""Okabe and Ito's colours; the marks also differ in place and shape."""
_ON_LIGHT = 140
"""How much darker (in percent) the colours are drawn on a light theme."""
_HEIGHT, _EDGE = 24, 5.0
_NO_STACK, _ONE_SLICE = "Open an image first.", "There is only one slice to go to."
_LEGEND = (
    "Above the line: your paint (short: painted, tall: complete). Below: predictions "
    "(short: out of date, tall: up to date). Diamond: suggested next.\n"
    "Click or use the arrow keys to go to a slice; Ctrl with an arrow goes to the next painted one."
)


class CoverageStrip(QWidget):
    """Thin strip under the slice slider; ``value`` is its state, a click asks to go to a slice."""

    goRequested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = CoverageState()
        self._drawn = (0.0, 0.0)
        self._slider = UnderSlider(self)
        self.setObjectName("napari-salt slices")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(60)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("slices: painted, predicted, suggested")
        self._describe()

    def sizeHint(self) -> QSize:
        """Wide and thin."""
        return QSize(300, _HEIGHT)

    def value(self) -> CoverageState:
        """The state shown."""
        return self._state

    def setValue(self, state: CoverageState) -> None:
        """Show another state without telling anyone."""
        if state != self._state:
            self._state = state
            self._describe()
            self.update()

    def span(self) -> tuple[float, float]:
        """Left end of the first slice and right end of the last one, in pixels: those of the slider."""
        found = self._slider.span(len(self._state.flags))
        return found or (_EDGE, self.width() - _EDGE)

    def keepUp(self) -> None:
        """Draw anew when the slider has come, gone or moved meanwhile, of which nobody tells."""
        if self.isVisible() and self.span() != self._drawn:
            self.update()

    def sliceAt(self, x: float) -> int | None:
        """Slice under a horizontal position in pixels; None when there is no stack."""
        count = len(self._state.flags)
        if count == 0:
            return None
        left, right = self.span()
        share = (x - left) / max(right - left, 1.0)
        return min(max(int(share * count), 0), count - 1)

    def words(self, index: int) -> str:
        """``slice 97: painted, complete``."""
        here = ", on screen" if index == self._state.current else ""
        return f"slice {index}: {in_words(self._state.flags[index])}{here}"

    def _describe(self) -> None:
        flags, current = self._state.flags, self._state.current
        self.setEnabled(len(flags) > 1)
        why_not = "" if len(flags) > 1 else _ONE_SLICE if flags else _NO_STACK
        self.setToolTip(f"{why_not}\n({_LEGEND})" if why_not else _LEGEND)
        said = self.words(current) if current is not None and current < len(flags) else "no stack"
        self.setAccessibleDescription(said)

    # ---- mouse and keys

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to the slice under the pointer."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go(self.sliceAt(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Dragging leafs through the stack."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._go(self.sliceAt(event.position().x()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrows, Home and End go; with Ctrl arrows go to painted slices; the rest is Qt's."""
        if event is None:
            return
        target = self._target(event)
        if target is None:
            super().keyPressEvent(event)
        else:
            self._go(target)

    def _target(self, event: QKeyEvent) -> int | None:
        count, current = len(self._state.flags), self._state.current
        key, keys = event.key(), Qt.Key
        if count == 0 or current is None:
            return None
        if key in (keys.Key_Home, keys.Key_End):
            return 0 if key == keys.Key_Home else count - 1
        steps = {keys.Key_Left: -1, keys.Key_Right: 1, keys.Key_PageUp: -10, keys.Key_PageDown: 10}
        step = steps.get(keys(key))
        if step is None:
            return None
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            way = range(current - 1, -1, -1) if step < 0 else range(current + 1, count)
            return next((i for i in way if self._state.flags[i] & (PAINTED | COMPLETE)), current)
        return min(max(current + step, 0), count - 1)

    def _go(self, index: int | None) -> None:
        if index is not None and index != self._state.current:
            self.goRequested.emit(index)

    def event(self, event: QEvent | None) -> bool:
        """The tooltip says what is known of the slice under the pointer."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self.sliceAt(event.pos().x())
            tip = self.toolTip()
            text = tip if index is None else f"{self.words(index)}\n\n{tip}"
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    # ---- drawing

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw marks, suggestion and position."""
        with painting(self) as painter:
            self._draw(painter)

    def _draw(self, painter: QPainter) -> None:
        text = self.palette().color(self.foregroundRole())
        left, right = self._drawn = self.span()
        box = QRectF(left, 2, right - left, self.height() - 4)
        faint = QColor(text)
        faint.setAlpha(70)
        middle = box.center().y()
        painter.fillRect(QRectF(box.left(), middle - 0.5, box.width(), 1), faint)
        count = len(self._state.flags)
        if count:
            self._draw_marks(painter, box, light=text.lightness() < 128)
            if self._state.current is not None:
                self._draw_position(painter, box, text, (self._state.current + 0.5) / count)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(text, 1, Qt.PenStyle.DotLine))
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))

    def _draw_marks(self, painter: QPainter, box: QRectF, *, light: bool) -> None:
        paint, prediction, suggestion = (
            color.darker(_ON_LIGHT) if light else color
            for color in (_PAINT, _PREDICTION, _SUGGESTION)
        )
        marks = gathered(self._state.flags, max(int(box.width()), 1))
        step, middle = box.width() / len(marks), box.center().y()
        gap = 1.0 if step >= 4 else 0.0
        half = box.height() / 2 - 1
        diamonds = []
        for place, bits in enumerate(marks.tolist()):
            left, width = box.left() + place * step, max(step - gap, 1.0)
            if bits & (PAINTED | COMPLETE):
                tall = half if bits & COMPLETE else half / 2
                painter.fillRect(QRectF(left, middle - 1 - tall, width, tall), paint)
            if bits & PREDICTED:
                tall = half / 3 if bits & OUTDATED else half * 0.8
                painter.fillRect(QRectF(left, middle + 1, width, tall), prediction)
            if bits & SUGGESTED:
                diamonds.append(left + width / 2)
        painter.setPen(QPen(self.palette().color(self.backgroundRole()), 1))
        painter.setBrush(suggestion)
        for x in diamonds:
            painter.drawPolygon(_diamond(x, middle, 5.0))

    @staticmethod
    def _draw_position(painter: QPainter, box: QRectF, text: QColor, share: float) -> None:
        x = box.left() + share * box.width()
        painter.setPen(QPen(text, 1.4))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(text)
        top, bottom = box.top() - 2, box.bottom() + 2
        for tip, base in ((top + 5, top), (bottom - 5, bottom)):
            corners = [QPointF(x - 4, base), QPointF(x + 4, base), QPointF(x, tip)]
            painter.drawPolygon(QPolygonF(corners))


def _diamond(x: float, y: float, radius: float) -> QPolygonF:
    corners = ((0, -radius), (radius, 0), (0, radius), (-radius, 0))
    return QPolygonF([QPointF(x + dx, y + dy) for dx, dy in corners])
