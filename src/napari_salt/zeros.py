"""Zeros that take memory only where something is written, however many there are."""

from __future__ import annotations

import mmap
import sys
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_salt.errors import InputError

LARGE = 256 * 1024**2
"""Bytes up to which nobody refuses ordinary zeros."""
_NO_RESERVE = 0x4000
"""``MAP_NORESERVE`` of Linux, which Python does not name everywhere."""


def untouched_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros of which only pages that are written to take memory, also where all of them would never fit into it.

    An array for the paint of a stack of 100,000 slices is larger than most computers' memory, and nobody paints all of
    it. Linux would refuse it for its size alone, unless told that no memory is to be set aside for it.

    Raises
    ------
    InputError
        The system gives no such room.
    """
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    try:
        if size <= LARGE or sys.platform != "linux":
            return np.zeros(shape, kind)
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    except (MemoryError, OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"Paint for an image of {' × '.join(map(str, shape))} needs {size / 1e9:.0f} GB of addresses, which this "
            "computer does not give; work at a coarser level, or on a part of the image."
        ) from error
    return np.frombuffer(pages, kind).reshape(shape)
