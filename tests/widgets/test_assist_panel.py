"""The panel of the box tool: setters are silent, wishes come from clicks only."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_salt.views import AssistState
from napari_salt.widgets.assist_panel import AssistPanel


def test_states_and_wishes(qtbot):
    panel = AssistPanel()
    qtbot.addWidget(panel)
    told = []
    panel.valueChanged.connect(told.append)
    panel.takeRequested.connect(lambda: told.append("take"))
    panel.dropRequested.connect(lambda: told.append("drop"))
    panel.setValue(AssistState(False, False, "Add a label first."))
    assert not panel._switch.isEnabled()
    assert "Add a label first." in panel._switch.toolTip()
    panel.setValue(AssistState(True, True, "", "drag a box around one object"))
    assert panel.value()
    assert panel.text() == "drag a box around one object"
    assert not panel._take.isEnabled()
    panel.setValue(AssistState(True, True, "", "Enter takes it", can_take=True))
    assert told == []
    for button in (panel._take, panel._drop, panel._switch):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert told == ["take", "drop", False]
