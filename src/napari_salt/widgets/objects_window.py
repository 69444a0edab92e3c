"""How single objects are told apart, and what is saved of them, in a window of its own."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_salt.session.objects import ObjectsChoice
from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.session.objects import Split
    from napari_salt.session.readiness import Readiness

_SPLITS: tuple[tuple[Split, str], ...] = (
    ("components", "are apart by a gap"),
    ("watershed", "may touch: cut where they narrow"),
)
_EXTENTS = ((False, "in each slice by itself"), (True, "on from slice to slice (3-D)"))


class ObjectsWindow(QWidget):
    """A choice and two buttons; the file dialogs belong to the dock."""

    tableRequested = Signal(object)
    masksRequested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Objects and measurements")
        self._split = self._combo(
            "how objects are told apart",
            "Watershed cuts pieces in two where they are narrow, as touching nuclei are",
            [text for _, text in _SPLITS],
        )
        self._extent = self._combo(
            "where objects are found",
            "In 3-D the whole stack is in memory, and sizes are volumes",
            [text for _, text in _EXTENTS],
        )
        self._table = ActionButton(
            "Save measurements…",
            "A table for spreadsheets: area or volume, place, diameter, mean intensity",
        )
        self._masks = ActionButton(
            "Save object masks…", "A label image in which each object has a number of its own"
        )
        self._table.clicked.connect(lambda: self.tableRequested.emit(self.value()))
        self._masks.clicked.connect(lambda: self.masksRequested.emit(self.value()))
        form = QFormLayout()
        form.addRow("Objects", self._split)
        form.addRow("Find them", self._extent)
        line = QHBoxLayout()
        line.addWidget(self._table)
        line.addWidget(self._masks)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(line)

    def value(self) -> ObjectsChoice:
        """What is chosen."""
        split, _ = _SPLITS[self._split.currentIndex()]
        volume, _ = _EXTENTS[self._extent.currentIndex()]
        return ObjectsChoice(split, volume)

    def setValue(self, choice: ObjectsChoice) -> None:
        """Choose."""
        self._split.setCurrentIndex([split for split, _ in _SPLITS].index(choice.split))
        self._extent.setCurrentIndex([volume for volume, _ in _EXTENTS].index(choice.volume))

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        action = readiness.export_masks
        for button in (self._table, self._masks):
            button.setAvailable(action.enabled, action.why_not)

    def _combo(self, name: str, tip: str, texts: list[str]) -> QComboBox:
        combo = QComboBox(self)
        combo.setAccessibleName(name)
        combo.setToolTip(tip)
        combo.addItems(texts)
        return combo
