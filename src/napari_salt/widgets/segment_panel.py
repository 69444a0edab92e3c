"""Segment this slice or all, and how the prediction is shown."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from napari_salt.views import DisplayState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.no_wheel import NoWheel

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness


class SegmentPanel(QWidget):
    """Asks for predictions; shows or hides the layers that hold them."""

    sliceRequested = Signal()
    allRequested = Signal()
    opacityChanged = Signal(float)
    predictionToggled = Signal(bool)
    uncertaintyToggled = Signal(bool)
    outlineToggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slice = ActionButton("Segment this slice", "Predict the slice on screen")
        self._all = ActionButton(
            "Segment all",
            "Predict every slice, the one on screen first; results appear as they come",
        )
        self._prediction = QCheckBox("prediction", self)
        self._prediction.setToolTip("Show or hide the predicted masks")
        self._prediction.setChecked(True)
        self._opacity = QSlider(Qt.Orientation.Horizontal, self)
        self._opacity.setRange(0, 100)
        self._opacity.setValue(50)
        self._opacity.setToolTip("Opacity of the predicted masks")
        self._opacity.setAccessibleName("opacity of the prediction")
        self._opacity.setMinimumWidth(30)
        self._uncertainty = QCheckBox("uncertainty", self)
        self._uncertainty.setToolTip("Show where the prediction is unsure")
        self._outline = QCheckBox("outline", self)
        self._outline.setToolTip(
            "Show the predicted masks as outlines, to see the image below them"
        )
        NoWheel(self).guard(self._opacity)
        self._slice.clicked.connect(self.sliceRequested)
        self._all.clicked.connect(self.allRequested)
        self._prediction.toggled.connect(self.predictionToggled)
        self._uncertainty.toggled.connect(self.uncertaintyToggled)
        self._outline.toggled.connect(self.outlineToggled)
        self._opacity.valueChanged.connect(lambda value: self.opacityChanged.emit(value / 100))
        self._lay_out()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self._slice, 1)
        buttons.addWidget(self._all, 1)
        shown = QGridLayout()  # four in a row would make the dock too wide for a laptop
        shown.setSpacing(4)
        shown.setHorizontalSpacing(12)
        shown.setColumnStretch(1, 1)
        shown.addWidget(self._prediction, 0, 0)
        shown.addWidget(self._opacity, 0, 1)
        shown.addWidget(self._outline, 1, 0)
        shown.addWidget(self._uncertainty, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addLayout(shown)

    def value(self) -> DisplayState:
        """How the prediction is shown."""
        return DisplayState(
            self._prediction.isChecked(),
            self._opacity.value() / 100,
            self._uncertainty.isChecked(),
            self._outline.isChecked(),
        )

    def setValue(self, state: DisplayState) -> None:
        """Show how the prediction is shown, without telling anyone."""
        widgets = (self._prediction, self._opacity, self._uncertainty, self._outline)
        for widget in widgets:
            widget.blockSignals(True)
        self._prediction.setChecked(state.prediction)
        self._opacity.setValue(round(state.opacity * 100))
        self._uncertainty.setChecked(state.uncertainty)
        self._outline.setChecked(state.outline)
        for widget in widgets:
            widget.blockSignals(False)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self._slice.setKey(keys.key("segment_slice"))
        self._all.setKey(keys.key("segment_all"))
        key = keys.key("show_prediction")
        tip = "Show or hide the predicted masks"
        self._prediction.setToolTip(f"{tip} [{key}]" if key else tip)

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._slice.setAvailable(readiness.segment_slice.enabled, readiness.segment_slice.why_not)
        self._all.setAvailable(readiness.segment_all.enabled, readiness.segment_all.why_not)
