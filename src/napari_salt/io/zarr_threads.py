"""Threads of zarr, without which it neither reads nor writes."""

from __future__ import annotations

import zarr
from zarr.storage import MemoryStore

_CHUNKS = 8
"""Chunks that are written at once, each by a thread."""


def start_threads() -> None:
    """Have zarr start its threads, which it does when it first needs them.

    Python 3.12 starts none any more from when it begins to end, and zarr then waits for ever; so who may have to save
    at the end calls this in time. Takes some milliseconds.
    """
    array = zarr.create_array(MemoryStore(), shape=(_CHUNKS, 1), chunks=(1, 1), dtype="uint8")
    array[:] = 1
