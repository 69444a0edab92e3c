"""A painter that ends when its drawing does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QWidget


@contextmanager
def painting(widget: QWidget) -> Iterator[QPainter]:
    """A smooth painter on ``widget``, for its ``paintEvent``.

    Left to Python a painter lives as long as its frame, which a profiler or the traceback of an error may keep;
    Qt then complains that its window is still being painted.
    """
    painter = QPainter(widget)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    try:
        yield painter
    finally:
        painter.end()
