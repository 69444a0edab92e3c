"""Activations kept on disk under a size limit, least recently used out first, or for a while in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_salt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

BYTES_A_FRAME = 13 * 1024**2
"""Rough size of one frame's activations of ``lite-medsam``, prefix and tail, in half precision."""
DEFAULT_LIMIT = 3 * 1024**3
MEMORY_LIMIT = 256 * 1024**2
"""Of what `FeaturesInMemory` keeps, in bytes: some twenty frames."""
FORMAT = "1"
LIMIT_VARIABLE = "NAPARI_SALT_CACHE_MB"
FOLDER_VARIABLE = "NAPARI_SALT_CACHE"
CHECK = "crc32"
"""Where the checksum lies in a file's metadata."""


class FeatureCache:
    """Half-precision activations by content: a key stands for the very pixels of a frame and the very weights.

    Parameters
    ----------
    folder
        Where the files go; by default the user's cache folder, or ``$NAPARI_SALT_CACHE``.
    limit
        Bytes on disk; by default 3 GiB, or ``$NAPARI_SALT_CACHE_MB``. 0 keeps nothing.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        chosen = os.environ.get(FOLDER_VARIABLE)
        default = Path(chosen) if chosen else user_cache_path("napari-salt")
        self.folder = (folder or default) / "features"
        if limit is None:
            megabytes = os.environ.get(LIMIT_VARIABLE)
            limit = _megabytes(megabytes) if megabytes else DEFAULT_LIMIT
        self.limit = limit
        self._lock = threading.Lock()

    @staticmethod
    def key(frames: Tensor, *context: str) -> str:
        """Hash of ``frames`` (T, 3, S, S) and whatever else decides the activations."""
        digest = hashlib.sha256(FORMAT.encode())
        for part in context:
            digest.update(part.encode() + b"\0")
        digest.update(frames.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def get(self, key: str, device: torch.device) -> dict[str, Tensor] | None:
        """Stored values in float32 on ``device``, by rising name, or None; a damaged file counts as absent."""
        path = self._path(key)
        try:
            with safe_open(path, "pt") as file:
                check = (file.metadata() or {}).get(CHECK)
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        except (OSError, SafetensorError):
            return None
        if check != _check(tensors):
            return None
        with contextlib.suppress(OSError):  # a folder that can only be read still serves
            os.utime(path)
        return {name: values.to(device, torch.float32) for name, values in tensors.items()}

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store; a full or read-only disk only costs the time saved."""
        halves = _halves(tensors)
        size = _bytes(halves)
        if size > self.limit:
            return
        path = self._path(key)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with self._lock:
            try:
                path.parent.mkdir(0o700, parents=True, exist_ok=True)
                self._make_room(size)
                save_file(halves, temporary, metadata={CHECK: _check(halves)})
                temporary.replace(path)
            except (OSError, SafetensorError):
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def holds(self, frames: int) -> bool:
        """Whether so many frames fit into half of the limit."""
        return frames * BYTES_A_FRAME <= self.limit // 2

    def reading(self) -> FeatureCache:
        """The same to read from: nothing is added, and so nothing pushed out."""
        return _Reading(self.folder.parent, self.limit)

    def clear(self) -> None:
        """Forget everything."""
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _make_room(self, size: int) -> None:
        entries = []
        for path in self.folder.glob("*"):  # half files of killed jobs as well
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # another process made room at the same time
            entries.append((state.st_mtime, state.st_size, path))
        used = sum(entry[1] for entry in entries)
        for _, freed, path in sorted(entries):
            if used + size <= self.limit:
                return
            path.unlink(missing_ok=True)
            used -= freed


class _Reading(FeatureCache):
    """A cache that takes nothing."""

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Drop them."""


class FeaturesInMemory(FeatureCache):
    """The same in memory, up to ``limit`` bytes, for what one job looks at before its turn; later ones are dropped.

    What is read through `reading` goes: it is wanted once.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self.limit, self._used, self._once = limit, 0, False
        self._kept: dict[str, dict[str, Tensor]] = {}

    def get(self, key: str, device: torch.device) -> dict[str, Tensor] | None:
        """As `FeatureCache.get`."""
        found = self._kept.get(key)
        if found is None:
            return None
        if self._once:
            del self._kept[key]
        return {name: found[name].to(device, torch.float32) for name in sorted(found)}

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep, where there is room."""
        halves = _halves(tensors)
        size = _bytes(halves)
        if not self._once and self._used + size <= self.limit:
            self._kept[key] = halves
            self._used += size

    def holds(self, frames: int) -> bool:
        """No stack: it is for some of its slices."""
        return False

    def reading(self) -> FeatureCache:
        """Itself: from now on nothing is added, and what is read goes."""
        self._once = True
        return self

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._used = 0


def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As they come back from the disk: a result must not depend on whether the cache was filled before."""
    return {name: _through_half(values) for name, values in tensors.items()}


def _halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: values.detach().to("cpu", torch.float16).contiguous()
        for name, values in tensors.items()
    }


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(values.nbytes for values in tensors.values())


def _check(tensors: Mapping[str, Tensor]) -> str:
    """Checksum of names, shapes and values: a flipped bit makes features that look right and are not."""
    check = 0
    for name, values in sorted(tensors.items()):
        check = zlib.crc32(f"{name} {tuple(values.shape)} {values.dtype}".encode(), check)
        check = zlib.crc32(values.contiguous().numpy().view(np.uint8).data, check)
    return f"{check:08x}"


def _through_half(values: Tensor) -> Tensor:
    largest = torch.finfo(torch.float16).max
    # contiguous as well: sums over other strides differ in the last bit
    return values.clamp(-largest, largest).half().float().contiguous()


def _megabytes(text: str) -> int:
    try:
        return max(0, int(text)) * 1024**2
    except ValueError as error:
        raise InputError(
            f"{LIMIT_VARIABLE} is '{text}'; set it to a whole number of megabytes, or to nothing."
        ) from error
