"""Room for text that comes and goes, so that buttons below it stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qtpy.QtWidgets import QLabel


def reserve_lines(label: QLabel, lines: int) -> None:
    """Keep room for this many lines of text, used or not."""
    label.setMinimumHeight(lines * label.fontMetrics().lineSpacing() + 6)
