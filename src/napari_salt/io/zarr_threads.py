"""Threads of zarr, without which it neither reads nor writes."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from typing import Any

import zarr
from zarr.storage import MemoryStore

_ENOUGH = 8
"""Threads that saving has in use at most, and some to spare."""
_LONGEST = 0.5
"""Seconds that threads wait for one that does not come: their number is a guess where others have set it."""


class _Meeting(MemoryStore):
    """Keeps each chunk's thread until there is one for every chunk."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._all = threading.Barrier(count)

    async def set(self, key: str, value: Any, byte_range: tuple[int, int] | None = None) -> None:
        """As any store, later."""
        if key.startswith("c/"):
            await asyncio.to_thread(self._meet)
        await super().set(key, value, byte_range)

    def _meet(self) -> None:
        with suppress(threading.BrokenBarrierError):
            self._all.wait(_LONGEST)


def start_threads() -> None:
    """Have zarr start its threads, which it does one by one when those there are do not suffice.

    Python 3.12 starts none any more from when it begins to end, and zarr then fails or waits for ever; so who may have
    to save at the end calls this in time. Takes some milliseconds.
    """
    count = _count()
    array = zarr.create_array(_Meeting(count), shape=(count, 1), chunks=(1, 1), dtype="uint8")
    array[:] = 1


def _count() -> int:
    """As many as saving needs, if zarr may have so many: see `concurrent.futures.ThreadPoolExecutor`."""
    processors = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    most = zarr.config.get("threading.max_workers") or processors + 4
    return max(1, min(_ENOUGH, int(most), int(zarr.config.get("async.concurrency") or _ENOUGH)))
