"""Which image is which, by its pixels: files are moved, renamed and copied."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.errors import UnreadableSlice

if TYPE_CHECKING:
    from napari_salt.records import Planes

SLICES_COMPARED, BYTES_COMPARED = 64, 2**28
"""How many slices tell one stack from another that is nearly the same, and how much is read of them."""
_UNREADABLE = b"a slice that cannot be read"


def identity(planes: Planes) -> str:
    """Tells a stack by its geometry and the pixels of its first, middle and last slice.

    Reads those slices; safe to run beside the viewer. One that cannot be read counts as just that;
    ``UnreadableSlice`` where none can.
    """
    count = planes.info.shape[0]
    return _digest(planes, {0, count // 2, count - 1})


def closer_identity(planes: Planes) -> str:
    """The same by `SLICES_COMPARED` slices spread over the stack, or fewer where those are too much to read.

    For masks of a stack whose file may have changed between two parts of a run.
    """
    count, *size = planes.info.shape
    plane = prod(size) * planes.info.channels * np.dtype(planes.info.dtype).itemsize
    many = max(3, min(SLICES_COMPARED, BYTES_COMPARED // max(1, plane)))
    return _digest(planes, {round(place) for place in np.linspace(0, count - 1, many).tolist()})


def _digest(planes: Planes, slices: Set[int]) -> str:
    info = planes.info
    digest = hashlib.sha256(repr((info.shape, info.channels, info.rgb, info.dtype)).encode())
    problems = []
    for index in sorted(slices):
        try:
            digest.update(np.ascontiguousarray(planes.plane(index)).tobytes())
        except UnreadableSlice as error:
            digest.update(_UNREADABLE)
            problems.append(error)
    if len(problems) == len(slices):
        raise problems[0]
    return digest.hexdigest()
