"""A button that is disabled with a reason."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSizePolicy, QWidget

from napari_salt.widgets.plain import plain_text


class ActionButton(QPushButton):
    """Push button whose tooltip says what it does, or why it cannot be pressed now."""

    def __init__(self, text: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._tip, self._key, self._why_not = tip, "", ""
        self._describe()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def setAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Enable the button, or disable it and say why in the tooltip."""
        self.setEnabled(enabled)
        self._why_not = "" if enabled else why_not
        self._describe()

    def setKey(self, key: str) -> None:
        """Name the key that does the same, in the tooltip; empty for none."""
        self._key = key
        self._describe()

    def _describe(self) -> None:
        tip = f"{self._tip} [{self._key}]" if self._key else self._tip
        text = f"{self._why_not}\n({tip})" if self._why_not else tip
        self.setToolTip(plain_text(text))
        self.setAccessibleDescription(text)
