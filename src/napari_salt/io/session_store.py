"""Where sessions are kept without being asked: one folder of the user's data, a session folder a stack."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from napari_salt.errors import InputError, OutputError
from napari_salt.io.rescue_folders import is_own, make_own, rescue_folders
from napari_salt.io.session_copy import changed_at, kept_state
from napari_salt.io.session_folder import SUFFIX, SessionFolder
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
    """Slices with masks of these pixels."""
    changed: float = 0.0
    """When it was changed last, in seconds since 1970."""


class SessionStore:
    """Kept sessions.

    Parameters
    ----------
    folder
        Where they lie; by default the user's data folder, or ``$NAPARI_SALT_SESSIONS``.
    rescue
        Where work goes that finds no room where it belongs, best place first; see `rescue_folders`.
    """

    def __init__(self, folder: Path | None = None, rescue: tuple[Path, ...] | None = None) -> None:
        chosen = os.environ.get(FOLDER_VARIABLE)
        default = Path(chosen) if chosen else user_data_path("napari-salt") / "sessions"
        self.folder = folder or default
        self.rescue = rescue_folders() if rescue is None else rescue

    def new_path(self, name: str) -> Path:
        """A path that nothing has yet, named after a stack."""
        return self.folder / _new_name(name)

    def other_paths(self, name: str) -> Iterator[Path]:
        """Paths that nothing has yet, best first, for work that its own folder refuses."""
        yield self.new_path(name)
        for folder in self.rescue:
            try:
                make_own(folder)
            except OutputError:
                continue
            yield folder / _new_name(name)

    def bring_home(self, path: Path) -> Path:
        """Move a session that was rescued to where sessions are kept.

        Returns where it lies now: still at ``path`` where it is no such session, is open in another window or damaged,
        or there is no room for it yet.
        """
        if path.parent not in self.rescue:
            return path
        home = self.folder / path.name
        try:
            rescued = SessionFolder.open_folder(path)
        except (InputError, OutputError):
            return path
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            rescued.copy_to(home)
        except (OutputError, OSError):
            rescued.close()
            return path
        if hasattr(os, "sync"):
            os.sync()  # the only other copy goes now
        rescued.remove()
        return home

    def shapes(self) -> frozenset[tuple[int, int, int]]:
        """Shapes of all stacks that work is kept on."""
        return frozenset(state.stack.shape for _, state, _ in self._all())

    def find(self, identity: str) -> list[Found]:
        """Kept work on the stack of that `io.identity.identity`, newest first; damaged ones are left out."""
        found = []
        for path, state, changed in self._all():
            if not state.is_of(identity):
                continue
            slices, predicted = len(state.painted), kept_count(path, identity)
            if slices or predicted:
                found.append(Found(path, state, slices, predicted, changed))
        return sorted(found, key=lambda one: -one.changed)

    def _kept(self) -> Iterator[Path]:
        """Every session, the rescued ones too where nobody else can have put them there."""
        for folder in (self.folder, *filter(is_own, self.rescue)):
            if folder.is_dir():
                yield from folder.glob(f"*{SUFFIX}")

    def _all(self) -> Iterator[tuple[Path, SessionState, float]]:
        """Every kept session that can be read: where it is, what it says, and when it was changed."""
        for path in self._kept():
            try:
                kept = path, kept_state(path), changed_at(path)
            except (InputError, OSError):
                continue
            yield kept


def _new_name(name: str) -> str:
    plain = _SAFE.sub("_", name).strip("._")[:LONGEST_NAME] or "stack"
    return f"{plain}-{secrets.token_hex(4)}{SUFFIX}"
