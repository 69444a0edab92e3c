"""Box → mask: drag a box around an object, take its mask or drop it."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_salt.views import AssistState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.plain import PlainLabel
from napari_salt.widgets.reserve import reserve_lines

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState

_TIP = (
    "Drag a box around one object on the slice, and get its mask under the selected label.\n"
    "Clicks are not offered: the network was trained on boxes and finds nothing by a click."
)


class AssistPanel(QWidget):
    """What the tool is doing, and Take and Drop of its preview; there only while the tool is on.

    ``switch`` turns the tool on and off. It has no place in here: who shows the panel puts it among
    the other quick ways to paint.
    """

    valueChanged = Signal(bool)
    takeRequested = Signal()
    dropRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.switch = ActionButton("Box → mask", _TIP, self)
        self.switch.setCheckable(True)
        self.switch.clicked.connect(self._on_switch)
        self._take = ActionButton(
            "Take", "Copy the mask on screen into your paint, where nothing is painted yet"
        )
        self._take.clicked.connect(self.takeRequested)
        self._drop = ActionButton("Drop", "Forget the mask on screen")
        self._drop.clicked.connect(self.dropRequested)
        self._text = PlainLabel(self)
        self._text.setWordWrap(True)
        self._text.setAccessibleName("state of the box tool")
        reserve_lines(self._text, 2)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self._text, 1)
        row.addWidget(self._take)
        row.addWidget(self._drop)
        self.setValue(AssistState(why_not="Open or choose an image first."))

    def value(self) -> bool:
        """Whether the tool is on."""
        return self.switch.isChecked()

    def text(self) -> str:
        """What the tool is doing."""
        return self._text.text()

    def setValue(self, state: AssistState) -> None:
        """Show another state; all but the switch has a place only while the tool is on."""
        self.switch.setChecked(state.on)
        self.switch.setAvailable(state.enabled, state.why_not)
        why_not = "No mask to take or drop; drag a box first."
        self._take.setAvailable(state.can_take, why_not)
        self._drop.setAvailable(state.can_take, why_not)
        self._text.setText(state.text)
        self.setVisible(state.on)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self.switch.setKey(keys.key("box"))
        self._take.setKey(keys.key("take"))
        self._drop.setKey(keys.key("drop"))

    def _on_switch(self, checked: bool) -> None:
        """The switch shows what is, not what is wished: the tool may refuse."""
        self.switch.setChecked(not checked)
        self.valueChanged.emit(checked)
