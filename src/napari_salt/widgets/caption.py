"""The name of a group, in bold."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_salt.widgets.plain import PlainLabel


class Caption(PlainLabel):
    """A word that stands above or before what it names."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        font = self.font()
        font.setBold(True)
        self.setFont(font)
        self.setContentsMargins(0, 2, 0, 0)
