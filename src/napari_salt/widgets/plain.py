"""Text from outside (names, sentences about them) stays text: Qt takes what looks like HTML for HTML."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

import re
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

_NO_WIDTH = "\u200b"
"""A space without width: a line may end there, and people see no difference."""
_APART = f"<{_NO_WIDTH}"
"""Qt sees no tag where the space stands behind the bracket."""
_LONG_WORD = re.compile(r"\S{24,}")
_PARTS = re.compile(r".{1,11}[_\-./\\]|.{1,12}")
"""Of a long word; those of file names end where a person would end them."""


class PlainLabel(QLabel):
    """A label that shows its text as it is, tags and all; made as a ``QLabel`` is.

    With word wrap, lines may also end within long words: names of files often are one.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def setText(self, text: str | None) -> None:
        """Show another text."""
        super().setText(_breakable(text) if text and self.wordWrap() else text)

    def text(self) -> str:
        """The text that was given."""
        return super().text().replace(_NO_WIDTH, "")


def _breakable(text: str) -> str:
    """``text`` with places in long words where a line may end."""
    return _LONG_WORD.sub(lambda word: _NO_WIDTH.join(_PARTS.findall(word.group())), text)


def plain_text(text: str) -> str:
    """``text`` for tooltips and for windows of the host, which know no plain format: shown as it is, tags and all."""
    return text.replace("<", _APART)
