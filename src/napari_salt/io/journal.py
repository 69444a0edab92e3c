"""The change that a session folder was about to make when its program died, checked before any of it is used."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_salt.io.session_state import SessionState

LONGEST_HEADER = 1024
"""Bytes before the pixels of a slice."""


@contextmanager
def open_journal(
    path: Path, state_name: str, largest_state: int
) -> Iterator[tuple[str, Mapping[int, NDArray[np.uint16]]]]:
    """The state's JSON and the paint ``(Y, X)`` uint16 by slice; one slice at a time is in memory.

    Everything is looked through first: a journal that is damaged anywhere changes nothing.

    Raises
    ------
    One of `damage.UNREADABLE`, or `InputError` where the state in it is no state.
    """
    with zipfile.ZipFile(path) as journal:
        head = journal.getinfo(state_name)
        if head.file_size > largest_state:
            raise ValueError("too large")
        text = journal.read(head).decode("utf-8")
        planes = _JournalPlanes(journal, SessionState.from_json(text).stack.shape)
        if journal.testzip() is not None:
            raise ValueError("damaged")
        yield text, planes


class _JournalPlanes(Mapping[int, NDArray[np.uint16]]):
    """Slices of a journal for a stack of ``shape`` (N, Y, X), read when they are asked for."""

    def __init__(self, journal: zipfile.ZipFile, shape: tuple[int, int, int]) -> None:
        self._journal, self._size = journal, shape[1:]
        self._entries: dict[int, zipfile.ZipInfo] = {}
        most = 2 * shape[1] * shape[2] + LONGEST_HEADER
        for entry in journal.infolist():
            name, _, kind = entry.filename.partition(".")
            if kind != "npy":
                continue
            if entry.file_size > most or not 0 <= int(name) < shape[0]:
                raise ValueError("not a slice")
            with journal.open(entry) as file:
                self._check_header(cast("BinaryIO", file))
            self._entries[int(name)] = entry

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """Paint of one slice."""
        rows, columns = self._size
        with self._journal.open(self._entries[index]) as file:
            self._check_header(cast("BinaryIO", file))
            pixels = file.read(2 * rows * columns)
        return np.frombuffer(pixels, np.uint16).reshape(self._size)

    def __iter__(self) -> Iterator[int]:
        """Indices of the slices."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Number of slices."""
        return len(self._entries)

    def _check_header(self, file: BinaryIO) -> None:
        """Leave ``file`` at its first pixel; ValueError where it is of another type or size than the paint."""
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file, max_header_size=LONGEST_HEADER)
        if shape != self._size or fortran or dtype != np.dtype("<u2"):
            raise ValueError("not paint")
