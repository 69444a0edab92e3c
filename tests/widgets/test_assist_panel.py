"""The panel of the box tool: setters are silent, wishes come from clicks only."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_salt.key_table import resolve
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
    assert not panel.switch.isEnabled()
    assert "Add a label first." in panel.switch.toolTip()
    panel.setValue(AssistState(True, True, "", "drag a box around one object"))
    assert panel.value()
    assert panel.text() == "drag a box around one object"
    assert not panel._take.isEnabled()
    panel.setValue(AssistState(True, True, "", "Enter takes it", can_take=True))
    assert told == []
    for button in (panel._take, panel._drop, panel.switch):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert told == ["take", "drop", False]


def test_the_switch_shows_what_is_when_the_tool_refuses(qtbot):
    panel = AssistPanel()
    qtbot.addWidget(panel)
    wished = []
    panel.valueChanged.connect(wished.append)
    panel.setValue(AssistState(False, True))
    for _ in range(2):
        qtbot.mouseClick(panel.switch, Qt.MouseButton.LeftButton)
        assert not panel.value()
    assert wished == [True, True]


def test_every_button_says_what_it_does_its_key_and_why_it_cannot(qtbot):
    panel = AssistPanel()
    qtbot.addWidget(panel)
    panel.setKeys(resolve({}, {}, str))
    panel.setValue(AssistState(False, False, "Add a label first."))
    for button, key in (
        (panel.switch, "Shift+B"),
        (panel._take, "Enter"),
        (panel._drop, "Escape"),
    ):
        why_not, tip = button.toolTip().split("\n", 1)
        assert not button.isEnabled()
        assert why_not in ("Add a label first.", "No mask to take or drop; drag a box first.")
        assert f"[{key}]" in tip
    panel.setValue(AssistState(True, True, can_take=True))
    assert all(button.isEnabled() for button in (panel.switch, panel._take, panel._drop))
    assert panel._take.toolTip().startswith("Copy the mask")
