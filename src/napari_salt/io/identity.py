"""Which image is which, by its pixels: files are moved, renamed and copied."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_salt.records import Planes

SLICES_COMPARED, BYTES_COMPARED = 64, 2**28
"""How many slices tell one stack from another that is nearly the same, and how much is read of them."""


def identity(planes: Planes) -> str:
    """Tells a stack by its geometry and the pixels of its first, middle and last slice.

    Reads those slices; safe to run beside the viewer.
    """
    count = planes.info.shape[0]
    return _digest(planes, {0, count // 2, count - 1})


def closer_identity(planes: Planes) -> str:
    """The same by `SLICES_COMPARED` slices spread over the stack, or fewer where those are too much to read.

    For masks of a stack whose file may have changed between two parts of a run.
    """
    count = planes.info.shape[0]
    first = np.ascontiguousarray(planes.plane(0)).nbytes
    many = max(3, min(SLICES_COMPARED, BYTES_COMPARED // max(1, first)))
    return _digest(planes, {round(place) for place in np.linspace(0, count - 1, many).tolist()})


def _digest(planes: Planes, slices: Set[int]) -> str:
    info = planes.info
    digest = hashlib.sha256(repr((info.shape, info.channels, info.rgb, info.dtype)).encode())
    for index in sorted(slices):
        digest.update(np.ascontiguousarray(planes.plane(index)).tobytes())
    return digest.hexdigest()
