"""Where sessions are kept without being asked: one folder of the user's data, a session folder a stack."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from napari_salt.errors import InputError
from napari_salt.io.session_copy import changed_at, kept_state
from napari_salt.io.session_folder import SUFFIX
from napari_salt.io.session_predictions import kept_count
from napari_salt.io.session_state import SessionState

FOLDER_VARIABLE = "NAPARI_SALT_SESSIONS"
LONGEST_NAME = 60
_SAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Found:
    """A kept session of a stack: where it is and what it holds."""

    path: Path
    state: SessionState
    slices: int
    """Slices with paint, or complete."""
    predicted: int = 0
    """Slices with masks."""


class SessionStore:
    """Kept sessions.

    Parameters
    ----------
    folder
        Where they lie; by default the user's data folder, or ``$NAPARI_SALT_SESSIONS``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        chosen = os.environ.get(FOLDER_VARIABLE)
        default = Path(chosen) if chosen else user_data_path("napari-salt") / "sessions"
        self.folder = folder or default

    def new_path(self, name: str) -> Path:
        """A path that nothing has yet, named after a stack."""
        plain = _SAFE.sub("_", name).strip("._")[:LONGEST_NAME] or "stack"
        return self.folder / f"{plain}-{secrets.token_hex(4)}{SUFFIX}"

    def find(self, identity: str) -> list[Found]:
        """Kept work on the stack of that `session_folder.identity`, newest first; damaged ones are left out."""
        if not self.folder.is_dir():
            return []
        found: list[tuple[float, Found]] = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            try:
                state, changed = kept_state(path), changed_at(path)
            except (InputError, OSError):
                continue
            if state.identity != identity:
                continue
            slices, predicted = len(state.painted), kept_count(path)
            if slices or predicted:
                found.append((changed, Found(path, state, slices, predicted)))
        return [one for _, one in sorted(found, key=lambda pair: -pair[0])]
