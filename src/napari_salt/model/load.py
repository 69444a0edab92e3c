"""How many cores other programs keep busy. No torch: the engine says whether to heed it before torch is loaded.

Work that is shared out among threads waits for the slowest of them. Of two threads one may have to share its core with
the viewer, which has the right of way; both are then as slow as that one, and a single thread on the free core is
faster. With another program on one of two cores, a round took less than half the time with one thread (measured).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

WINDOW = 0.5
"""Seconds that a measurement covers at the least."""


def usable_cores() -> tuple[int, ...] | None:
    """Numbers of the cores that this process may use; None where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return None


@dataclass(frozen=True)
class Look:
    """Seconds on the clock, those that all cores together have been busy, and those of this process."""

    clock: float
    busy: float
    own: float


def look() -> Look:
    """What the system says now."""
    each, cores = psutil.cpu_times(percpu=True), usable_cores()
    mine = range(len(each)) if cores is None else cores
    # a virtual machine's guests are counted in user time as well, and waiting for a disk is no work
    busy = sum(
        one.user + one.system + getattr(one, "nice", 0.0) + getattr(one, "irq", 0.0)
        for number, one in enumerate(each)
        if number in mine
    )
    return Look(time.monotonic(), busy, time.process_time())


class OtherLoad:
    """Cores kept busy by others, over the last half second or more."""

    def __init__(self, look: Callable[[], Look] = look) -> None:
        self._look = look
        self._last = look()
        self._cores = 0.0

    def __call__(self) -> float:
        """At least 0; 0 until there is something to compare with."""
        now = self._look()
        seconds = now.clock - self._last.clock
        if seconds >= WINDOW:
            others = (now.busy - self._last.busy) - (now.own - self._last.own)
            self._cores, self._last = max(0.0, others / seconds), now
        return self._cores


_heeded: OtherLoad | None = None


def heed_others() -> None:
    """From now on leave to others the cores that they use; for a process that works in the background."""
    global _heeded
    _heeded = OtherLoad()


def others() -> float:
    """Cores to leave to others now; 0 in a process that was not told to heed them."""
    return 0.0 if _heeded is None else _heeded()
