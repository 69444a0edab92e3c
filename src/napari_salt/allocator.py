"""What the C library does with memory that is freed. No torch here.

A pass through a network frees and asks again for the same few megabytes hundreds of times. glibc learns with time to
keep them, more or less, unless somebody has set its thresholds. dask does so for all its workers
(MALLOC_TRIM_THRESHOLD_ = 65536), and each of these blocks goes back to the system and comes as new, empty pages: half a
million page faults a slice, which nearly doubled its time (measured).
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h."""
KEPT = 32 * 2**20
"""Bytes up to which a block is kept for the next that asks: the most that glibc itself would learn."""


def keep_freed_memory() -> bool:
    """From now on keep freed blocks up to `KEPT`, and twice as much at the end of the heap, as glibc would by itself.

    For a process that computes. False where the C library does not let itself be told (not glibc).
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_TRIM_THRESHOLD, 2 * KEPT))
