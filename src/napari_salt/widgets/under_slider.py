"""Where the slider of slices runs, so that a strip in the same window can line up with it."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import QAbstractScrollArea, QScrollBar, QStyle, QStyleOptionSlider, QWidget

_LEAST = 60
"""Pixels; a shorter slider leaves no room for marks."""


class UnderSlider:
    """Finds the slider that a strip belongs to, and keeps it: to look for it takes a while.

    The slider is known by what it does: a visible scroll bar of no scroll area, one step a slice.
    """

    def __init__(self, strip: QWidget) -> None:
        self._strip = strip
        self._bar: QScrollBar | None = None

    def span(self, count: int) -> tuple[float, float] | None:
        """Left and right end of the slider of ``count`` slices, in pixels of the strip; None without one."""
        if count < 2:
            return None
        if self._bar is None or not _serves(self._bar, count):
            window = self._strip.window()
            bars = [] if window is None else window.findChildren(QScrollBar)
            self._bar = next((bar for bar in bars if _serves(bar, count)), None)
        return None if self._bar is None else _span(self._bar, self._strip)


def _serves(bar: QScrollBar, count: int) -> bool:
    alive: bool = isalive(bar)  # type: ignore[no-untyped-call]
    return alive and bar.isVisible() and _steps(bar, count)


def _steps(bar: QScrollBar, count: int) -> bool:
    holder = bar.parentWidget()
    around = None if holder is None else holder.parentWidget()
    scrolls = isinstance(holder, QAbstractScrollArea) or isinstance(around, QAbstractScrollArea)
    steps = bar.maximum() - bar.minimum() + 1
    return steps == count and bar.orientation() == Qt.Orientation.Horizontal and not scrolls


def _span(bar: QScrollBar, strip: QWidget) -> tuple[float, float] | None:
    """From the handle's left edge on the first slice to its right edge on the last one."""
    ends = (_handle(bar, bar.minimum()).left(), _handle(bar, bar.maximum()).right() + 1)
    left, right = (strip.mapFromGlobal(bar.mapToGlobal(QPoint(x, 0))).x() for x in ends)
    left, right = max(left, 0), min(right, strip.width())
    return (left, right) if right - left >= _LEAST else None


def _handle(bar: QScrollBar, value: int) -> QRect:
    """Where the handle lies for a value, in pixels of the scroll bar."""
    option, style = QStyleOptionSlider(), bar.style()
    option.initFrom(bar)
    option.orientation = bar.orientation()
    option.state |= QStyle.StateFlag.State_Horizontal  # style sheets of horizontal bars ask for it
    option.minimum, option.maximum = bar.minimum(), bar.maximum()
    option.singleStep, option.pageStep = bar.singleStep(), bar.pageStep()
    option.sliderPosition = option.sliderValue = value
    control, part = QStyle.ComplexControl.CC_ScrollBar, QStyle.SubControl.SC_ScrollBarSlider
    return bar.rect() if style is None else style.subControlRect(control, option, part, bar)
