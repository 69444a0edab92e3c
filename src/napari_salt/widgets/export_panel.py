"""Masks and adapter out, adapter in."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.session.readiness import Readiness


class ExportPanel(QWidget):
    """Three buttons; the dialogs belong to the dock."""

    masksRequested = Signal()
    adapterRequested = Signal()
    loadRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._masks = ActionButton(
            "Save masks…",
            "Write the masks as TIFF with voxel size and label names;\n"
            "paint wins where a slice is complete or painted",
        )
        self._adapter = ActionButton(
            "Save adapter…",
            "Write the adapter: a small file for other stacks, machines, colleagues",
        )
        self._load = ActionButton(
            "Load…", "Load an adapter from a file, to segment with it or to go on from it"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for button, asked in (
            (self._masks, self.masksRequested),
            (self._adapter, self.adapterRequested),
            (self._load, self.loadRequested),
        ):
            button.clicked.connect(asked)
            layout.addWidget(button, 1)

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._masks.setAvailable(readiness.export_masks.enabled, readiness.export_masks.why_not)
        adapter = readiness.export_adapter
        self._adapter.setAvailable(adapter.enabled, adapter.why_not)
        self._load.setAvailable(readiness.load_adapter.enabled, readiness.load_adapter.why_not)
