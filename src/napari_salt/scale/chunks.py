"""How a stack is divided among workers, and what is sent of it where they cannot read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.scale.orders import SentPlanes

if TYPE_CHECKING:
    from napari_salt.records import Planes

LONGEST = 32
"""Slices of a chunk at most: what a stopped job computes in vain, and what is computed again when a worker is lost."""
PER_WORKER = 8
"""Chunks that each worker gets at the least, so that all end at about the same time."""
SHORTEST_TOGETHER = 16
"""Slices of a chunk at the least where slices are seen together with others, if there are as many for each worker: one
more is looked at, at either end, where neighbours decide together, and four where forests look along the stack."""
LARGEST_SENT = 64 * 1024**2
"""Bytes of planes sent with one chunk, if it is more than one slice."""
MOST_SENT = 4 * 1000**3
"""Bytes of planes sent with a whole job."""


def chunks_of(
    slices: Sequence[int], workers: int, plane_bytes: int = 0, *, together: bool = False
) -> list[tuple[int, ...]]:
    """Parts of ``slices`` in their order.

    ``plane_bytes`` is what is sent of each slice, ``together`` says that slices are seen together with others.
    """
    count, workers = len(slices), max(1, workers)
    length = min(LONGEST, max(1, count // (PER_WORKER * workers)))
    if together and length < SHORTEST_TOGETHER:
        rounds = max(1, count // (SHORTEST_TOGETHER * workers))
        length = max(1, -(-count // (rounds * workers)))
    if plane_bytes:
        length = min(length, max(1, LARGEST_SENT // plane_bytes))
    return [tuple(slices[start : start + length]) for start in range(0, count, length)]


def sent_with(planes: Planes, slices: Sequence[int]) -> SentPlanes:
    """The planes of ``slices``, in memory."""
    read = {index: np.ascontiguousarray(planes.plane(index)) for index in slices}
    return SentPlanes(planes.info, read)
