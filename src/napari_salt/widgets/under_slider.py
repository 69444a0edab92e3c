"""Where the slider of slices runs, so that a strip in the same window can line up with it."""

from __future__ import annotations

from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import QAbstractScrollArea, QScrollBar, QStyle, QStyleOptionSlider, QWidget

_LEAST = 60
"""Pixels; a shorter slider leaves no room for marks."""


def slider_span(strip: QWidget, count: int) -> tuple[float, float] | None:
    """Left and right end of the slider of ``count`` slices, in pixels of the strip; None without one.

    The slider is known by what it does: a visible scroll bar of no scroll area, one step a slice.
    """
    window = strip.window()
    if window is not None and count > 1:
        for bar in window.findChildren(QScrollBar):
            if bar.isVisible() and _steps(bar, count):
                return _span(bar, strip)
    return None


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
