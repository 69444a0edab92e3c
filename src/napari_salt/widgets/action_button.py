"""A button that is disabled with a reason."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSizePolicy, QWidget


class ActionButton(QPushButton):
    """Push button whose tooltip says what it does, or why it cannot be pressed now."""

    def __init__(self, text: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._tip = tip
        self.setToolTip(tip)
        self.setAccessibleDescription(tip)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def setAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Enable the button, or disable it and say why in the tooltip."""
        self.setEnabled(enabled)
        text = self._tip if enabled or not why_not else f"{why_not}\n({self._tip})"
        self.setToolTip(text)
        self.setAccessibleDescription(text)
