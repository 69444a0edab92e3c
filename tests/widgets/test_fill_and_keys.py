"""The fill buttons, the list of keys, and the keys that tooltips name: by signals."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel

from napari_salt.key_table import KEY_ACTIONS, KeysState, resolve
from napari_salt.session.facts import Facts
from napari_salt.session.readiness import Action, Readiness, readiness_of
from napari_salt.views import SliceState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.fill_buttons import FillButtons
from napari_salt.widgets.keys_overlay import KeysOverlay
from napari_salt.widgets.panel import Panel
from napari_salt.widgets.slice_panel import SlicePanel

KEYS = resolve({}, {}, str)
NAMES = [field.name for field in fields(Readiness) if field.name != "hint"]
READY = Readiness(**dict.fromkeys(NAMES, Action()))


def buttons(widget):
    return {button.text(): button for button in widget.findChildren(ActionButton)}


@pytest.mark.parametrize(
    ("text", "signal"),
    [("Copy nearest", "copyRequested"), ("Interpolate", "interpolateRequested")],
)
def test_fill_buttons_ask(qtbot, text, signal):
    fill = FillButtons()
    qtbot.addWidget(fill)
    fill.setReadiness(readiness_of(Facts()))
    button = buttons(fill)[text]
    assert not button.isEnabled()
    assert button.toolTip().startswith("Open or choose an image first.")
    fill.setReadiness(READY)
    with qtbot.waitSignal(getattr(fill, signal)):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_one_label_can_be_accepted(qtbot):
    panel = SlicePanel()
    qtbot.addWidget(panel)
    button = buttons(panel)["Only label"]
    panel.setReadiness(replace(READY, accept_label=Action(False, "Select a label first.")))
    assert not button.isEnabled()
    assert buttons(panel)["Accept prediction"].isEnabled()
    panel.setReadiness(READY)
    with (
        qtbot.assertNotEmitted(panel.acceptRequested),
        qtbot.waitSignal(panel.acceptLabelRequested),
    ):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_where_all_slices_are_on_screen_the_panel_says_so(qtbot):
    panel = SlicePanel()
    qtbot.addWidget(panel)
    words = panel.findChildren(QLabel)[0]
    panel.setValue(SliceState(2, 6))
    assert words.text() == "Slice 2 / 5"
    panel.setValue(SliceState(2, 6, all_shown=True))
    assert words.text() == "Slice 2 / 5 · all are shown"


def test_the_panel_wishes_what_the_buttons_ask(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.set_readiness(READY)
    heard = []
    for name in ("accept_label", "propagate", "interpolate"):
        getattr(panel.wishes, name).connect(lambda name=name: heard.append(name))
    for text in ("Only label", "Copy nearest", "Interpolate"):
        buttons(panel.slice)[text].click()
    assert heard == ["accept_label", "propagate", "interpolate"]


def test_tooltips_name_the_key_also_when_off(qtbot):
    button = ActionButton("Adapt", "Learn from paint")
    qtbot.addWidget(button)
    button.setKey("Shift+D")
    assert button.toolTip() == "Learn from paint [Shift+D]"
    button.setAvailable(False, "Paint first.")
    assert button.toolTip() == "Paint first.\n(Learn from paint [Shift+D])"
    button.setKey("")
    assert button.toolTip() == "Paint first.\n(Learn from paint)"


def test_every_key_is_in_a_tooltip(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.set_keys(KEYS)
    panel.set_readiness(READY)
    tips = [button.toolTip() for button in panel.findChildren(ActionButton)]
    tips += [box.toolTip() for box in panel.findChildren(QCheckBox)] + [panel.help.toolTip()]
    for action in KEY_ACTIONS:
        assert any(f"[{action.default}]" in tip for tip in tips), action.name
    panel.set_keys(KeysState())
    panel.set_readiness(READY)
    assert not any("[" in button.toolTip() for button in panel.findChildren(ActionButton))


def texts(overlay):
    return [label.text() for label in overlay.findChildren(QLabel) if not label.isHidden()]


def test_the_list_shows_every_key_and_what_is_wrong(qtbot):
    overlay = KeysOverlay()
    qtbot.addWidget(overlay)
    overlay.setValue(KEYS)
    shown = texts(overlay)
    for row in KEYS.rows:
        assert row.title in shown
        assert row.key in shown
    assert not overlay.isModal()
    state = replace(KEYS, rows=(replace(KEYS.rows[0], key=""),), problems=("G is no key.",))
    overlay.setValue(state)
    qtbot.waitUntil(lambda: KEYS.rows[1].title not in texts(overlay))
    assert "–" in texts(overlay)
    assert "G is no key." in texts(overlay)
    assert overlay.value() == state


def test_the_question_mark_opens_it_and_esc_closes_it(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.set_keys(KEYS)
    panel.show()
    qtbot.mouseClick(panel.help, Qt.MouseButton.LeftButton)
    assert panel.keys.isVisible()
    assert panel.isEnabled()
    qtbot.keyClick(panel.keys, Qt.Key.Key_Escape)
    assert not panel.keys.isVisible()
