"""Box → mask: drag a box around an object, take its mask or drop it."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_salt.views import AssistState
from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState

_TIP = (
    "Drag a box around one object on the slice, and get its mask under the selected label.\n"
    "Clicks are not offered: the network was trained on boxes and finds nothing by a click."
)


class AssistPanel(QWidget):
    """The tool's switch, what it is doing, and Take and Drop of the preview."""

    valueChanged = Signal(bool)
    takeRequested = Signal()
    dropRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._switch = ActionButton("Box → mask", _TIP)
        self._switch.setCheckable(True)
        self._switch.clicked.connect(self._on_switch)
        self._take = ActionButton(
            "Take", "Copy the mask on screen into your paint, where nothing is painted yet"
        )
        self._take.clicked.connect(self.takeRequested)
        self._drop = ActionButton("Drop", "Forget the mask on screen")
        self._drop.clicked.connect(self.dropRequested)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setAccessibleName("state of the box tool")
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self._switch, 2)
        buttons.addWidget(self._take, 1)
        buttons.addWidget(self._drop, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(buttons)
        layout.addWidget(self._text)
        self.setValue(AssistState(why_not="Open or choose an image first."))

    def value(self) -> bool:
        """Whether the tool is on."""
        return self._switch.isChecked()

    def text(self) -> str:
        """What the tool is doing."""
        return self._text.text()

    def setValue(self, state: AssistState) -> None:
        """Show another state; the line of words has a place only while the tool is on."""
        self._switch.setChecked(state.on)
        self._switch.setAvailable(state.enabled, state.why_not)
        why_not = "No mask to take or drop; drag a box first."
        self._take.setAvailable(state.can_take, why_not)
        self._drop.setAvailable(state.can_take, why_not)
        self._text.setText(state.text)
        self._text.setVisible(state.on)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self._switch.setKey(keys.key("box"))
        self._take.setKey(keys.key("take"))
        self._drop.setKey(keys.key("drop"))

    def _on_switch(self, checked: bool) -> None:
        """The switch shows what is, not what is wished: the tool may refuse."""
        self._switch.setChecked(not checked)
        self.valueChanged.emit(checked)
