"""What can be said about the slice on screen: complete, accept the prediction, take that back."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_salt.views import SliceState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.fill_buttons import FillButtons
from napari_salt.widgets.plain import PlainLabel, plain_text

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness

_COMPLETE = (
    "Tick when everything on this slice that you left unpainted is background.\n"
    "Without the tick unpainted pixels say nothing and are never learned from."
)


class SlicePanel(QWidget):
    """Complete tick and Accept of the slice on screen; ``value`` is the tick."""

    valueChanged = Signal(bool)
    acceptRequested = Signal()
    acceptLabelRequested = Signal()
    undoRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._where = PlainLabel(self)
        self._where.setWordWrap(True)
        self._complete = QCheckBox("complete", self)
        self._complete.setToolTip(_COMPLETE)
        self._complete.clicked.connect(self.valueChanged)
        self._accept = ActionButton(
            "Accept prediction",
            "Copy the prediction of this slice into your paint, as one step that can be undone",
        )
        self._accept.clicked.connect(self.acceptRequested)
        self._accept_label = ActionButton(
            "Only label",
            "Copy only the selected label of the prediction into your paint, without ticking complete",
        )
        self._accept_label.clicked.connect(self.acceptLabelRequested)
        self._undo = ActionButton(
            "Undo", "Take back what was accepted or filled in last, and keep strokes made since"
        )
        self._undo.clicked.connect(self.undoRequested)
        self.fill = FillButtons(self)
        self._key = ""
        first = QHBoxLayout()
        first.addWidget(self._where, 1)
        first.addWidget(self._complete)
        second = QHBoxLayout()
        second.setSpacing(4)
        second.addWidget(self._accept, 1)
        second.addWidget(self._accept_label)
        second.addWidget(self._undo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addWidget(self.fill)
        self.setValue(SliceState())

    def value(self) -> bool:
        """Whether the slice on screen is ticked as complete."""
        return self._complete.isChecked()

    def setValue(self, state: SliceState) -> None:
        """Show where the viewer is, and the tick of that slice."""
        if state.count == 0:
            self._where.setText("Slice –")
        elif state.index is None:
            self._where.setText("outside the stack")
        else:
            others = " · all are shown" if state.all_shown else ""
            self._where.setText(f"Slice {state.index} / {state.count - 1}{others}")
        self._complete.setChecked(state.complete)

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        complete = readiness.complete
        self._complete.setEnabled(complete.enabled)
        tip = f"{_COMPLETE} [{self._key}]" if self._key else _COMPLETE
        self._complete.setToolTip(
            plain_text(tip if complete.enabled else f"{complete.why_not}\n({tip})")
        )
        self._accept.setAvailable(readiness.accept.enabled, readiness.accept.why_not)
        label = readiness.accept_label
        self._accept_label.setAvailable(label.enabled, label.why_not)
        self.fill.setReadiness(readiness)
        self._undo.setAvailable(readiness.undo_accept.enabled, readiness.undo_accept.why_not)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips; that of the tick shows with the next readiness."""
        self._key = keys.key("complete")
        self._accept.setKey(keys.key("accept"))
        self._accept_label.setKey(keys.key("accept_label"))
        self._undo.setKey(keys.key("undo_accept"))
        self.fill.setKeys(keys)
