"""The one table of keys: free of napari's own, alike in the manifest, and settable by the user."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest

from napari_salt.control.controller import Controller
from napari_salt.key_table import (
    FIXED_KEYS,
    KEY_ACTIONS,
    LABEL_MODIFIERS,
    KeysState,
    label_key,
    resolve,
)
from napari_salt.viewer_link import ViewerLink
from napari_salt.viewer_link.key_settings import keys_in_use, spelled
from napari_salt.views import DockView, Wishes

MANIFEST = Path(__file__).parents[1] / "src/napari_salt/napari.yaml"
LABEL_KEYS = [label_key(place, held) for place in range(-1, 9) for held in LABEL_MODIFIERS]
OURS = [action.default for action in KEY_ACTIONS] + LABEL_KEYS
DEFAULTS = {action.name: action.default for action in KEY_ACTIONS}


# ---- free of napari's own


def test_no_key_of_ours_is_in_napari_s_settings():
    napari = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert {"1", "P", "Ctrl+Y", "Escape"} <= napari
    assert not napari.intersection(OURS)
    assert len(set(OURS)) == len(OURS)


def test_no_key_of_ours_is_bound_or_in_a_menu(make_napari_viewer):
    viewer = make_napari_viewer()
    taken = set(keys_in_use(get_app_model().name))
    assert {"Ctrl+O", "Alt+S", "Ctrl+0"} <= taken, "the menus are known"
    taken |= {str(key) for keys in action_manager._shortcuts.values() for key in keys}
    for provider in (viewer, *(kind for kind in (Image, Labels, Points, Shapes))):
        taken |= {str(key) for key in provider.class_keymap}
    assert not taken.intersection(OURS)
    menus = viewer.window._qt_window.menuBar().actions()
    mnemonics = {f"Alt+{text[text.index('&') + 1].upper()}" for text in (a.text() for a in menus)}
    assert "Alt+F" in mnemonics
    assert not mnemonics.intersection(OURS)


@pytest.mark.parametrize("key", [*OURS, *FIXED_KEYS])
def test_every_key_is_spelled_as_napari_does(key):
    assert spelled(key) == key


# ---- which keys hold


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("g", "G"),
        ("shift-g", "Shift+G"),
        ("Ctrl + Alt + K", "Ctrl+Alt+K"),
        ("F5", "F5"),
        ("Control-J", "Ctrl+J"),
        ("nonsense", None),
        ("Shift", None),
        ("Ctrl+Shift+", None),
        ("Shift+1", None),
        ("?", None),
        ("G H", None),
        ("", None),
    ],
)
def test_spelling(text, key):
    assert spelled(text) == key


def keys(state):
    return {row.name: row.key for row in state.rows if row.name in DEFAULTS}


@pytest.mark.parametrize(
    ("wanted", "changes", "problem"),
    [
        ({}, {}, ""),
        ({"accept": "j"}, {"accept": "J"}, ""),
        ({"accept": "  "}, {"accept": ""}, ""),
        (
            {"accept": "Shif"},
            {},
            "“Shif” is no key; “Accept prediction” keeps G.",
        ),
        (
            {"accept": "P"},
            {},
            "P is used for napari's “paint”; “Accept prediction” keeps G.",
        ),
        (
            {"accept": "N"},
            {},
            "N is used for “Next slice”; “Accept prediction” keeps G.",
        ),
        ({"accept": "N", "next_slice": "G"}, {"accept": "N", "next_slice": "G"}, ""),
        (
            {"accept": "Alt+3"},
            {},
            "Alt+3 is used for selecting a label; “Accept prediction” keeps G.",
        ),
        ({"accept": "Ctrl+Z"}, {}, "Ctrl+Z is used for Undo; “Accept prediction” keeps G."),
        (
            {"accept": "P", "next_slice": "G"},
            {"accept": "G", "next_slice": "N"},
            "P is used for napari's “paint”; “Accept prediction” keeps G.",
        ),
    ],
)
def test_what_holds(wanted, changes, problem):
    state = resolve(wanted, {"P": "napari's “paint”"}, spelled)
    assert keys(state) == {**DEFAULTS, **changes}
    assert (state.problems[0] if state.problems else "") == problem


def test_a_default_that_napari_has_got_is_given_up():
    state = resolve({}, {"G": "napari's “grid”"}, spelled)
    assert keys(state) == {**DEFAULTS, "accept": ""}
    (problem,) = state.problems
    assert problem.startswith("G is used for napari's “grid”; “Accept prediction” has no key now.")
    assert "accept" not in state.bound()


def test_labels_with_another_modifier():
    state = resolve({}, {}, spelled, "Ctrl+Alt")
    assert state.key("labels") == "Ctrl+Alt+1 … 9"
    assert label_key(8, "Ctrl+Alt") == "Ctrl+Alt+9"
    assert label_key(9) == ""


# ---- the page in Preferences


def test_the_manifest_offers_every_key():
    manifest = PluginManifest.from_file(MANIFEST)
    (page,) = manifest.contributions.configurations.values()
    offered = {name: setting.default for name, setting in page.properties.items()}
    assert offered.pop("label_modifier") == LABEL_MODIFIERS[0]
    assert offered == DEFAULTS
    titles = {name: setting.title for name, setting in page.properties.items()}
    assert all(titles[action.name] == action.title for action in KEY_ACTIONS)
    assert tuple(page.properties["label_modifier"].enum) == LABEL_MODIFIERS


@pytest.fixture
def settings(plugin_settings, npe2pm):
    """The plugin's settings as napari makes them, in a folder of the test."""
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    from napari.settings import get_plugin_settings

    return get_plugin_settings("napari-salt")


def start(viewer):
    view = create_autospec(DockView, instance=True)
    view.wishes = Wishes()
    link = ViewerLink(viewer)
    runner = type("Runner", (), {"running": False, "close": lambda self: None})()
    return Controller(view, link, runner), view


def bound(viewer):
    return {str(key) for key in viewer.keymap}


def test_settings_are_followed_at_once(settings):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 8, 8)))
    controller, view = start(viewer)
    assert set(OURS) - bound(viewer) == {key for key in LABEL_KEYS if "Ctrl" in key}
    settings.keys.accept = "j"
    assert "J" in bound(viewer)
    assert "G" not in bound(viewer)
    shown = view.set_keys.call_args.args[0]
    assert isinstance(shown, KeysState)
    assert shown.key("accept") == "J"
    settings.keys.label_modifier = "Ctrl+Alt"
    assert {"Ctrl+Alt+1", "Ctrl+Alt+0"} <= bound(viewer)
    assert "Alt+1" not in bound(viewer)
    assert view.set_labels.call_args.args[0][0].key == "Ctrl+Alt+0"
    controller.close()
    assert bound(viewer) == set()
    settings.keys.accept = "Q"
    assert bound(viewer) == set(), "a closed dock hears no more"


def test_a_bad_setting_is_said_once_and_the_default_holds(settings):
    settings.keys.accept = "P"
    viewer = ViewerModel()
    controller, view = start(viewer)
    assert "G" in bound(viewer)
    view.notify.assert_called_once()
    sentence = view.notify.call_args.args[0]
    assert sentence.startswith("P is used for napari's “activate")
    assert sentence.endswith("“Accept prediction” keeps G.")
    viewer.add_image(np.zeros((3, 8, 8)))
    for text in ("S", "Sh", "Shi", "Shift+"):  # while somebody types in Preferences
        settings.keys.accept = text
    assert view.set_status.call_args.args[0].text.startswith("“Shift+” is no key")
    settings.keys.accept = "Shift+J"
    assert view.set_status.call_args.args[0].text == "the keys are set"
    view.notify.assert_called_once()
    assert "Shift+J" in bound(viewer)
    controller.close()


def test_napari_s_own_changed_shortcut_goes_before_ours(settings, monkeypatch):
    from napari.settings import get_settings

    shortcuts = get_settings().shortcuts
    monkeypatch.setitem(shortcuts.shortcuts, "napari:toggle_grid", [coerce_keybinding("G")])
    viewer = ViewerModel()
    controller, view = start(viewer)
    assert "G" not in bound(viewer)
    assert "toggle grid" in view.notify.call_args.args[0]
    controller.close()
