"""Voxels that a header announces, in its own file or one beside it: mapped where they lie bare, else unpacked once."""

from __future__ import annotations

import bz2
import gzip
import math
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, check_room, one_line
from napari_salt.io.lazy_array import LazyArray
from napari_salt.scratch import scratch
from napari_salt.session.stack import ArrayLike

Packing = Literal["", "gzip", "bzip2", "zlib"]

IN_MEMORY = 512 * 2**20
"""Packed voxels of up to this many bytes, unpacked, are kept in memory; more go to a temporary file."""

_PART = 2**20
_MOST_DEFLATED = 1032
"""Bytes that one byte of Deflate can stand for, at the most."""


@dataclass(frozen=True)
class RawVoxels:
    """What a header says of its voxels.

    Attributes
    ----------
    header
        The file that says so.
    file
        The file that has them, which may be the same.
    start
        Bytes before the first one, packed as they are; None where they are the last ones in the file.
    shape, dtype
        Of the array, the axis that runs fastest being the last.
    packing
        How they are packed; empty where they lie bare.
    """

    header: Path
    file: Path
    start: int | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    packing: Packing = ""

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels, unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> ArrayLike:
        """The voxels; none is read yet.

        Raises
        ------
        InputError
            When the shape cannot be, or the file is too short for it.
        """
        if not self.shape or min(self.shape) < 1:
            raise InputError(
                f"{self.header.name} has no voxels (its sizes are {' × '.join(map(str, self.shape))}); save it again."
            )
        there = self.file.stat().st_size
        start = there - self.nbytes if self.start is None else self.start
        most = there - start
        if self.packing in ("gzip", "zlib"):
            most *= _MOST_DEFLATED
        if start < 0 or most <= 0 or (most < self.nbytes and self.packing != "bzip2"):
            raise InputError(
                f"{self.file.name} is cut short, or {self.header.name} speaks of more voxels than there are; copy it "
                "again."
            )
        if self.packing:
            return _Unpacked(self, start)
        try:
            return np.memmap(self.file, self.dtype, "r", start, self.shape)
        except UNREADABLE as error:
            raise InputError(
                f"The voxels of {self.header.name} cannot be read ({one_line(error)}); copy it again."
            ) from error


def file_beside(header: Path, name: str) -> Path:
    """The file that a header names as the one with its voxels.

    Raises
    ------
    InputError
        When it is not there, or would be anywhere but in the folder of the header.
    """
    if not name or name in (".", "..") or any(sign in name for sign in "/\\:\0"):
        raise InputError(
            f"{header.name} says that its voxels are in '{name[:200]}', but only a file in its own folder is read; "
            "put that file beside it, and its bare name into the header."
        )
    file = header.parent / name
    if not file.is_file():
        raise InputError(
            f"The voxels of {header.name} are in {name}, which is not beside it; put both files into one folder."
        )
    return file


class _Unpacked(LazyArray):
    """Packed voxels, all unpacked when the first are asked for."""

    def __init__(self, voxels: RawVoxels, start: int) -> None:
        super().__init__(voxels.shape, voxels.dtype)
        self._said, self._start = voxels, start
        self._lock = threading.Lock()
        self._found: NDArray[Any] | None = None
        self._room: NDArray[Any] | None = (
            None  # a temporary file goes when nobody holds its array any more
        )

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        with self._lock:
            if self._found is None:
                self._found = self._unpack()
        return np.asarray(self._found[key])

    def _unpack(self) -> NDArray[Any]:
        said = self._said
        if said.nbytes <= IN_MEMORY:
            check_room(said.nbytes, said.header.name)
            room: NDArray[Any] = np.empty(said.nbytes, np.uint8)
        else:
            room = scratch((said.nbytes,), np.uint8)
        done = 0
        try:
            with said.file.open("rb") as file:
                file.seek(self._start)
                for part in _parts(file, said.packing):
                    few = part[: said.nbytes - done]
                    room[done : done + len(few)] = np.frombuffer(few, np.uint8)
                    done += len(few)
                    if done == said.nbytes:
                        break
        except UNREADABLE as error:
            raise InputError(
                f"The voxels of {said.header.name} cannot be unpacked ({one_line(error)}); the file may be damaged or "
                "cut short, so copy it again."
            ) from error
        if done < said.nbytes:
            raise InputError(
                f"{said.file.name} is cut short: it ends before its last voxel; copy it again."
            )
        self._room = room
        return room.view(said.dtype).reshape(said.shape)


def _parts(file: IO[bytes], packing: Packing) -> Iterator[bytes]:
    """What is in a file, unpacked, in parts that are not large."""
    if packing == "zlib":
        yield from _inflated(file)
        return
    unpacking = gzip.GzipFile(fileobj=file) if packing == "gzip" else bz2.BZ2File(file)
    with unpacking:
        yield from iter(lambda: unpacking.read(_PART), b"")


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # with the header of zlib or of gzip
    while not unpacking.eof:
        packed = unpacking.unconsumed_tail or file.read(_PART)
        if not packed:
            return
        yield unpacking.decompress(packed, _PART)
