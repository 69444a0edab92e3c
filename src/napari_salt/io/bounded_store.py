"""A zarr store on disk from which no chunk comes that would unpack to more than its array says."""

from __future__ import annotations

import bz2
import json
import lzma
import math
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, WrapperStore

from napari_salt.io.zarr_chunks import MAGIC, zstd_size

WIDEST_PIXEL = 16
"""Bytes of the widest type of numbers."""
SLACK = 1 << 16
LONGEST_METADATA = 1 << 28
PIECE = 1 << 20
"""Bytes that are unpacked at a time, only to be counted."""
_METADATA = ("zarr.json", ".zarray", ".zmetadata")
_STREAMS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"\x78\x01": zlib.decompressobj,
    b"\x78\x9c": zlib.decompressobj,
    b"\x78\xda": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
}
"""Formats that do not say how much they become, by how they start."""


class BoundedStore(WrapperStore[LocalStore]):
    """Passes on what a store holds, and refuses chunks that would unpack to much more than a chunk.

    How large a chunk is it learns from the arrays' metadata as they pass by.
    """

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._most: dict[str, int] = {}

    @staticmethod
    def of(folder: Path, *, read_only: bool = True) -> BoundedStore:
        """The store of a folder."""
        return BoundedStore(LocalStore(folder, read_only=read_only))

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """As any store; ``ValueError`` for a chunk that is or would become too large, and for what is no plain file."""
        self._check_file(key)
        value = await super().get(key, prototype, byte_range)
        if value is None:
            return None
        folder, _, name = key.rpartition("/")
        if name in _METADATA:
            self._learn(folder, value.to_bytes())
        elif (most := self._most_of(key)) is not None:
            check_unpacked(value.to_bytes(), most)
        return value

    def _check_file(self, key: str) -> None:
        """Before anything is read: a pipe is waited for without end, and a file is read as a whole."""
        try:
            found = (self._store.root / key).stat()
        except (OSError, ValueError):
            return  # nothing there, or nothing that can be: zarr itself knows what to do
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise ValueError(f"{key} is no ordinary file")
        most = self._most_of(key)
        most = LONGEST_METADATA if most is None or key.endswith(_METADATA) else 2 * most + SLACK
        if found.st_size > most:
            raise ValueError(
                f"{key} has {found.st_size} bytes, where at most {most} bytes make sense"
            )

    def _learn(self, folder: str, text: bytes) -> None:
        """Note the chunk sizes of an array, or of all arrays whose metadata a group has gathered."""
        try:
            content = json.loads(text)
            self._note(folder, content)
            gathered = content.get("consolidated_metadata") or content
            for path, inner in (gathered.get("metadata") or {}).items():
                parts = (folder, path.removesuffix(".zarray").strip("/"))
                self._note("/".join(part for part in parts if part), inner)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return  # zarr itself will say what is wrong with it

    def _note(self, folder: str, content: Any) -> None:
        grid = content.get("chunk_grid") or {"configuration": {}}
        shape = content.get("chunks") or grid["configuration"].get("chunk_shape")
        if shape is not None:
            self._most[folder] = math.prod(int(length) for length in shape) * WIDEST_PIXEL

    def _most_of(self, key: str) -> int | None:
        fitting = [one for one in self._most if not one or key.startswith(f"{one}/")]
        return self._most[max(fitting, key=len)] if fitting else None


def check_unpacked(content: bytes, most: int) -> None:
    """``ValueError`` where compressed ``content`` becomes more than ``most`` bytes, and some slack."""
    if content.startswith(MAGIC):
        size = zstd_size(content[:18]) or 0
    else:
        stream = next((make for start, make in _STREAMS.items() if content.startswith(start)), None)
        size = 0 if stream is None else _counted(stream(), content, most + SLACK)
    if size > most + SLACK:
        raise ValueError(f"a chunk of at most {most} bytes would become {size} bytes or more")


def _counted(stream: Any, content: bytes, most: int) -> int:
    """Bytes that come out of a decompressor, counted up to a little over ``most``; 0 where it is no such stream."""
    size, rest = 0, content
    try:
        while size <= most and not stream.eof:
            piece = stream.decompress(rest, PIECE)
            rest = getattr(stream, "unconsumed_tail", b"")
            if not piece and not rest:
                break
            size += len(piece)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return 0  # plain numbers that start like one
    return size
