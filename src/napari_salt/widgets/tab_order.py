"""Tab goes through widgets in the order of their layout, whenever and wherever they were made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QScrollArea, QWidget


def follow_layout(top: QWidget) -> None:
    """Make Tab follow the layouts below ``top``: rows from top to bottom, each from left to right.

    Call it once everything is in its place, and again after a widget was added.
    """
    for earlier, later in pairwise(_stops(top)):
        QWidget.setTabOrder(earlier, later)


def _stops(widget: QWidget) -> Iterator[QWidget]:
    """Widgets that take the focus by Tab, in the order of layouts; what is inside one is its own."""
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    inside = widget.widget() if isinstance(widget, QScrollArea) else None
    if inside is not None:
        yield from _stops(inside)
        return
    layout = widget.layout()
    if layout is not None:
        yield from _stops_of(layout)


def _stops_of(layout: QLayout) -> Iterator[QWidget]:
    for place in range(layout.count()):
        item = layout.itemAt(place)
        widget, below = (None, None) if item is None else (item.widget(), item.layout())
        if widget is not None:
            yield from _stops(widget)
        elif below is not None:
            yield from _stops_of(below)
