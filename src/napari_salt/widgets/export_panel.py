"""Masks, adapter and session out; adapter and session in."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QSizePolicy, QWidget

from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.session.readiness import Readiness


class ExportPanel(QWidget):
    """Six buttons, and a tick for pyramids; the dialogs belong to the dock."""

    masksRequested = Signal()
    objectsRequested = Signal()
    adapterRequested = Signal()
    loadRequested = Signal()
    saveSessionRequested = Signal()
    openSessionRequested = Signal()
    fullResolutionChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._masks = ActionButton(
            "Save masks…",
            "Write the masks as TIFF, NIfTI, NRRD, MetaImage, OME-Zarr, DICOM-SEG, PNG or\nCOCO, with voxel "
            "size and label names; paint wins where a slice is complete or painted",
        )
        self._objects = ActionButton(
            "Objects…",
            "Tell single objects of a label apart, measure them, save them as masks or a table",
        )
        self._adapter = ActionButton(
            "Save adapter…",
            "Write the adapter: a small file for other stacks, machines, colleagues",
        )
        self._load = ActionButton(
            "Load adapter…", "Read an adapter from a file, to segment with it or to go on from it"
        )
        self._save_session = ActionButton(
            "Save session…",
            "Your work is saved by itself all the time; this copies it to a folder\n"
            "of your choice, for another place or machine, and goes on there",
        )
        self._open_session = ActionButton(
            "Open session…", "Go on with the paint, labels and rounds of a saved session"
        )
        self._full = QCheckBox("save masks at full resolution", self)
        self._full.setToolTip(
            "Enlarge masks and objects to the finest level of the image; without, they are saved at the level\n"
            "you work at"
        )
        self._full.setChecked(True)
        self._full.toggled.connect(self.fullResolutionChanged)
        self._lay_out()

    def _lay_out(self) -> None:
        """A row each of what belongs together: three in a row would make the dock too wide for a laptop."""
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for row, buttons in enumerate(
            (
                ((self._masks, self.masksRequested), (self._objects, self.objectsRequested)),
                ((self._adapter, self.adapterRequested), (self._load, self.loadRequested)),
                (
                    (self._save_session, self.saveSessionRequested),
                    (self._open_session, self.openSessionRequested),
                ),
            )
        ):
            for column, (button, asked) in enumerate(buttons):
                button.clicked.connect(asked)
                policy = button.sizePolicy()
                policy.setVerticalPolicy(QSizePolicy.Policy.Minimum)  # as high as its neighbours
                button.setSizePolicy(policy)
                grid.addWidget(button, row, column)
                grid.setColumnStretch(column, 1)
        grid.addWidget(self._full, 3, 0, 1, 2)
        self.setCoarse(False)

    def setCoarse(self, coarse: bool) -> None:
        """Offer full resolution, where masks are of a coarser level of a pyramid."""
        self._full.setVisible(coarse)

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._masks.setAvailable(readiness.export_masks.enabled, readiness.export_masks.why_not)
        self._objects.setAvailable(readiness.export_masks.enabled, readiness.export_masks.why_not)
        adapter = readiness.export_adapter
        self._adapter.setAvailable(adapter.enabled, adapter.why_not)
        load = readiness.load_adapter
        self._load.setAvailable(load.enabled, load.why_not)
        self._save_session.setAvailable(load.enabled, load.why_not)
        opening = readiness.open_session
        self._open_session.setAvailable(opening.enabled, opening.why_not)
