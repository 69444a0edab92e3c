"""A session folder as it is now, read without writing to it.

For a session that another window has open, and for one where nothing can be written: on a disc, or on a share that is
not ours. The other window may be in the middle of a change; what is read is the state before it or after it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.session_folder import (
    ADAPTERS,
    JOURNAL,
    STATE,
    check_folder,
    open_paint,
    painted_chunks,
    read_journal,
    read_state,
)
from napari_salt.io.session_state import SessionState, adapter_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIES, PAUSE = 20, 0.1
"""How often a folder is read anew because it changed meanwhile, and the seconds between."""


@dataclass(frozen=True, eq=False)
class SessionCopy:
    """What was in a session folder: its state, and paint ``(Y, X)`` uint16 by slice."""

    path: Path
    state: SessionState
    planes: dict[int, NDArray[np.uint16]]

    def adapter(self, name: str) -> Path:
        """Where the adapter of that file name lies."""
        return self.path / ADAPTERS / adapter_name(name)


def read_copy(path: Path) -> SessionCopy:
    """Read a session folder; InputError where it is none, is damaged, or changes all the time."""
    check_folder(path)
    problem = InputError(f"{path.name} is being written at this moment; try again.")
    for _ in range(TRIES):
        before = _signs(path)
        try:
            found = _read(path)
        except InputError as error:
            problem = error
        else:
            if _signs(path) == before:
                return found
        time.sleep(PAUSE)
    raise problem


def kept_state(path: Path) -> SessionState:
    """The state of a session folder, that of a change which was begun where there is one."""
    if (path / JOURNAL).exists():
        return SessionState.from_json(read_journal(path)[0])
    return read_state(path)


def changed_at(path: Path) -> float:
    """Time of the last change of a session folder, in seconds since 1970; 0 where there was none."""
    signs = [sign for sign in _signs(path) if sign is not None]
    return max((when for _, when in signs), default=0) / 1e9


def _read(path: Path) -> SessionCopy:
    begun: dict[int, NDArray[np.uint16]] = {}
    if (path / JOURNAL).exists():
        text, begun = read_journal(path)
        state = SessionState.from_json(text)
    else:
        state = read_state(path)
    paint = open_paint(path, state, "r")
    planes = {
        index: np.asarray(paint[index], np.uint16)
        for index in painted_chunks(path, state.stack.shape[0])
    }
    return SessionCopy(path, state, planes | begun)


def _signs(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Differ when the folder has changed: every change replaces both files."""
    return tuple(_sign(path / name) for name in (STATE, JOURNAL))


def _sign(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
