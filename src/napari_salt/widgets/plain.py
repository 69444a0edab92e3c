"""Text from outside (names, sentences about them) stays text: Qt takes what looks like HTML for HTML."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

_APART = "<\u200b"
"""A space without width behind the bracket: Qt sees no tag, and people see no difference."""


class PlainLabel(QLabel):
    """A label that shows its text as it is, tags and all; made as a ``QLabel`` is."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.setTextFormat(Qt.TextFormat.PlainText)


def plain_text(text: str) -> str:
    """``text`` for tooltips and for windows of the host, which know no plain format: shown as it is, tags and all."""
    return text.replace("<", _APART)
