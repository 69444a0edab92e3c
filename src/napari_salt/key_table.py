"""Every key of the dock in one table, and which keys hold after the user has changed some.

Whatever binds, lists or names keys reads this table. No Qt, no napari.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class KeyAction:
    """Something that a key does; ``name`` is that of the setting, ``title`` says it in words."""

    name: str
    title: str
    default: str
    group: str


_SLICE, _NETWORK, _GO = "This slice", "Adapt and segment", "Go on"
_LABELS, _HELP = "Labels", "Help"

KEY_ACTIONS = (
    KeyAction("accept", "Accept prediction", "G", _SLICE),
    KeyAction("accept_label", "Accept only the selected label", "Shift+G", _SLICE),
    KeyAction("propagate", "Copy the masks of the nearest painted slice", "Shift+C", _SLICE),
    KeyAction("interpolate", "Interpolate the selected label", "Shift+I", _SLICE),
    KeyAction("complete", "Tick or untick complete", "W", _SLICE),
    KeyAction("box", "Box → mask: drag a box, get its mask", "Shift+B", _SLICE),
    KeyAction("undo_accept", "Take back what was accepted or filled in last", "U", _SLICE),
    KeyAction("next_slice", "Next slice", "N", _GO),
    KeyAction("skip_slice", "Skip this slice", "K", _GO),
    KeyAction("adapt", "Adapt", "Shift+D", _NETWORK),
    KeyAction("segment_slice", "Segment this slice", "Shift+S", _NETWORK),
    KeyAction("segment_all", "Segment all", "Shift+W", _NETWORK),
    KeyAction("show_prediction", "Show or hide the prediction", "H", _NETWORK),
    KeyAction("show_keys", "List the keys", "F1", _HELP),
)
"""Letters that no layer type of napari uses, so that nothing of napari's is lost."""

LABEL_MODIFIERS = ("Alt", "Ctrl+Alt")
"""What can be held with a digit to select a label; the bare digits are napari's own."""

FIXED_KEYS = {
    "Ctrl+Z": "Undo",
    "Ctrl+Shift+Z": "Redo",
    "Enter": "Take",
    "Escape": "Drop",
}
"""Keys that are bound on layers of the dock and cannot be changed: the paint, the box tool."""


@dataclass(frozen=True)
class KeyRow:
    """One line of the list of keys; ``key`` is empty where there is none."""

    name: str
    title: str
    key: str
    group: str


@dataclass(frozen=True)
class KeysState:
    """The keys that hold now; ``problems`` are sentences on settings that cannot be followed."""

    rows: tuple[KeyRow, ...] = ()
    problems: tuple[str, ...] = ()
    label_modifier: str = LABEL_MODIFIERS[0]

    def key(self, name: str) -> str:
        """Key of an action; empty for none."""
        return next((row.key for row in self.rows if row.name == name), "")

    def bound(self) -> dict[str, str]:
        """Key of every action that has one, by name; labels and fixed keys left out."""
        names = {action.name for action in KEY_ACTIONS}
        return {row.name: row.key for row in self.rows if row.name in names and row.key}


def resolve(
    wanted: Mapping[str, str],
    taken: Mapping[str, str],
    parse: Callable[[str], str | None],
    label_modifier: str = LABEL_MODIFIERS[0],
) -> KeysState:
    """Which key each action gets.

    A setting that is no key, or a key in use, gives way to the default; an empty one means no key.

    Parameters
    ----------
    wanted
        Settings by name of the action; defaults for those left out.
    taken
        Keys of others, as ``parse`` spells them, and what they do.
    parse
        Spells a key in one way; None when it is no single key.
    label_modifier
        Held with a digit to select a label.
    """
    used = {**taken, **FIXED_KEYS}
    used.update({label_key(place, label_modifier): "selecting a label" for place in range(-1, 9)})
    asked = {action: wanted.get(action.name, action.default).strip() for action in KEY_ACTIONS}
    keys: dict[str, str] = {}
    problems = []
    # whoever keeps the default has it before anybody who wants to have it from now on
    for action, text in sorted(asked.items(), key=lambda item: parse(item[1]) != item[0].default):
        key, problem = _key_of(action, text, used, parse)
        keys[action.name] = key
        if key:
            used[key] = f"“{action.title}”"
        if problem:
            problems.append(problem)
    rows = [KeyRow(a.name, a.title, keys[a.name], a.group) for a in KEY_ACTIONS]
    rows[-1:-1] = _more_rows(label_modifier)
    return KeysState(tuple(rows), tuple(problems), label_modifier)


def label_key(place: int, modifier: str = LABEL_MODIFIERS[0]) -> str:
    """Key that selects the row at a 0-based place of the label table, -1 for background."""
    return f"{modifier}+{place + 1}" if -1 <= place < 9 else ""


def _key_of(
    action: KeyAction, text: str, used: Mapping[str, str], parse: Callable[[str], str | None]
) -> tuple[str, str]:
    """The key of an action, and a sentence when it is not the one asked for."""
    key = parse(text) if text else ""
    if key is not None and key not in used:
        return key, ""
    why = f"“{text}” is no key" if key is None else f"{key} is used for {used[key]}"
    if action.default not in used:
        return action.default, f"{why}; “{action.title}” keeps {action.default}."
    return "", f"{why}; “{action.title}” has no key now. Choose one in Preferences ▸ napari-salt."


def _more_rows(modifier: str) -> tuple[KeyRow, ...]:
    fixed = (
        KeyRow(name.lower(), _FIXED_TITLES[name], key, _SLICE) for key, name in FIXED_KEYS.items()
    )
    return (
        *fixed,
        KeyRow("labels", "Select a label", f"{modifier}+1 … 9", _LABELS),
        KeyRow("background", "Select background", label_key(-1, modifier), _LABELS),
    )


_FIXED_TITLES = {
    "Undo": "Take back the last stroke or fill, on whatever slice",
    "Redo": "Make it again",
    "Take": "Take the mask of a box",
    "Drop": "Drop the mask of a box; once more leaves Box → mask",
}
