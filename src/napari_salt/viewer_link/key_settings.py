"""What the user's settings and the host say about keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app_model import Application
from app_model.types import KeyCode
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

from napari_salt.key_table import KEY_ACTIONS, LABEL_MODIFIERS, KeysState, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

_PLUGIN = "napari-salt"


class KeySettings:
    """The plugin's page of Preferences, as far as it is about keys.

    Where the host has no such page (napari before 0.9), or does not know the plugin (a script that
    makes the dock itself), the defaults hold.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._settings, self._changed = _plugin_settings(), changed
        if self._settings is not None:
            self._settings.events.changed.connect(self._on_changed)

    def state(self) -> KeysState:
        """The keys that hold now."""
        wanted = getattr(self._settings, "keys", None)
        names = [action.name for action in KEY_ACTIONS if hasattr(wanted, action.name)]
        modifier = getattr(wanted, "label_modifier", LABEL_MODIFIERS[0])
        return resolve(
            {name: getattr(wanted, name) for name in names}, keys_in_use(), spelled, modifier
        )

    def close(self) -> None:
        """Hear of changes no more."""
        if self._settings is not None:
            self._settings.events.changed.disconnect(self._on_changed)
            self._settings = None

    def _on_changed(self, event: Any = None) -> None:
        self._changed()


def spelled(text: str) -> str | None:
    """A key in napari's spelling; None for what is no single key, or one that never arrives."""
    try:
        binding = coerce_keybinding(text.replace(" ", ""))
    except (ValueError, TypeError, KeyError):
        return None
    if len(binding.parts) != 1:
        return None
    (part,) = binding.parts
    name = str(part.key)
    if part.key == KeyCode.UNKNOWN or part.key in _MODIFIERS:
        return None
    # Shift turns digits and signs into others before napari sees them
    return None if part.shift and len(name) == 1 and not name.isalpha() else str(binding)


def keys_in_use(name: str = "napari") -> dict[str, str]:
    """Keys of napari itself, with the changes the user has made to them, and of the application's menus."""
    taken = {}
    for action, bindings in get_settings().shortcuts.shortcuts.items():
        for binding in bindings:
            taken[str(coerce_keybinding(binding))] = f"napari's “{_words(action)}”"
    application = Application.get_app(name)
    for rule in () if application is None else application.keybindings:
        taken[str(rule.keybinding)] = f"napari's “{_words(rule.command_id)}”"
    return taken


def _words(action: str) -> str:
    return action.replace(":", ".").rpartition(".")[2].replace("_", " ")


def _plugin_settings() -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return get_plugin_settings(_PLUGIN)
    except KeyError:
        return None


_MODIFIERS = (KeyCode.Shift, KeyCode.Ctrl, KeyCode.Alt, KeyCode.Meta, KeyCode.UNKNOWN)
