"""A section that folds away under its title."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """Title with an arrow; a click shows or hides the content."""

    valueChanged = Signal(bool)

    def __init__(self, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._content = content
        self._button = QToolButton(self)
        self._button.setText(title)
        self._button.setToolTip(_tip(title))
        self._button.setCheckable(True)
        self._button.setAutoRaise(True)
        self._button.setArrowType(Qt.ArrowType.RightArrow)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._button.toggled.connect(self._on_toggled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._button)
        layout.addWidget(content)
        content.hide()

    def value(self) -> bool:
        """Whether the content is shown."""
        return self._button.isChecked()

    def setValue(self, value: bool) -> None:
        """Show or hide the content."""
        self._button.setChecked(value)

    def setTitle(self, title: str) -> None:
        """Replace the title."""
        self._button.setText(title)
        self._button.setToolTip(_tip(title))

    def _on_toggled(self, shown: bool) -> None:
        self._button.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self._content.setVisible(shown)
        self.valueChanged.emit(shown)


def _tip(title: str) -> str:
    return f"Show or hide: {title}"
