"""A session on disk: a folder ``*.salt`` with paint, labels, rounds and their adapters.

::

    brain.salt/
      session.json     labels, complete slices, rounds, settings (`session_state.SessionState`)
      paint.zarr       (N, Y, X) uint16, one slice a chunk; slices without paint take no room
      adapters/        round-1.salt.safetensors, …
      agreed-….zarr    paint of slices as it was when levels of the image last agreed (`session_state.AgreedState`)
      journal.zip      only while a change is being written

A change of several slices and of ``session.json`` is one step: it is written whole to the journal, which is renamed
into place, then to where it belongs, and then the journal goes. Whoever opens a folder with a journal writes it
again; so a program that dies at any moment leaves the state before the change or the one after it, never a mixture.
zarr keeps the paint because its chunks can be read by any program, and compressed paint is small.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_salt.errors import InputError, OutputError, SessionInUse
from napari_salt.io.atomic import atomic_write, reach_disk
from napari_salt.io.bounded_store import BoundedStore
from napari_salt.io.damage import UNREADABLE
from napari_salt.io.journal import open_journal
from napari_salt.io.session_state import DAMAGED, SessionState, adapter_name
from napari_salt.io.zarr_chunks import check_codecs
from napari_salt.sparse_plane import SparsePlane

SUFFIX = ".salt"
STATE, PAINT, ADAPTERS, JOURNAL, LOCK = (
    "session.json",
    "paint.zarr",
    "adapters",
    "journal.zip",
    "lock",
)
CHUNK = "c/{}/0/0"
"""Where zarr keeps a slice."""
AGREED = "agreed-{}.zarr"
"""Like the paint; by the mark of the agreement."""
LARGEST_STATE = 64 * 1024**2
"""Bytes of ``session.json`` that are read at most."""
CODECS = ("bytes", "zstd")
"""What the paint goes through on its way to the disk."""


class SessionFolder:
    """One open session folder; it holds a lock, so that no second window writes to it.

    Use `create` or `open_folder`; `close` gives the lock back.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock
        self._paint: Any = None

    # ---- opening

    @staticmethod
    def create(path: Path, state: SessionState) -> SessionFolder:
        """Make a new folder with no paint in it yet, which ``state`` should not speak of.

        Raises
        ------
        OutputError
            It exists already, or cannot be written; then nothing of it is left.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise OutputError(f"{path.name} exists already; choose another name.") from None
        except OSError as error:
            raise OutputError(_cannot_write(path, error)) from error
        folder = None
        try:
            folder = SessionFolder(path, _locked(path))
            folder._make(state)
            folder._write_state(state.to_json())
        except BaseException as error:
            if folder is not None:
                folder.close()
            shutil.rmtree(path, ignore_errors=True)  # of no use to anybody
            if isinstance(error, OSError):
                raise OutputError(_cannot_write(path, error)) from error
            raise
        return folder

    @staticmethod
    def open_folder(path: Path) -> SessionFolder:
        """Open a folder to go on in it, finishing a change that was interrupted.

        Raises
        ------
        InputError
            It is no session, or is damaged.
        SessionInUse
            Another window has it open.
        OutputError
            It cannot be written.
        """
        check_folder(path)
        folder = SessionFolder(path, _locked(path))
        try:
            folder._replay()
            folder._open_paint(folder.state())
        except BaseException:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    # ---- reading

    def state(self) -> SessionState:
        """Everything but the paint, checked."""
        return read_state(self.path)

    def paint(self, index: int) -> NDArray[np.uint16]:
        """``(Y, X)`` uint16 paint of one slice; InputError where it is damaged."""
        try:
            return np.asarray(self._paint[index], np.uint16)
        except UNREADABLE as error:
            raise InputError(DAMAGED) from error

    def agreed_paint(self) -> dict[int, SparsePlane]:
        """Paint when levels last agreed, of slices that have changed since; InputError where it is damaged."""
        state = self.state()
        changed = () if state.agreed is None else state.agreed.changed
        if state.agreed is None or not changed:
            return {}
        kept = open_paint(self.path, state, "r", AGREED.format(state.agreed.mark))
        try:
            return {index: SparsePlane.of(np.asarray(kept[index], np.uint16)) for index in changed}
        except UNREADABLE as error:
            raise InputError(DAMAGED) from error

    def painted_slices(self) -> tuple[int, ...]:
        """Slices that have paint on disk; rising."""
        return painted_chunks(self.path, self._paint.shape[0])

    @property
    def is_there(self) -> bool:
        """Whether it is still a session: a drive may go, and folders are tidied up."""
        return (self.path / STATE).is_file()

    @property
    def begun(self) -> bool:
        """Whether a change lies in the journal that is not yet where it belongs."""
        return (self.path / JOURNAL).exists()

    def adapter(self, name: str) -> Path:
        """Where the adapter of that file name lies."""
        return self.path / ADAPTERS / adapter_name(name)

    # ---- writing

    def save(self, state: SessionState, planes: Mapping[int, NDArray[np.uint16]]) -> None:
        """Write a change as one step: the state, and new paint ``(Y, X)`` of some slices.

        Adapters that ``state`` names, and what levels have agreed on, must have been kept before (`keep_adapter`,
        `keep_agreed`).

        Raises
        ------
        OutputError
            Disk full, folder gone or read only: what was saved before is still there.
        """
        if self.begun:
            self._replay()  # the disk refused in the middle of the change before: that one first, or it is lost
        text = state.to_json()
        with atomic_write(self.path / JOURNAL) as part, zipfile.ZipFile(part, "w") as journal:
            journal.writestr(STATE, text)
            for index, plane in planes.items():
                content = io.BytesIO()
                np.save(content, plane, allow_pickle=False)
                journal.writestr(f"{index}.npy", content.getvalue(), zipfile.ZIP_DEFLATED, 1)
        self._apply(text, planes)
        self._tidy(state)

    def keep_adapter(self, source: Path, name: str) -> Path:
        """Copy an adapter file into the folder, whole or not at all; returns its place there."""
        target = self.adapter(name)
        with atomic_write(target) as part:
            shutil.copyfile(source, part)
        return target

    def keep_agreed(self, state: SessionState, planes: Mapping[int, SparsePlane]) -> None:
        """Write what slices said when levels last agreed, of those that ``state`` says have changed since.

        It has no meaning before that state is saved. Raises ``OutputError`` where it cannot be written.
        """
        assert state.agreed is not None
        name = AGREED.format(state.agreed.mark)
        try:
            (self.path / STATE).stat()  # zarr would bring back a folder that is gone
            try:
                kept = open_paint(self.path, state, "r+", name)
            except InputError:  # not there, or of no use to anybody
                shutil.rmtree(self.path / name, ignore_errors=True)
                kept = _new_paint(self.path / name, state)
            for index, plane in planes.items():
                kept[index] = np.asarray(plane)
        except OSError as error:
            raise OutputError(_cannot_write(self.path, error)) from error

    def copy_to(self, path: Path) -> None:
        """Copy the whole session; ``path`` appears only when all of it is there.

        Raises ``OutputError`` when ``path`` exists or cannot be written.
        """
        if path.exists():
            raise OutputError(f"{path.name} exists already; choose another name.")
        part = path.with_name(f".{path.name}.part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.path, part, ignore=shutil.ignore_patterns(LOCK, ".*"))
            part.rename(path)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OutputError(_cannot_write(path, error)) from error

    def remove(self) -> None:
        """Delete the folder: nothing was done in this session."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    # ---- inside

    def _apply(self, text: str, planes: Mapping[int, NDArray[np.uint16]]) -> None:
        try:
            for index, plane in planes.items():
                self._paint[index] = plane
                with suppress(FileNotFoundError):  # a slice without paint has no chunk
                    reach_disk(self.path / PAINT / CHUNK.format(index))
        except OSError as error:
            raise OutputError(_cannot_write(self.path, error)) from error
        self._write_state(text)
        with suppress(FileNotFoundError):
            (self.path / JOURNAL).unlink()

    def _write_state(self, text: str) -> None:
        with atomic_write(self.path / STATE) as part:
            part.write_text(text, encoding="utf-8")

    def _make(self, state: SessionState) -> None:
        (self.path / ADAPTERS).mkdir()
        self._paint = _new_paint(self.path / PAINT, state)

    def _tidy(self, state: SessionState) -> None:
        """Remove what levels agreed on before they agreed anew."""
        name = None if state.agreed is None else AGREED.format(state.agreed.mark)
        for old in self.path.glob(AGREED.format("*")):
            if old.name != name:
                shutil.rmtree(old, ignore_errors=True)

    def _open_paint(self, state: SessionState) -> None:
        self._paint = open_paint(self.path, state, "r+")

    def _replay(self) -> None:
        """Write a journal that was left behind once more; one that is not whole was never begun."""
        if not self.begun:
            return
        text, planes = read_journal(self.path)
        self._open_paint(SessionState.from_json(text))
        self._apply(text, planes)


def read_state(path: Path) -> SessionState:
    """The state of a session folder, without opening it for writing; InputError where there is none."""
    file = path / STATE
    try:
        if file.stat().st_size > LARGEST_STATE:
            raise InputError(DAMAGED)
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not a session of napari-salt, or is damaged.") from error
    return SessionState.from_json(text)


def open_paint(path: Path, state: SessionState, mode: Literal["r", "r+"], name: str = PAINT) -> Any:
    """The zarr array of a session's paint, or of that name, checked; InputError where it is damaged."""
    try:
        store = BoundedStore.of(path / name, read_only=mode == "r")
        paint: Any = zarr.open_array(store, mode=mode, zarr_format=3)
        check_codecs(paint, CODECS)
    except UNREADABLE as error:
        raise InputError(DAMAGED) from error
    shape = state.stack.shape
    if (paint.shape, paint.chunks) != (shape, (1, *shape[1:])) or paint.dtype != np.uint16:
        raise InputError(DAMAGED)
    return paint


def _new_paint(path: Path, state: SessionState) -> Any:
    shape = state.stack.shape
    return zarr.create_array(
        path, shape=shape, dtype="uint16", chunks=(1, *shape[1:]), fill_value=0
    )


def painted_chunks(path: Path, count: int) -> tuple[int, ...]:
    """Slices below ``count`` with paint on disk: one chunk a slice, none where a slice is empty; rising."""
    written = (path / PAINT).glob(CHUNK.format("*"))
    found = (int(one.parts[-3]) for one in written if one.parts[-3].isdecimal())
    return tuple(sorted(index for index in found if index < count))


def check_folder(path: Path) -> None:
    """Refuse what is no session folder, and links, pipes and devices, which could lead anywhere."""
    if not (path / STATE).is_file() and not (path / JOURNAL).is_file():
        raise InputError(f"{path.name} is not a session of napari-salt; choose a folder *{SUFFIX}.")
    for folder, folders, files in os.walk(path):
        if not all(_is_plain(os.path.join(folder, name)) for name in (*folders, *files)):
            raise InputError(f"{path.name} holds links to other places and is not opened.")


def _is_plain(path: str) -> bool:
    """Whether a path is a file or a folder of its own."""
    status = os.lstat(path)
    junction = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return plain and getattr(status, "st_reparse_tag", 0) != junction


def _locked(path: Path) -> FileLock:
    lock = FileLock(path / LOCK, thread_local=False)  # taken by a writing thread, given back by any
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SessionInUse(
            f"The session {path.name} is open in another window; close it there first."
        ) from None
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    return lock


def read_journal(path: Path) -> tuple[str, dict[int, NDArray[np.uint16]]]:
    """The state and the paint of a change that a session folder has begun; InputError where it is damaged."""
    try:
        with open_journal(path / JOURNAL, STATE, LARGEST_STATE) as (text, planes):
            return text, dict(planes)
    except UNREADABLE as error:
        raise InputError(DAMAGED) from error


def _cannot_write(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or "the disk did not answer"
    return f"{path} cannot be written ({reason}); choose another folder or free space."
