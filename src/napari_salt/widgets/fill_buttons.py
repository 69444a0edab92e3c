"""Quick ways to paint a slice, in one row: from its neighbours, and what else is put beside them."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness


class FillButtons(QWidget):
    """Copy the nearest painted slice; interpolate the selected label."""

    copyRequested = Signal()
    interpolateRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._copy = ActionButton(
            "Copy nearest",
            "Start with the masks of the nearest painted slice; your paint here stays",
        )
        self._interpolate = ActionButton(
            "Interpolate",
            "Fill the selected label in on all slices between the painted ones before and after;"
            " your paint stays",
        )
        self._copy.clicked.connect(self.copyRequested)
        self._interpolate.clicked.connect(self.interpolateRequested)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._copy, 1)
        layout.addWidget(self._interpolate, 1)

    def addButton(self, button: ActionButton) -> None:
        """Put another way to paint at the end of the row."""
        layout = self.layout()
        assert isinstance(layout, QHBoxLayout)
        layout.addWidget(button, 1)

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._copy.setAvailable(readiness.propagate.enabled, readiness.propagate.why_not)
        interpolate = readiness.interpolate
        self._interpolate.setAvailable(interpolate.enabled, interpolate.why_not)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self._copy.setKey(keys.key("propagate"))
        self._interpolate.setKey(keys.key("interpolate"))
