"""How unlike the slices of a stack are, all slices against one at a time; numpy only.

Every answer is worked out for the whole stack at once: the window waits for it, and to ask slice by slice took a
quarter of a second on 150 slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import SliceSummary

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_GAP = 0.03
"""Slices nearer to each other than this part of the stack are near-duplicates."""
_ALIKE = 0.1
"""So are slices whose descriptors differ by less than this part of the usual difference."""


class Looks:
    """How unlike two slices are: by descriptors where both have one, else by position alone.

    ``summaries`` may cover a part of the ``total`` slices. All vectors that come out have one number a slice,
    ``(total,)``.
    """

    def __init__(self, summaries: Sequence[SliceSummary], total: int) -> None:
        self._total = total
        self._gap = max(1, round(_GAP * total))
        self._index = np.arange(total)
        vectors = {
            s.index: np.asarray(s.descriptor, np.float64)
            for s in summaries
            if s.descriptor is not None and np.isfinite(s.descriptor).all()
        }
        stacked, usual = np.zeros((0, 0)), 0.0
        if len({vector.shape for vector in vectors.values()}) == 1 and len(vectors) > 2:
            stacked = np.stack(list(vectors.values()))
            usual = float(np.median(np.linalg.norm(stacked - stacked.mean(axis=0), axis=1)))
        self._usual = usual
        self.described: Mask = np.zeros(total, bool)
        """Which slices have a descriptor that can be compared."""
        self._descriptors = np.zeros((total, stacked.shape[1] if usual > 1e-9 else 0))
        if usual > 1e-9:
            self.described[list(vectors)] = True
            self._descriptors[list(vectors)] = stacked
        self._contrasts: dict[int, Floats] = {}

    def apart(self, others: Iterable[int]) -> Floats:
        """Difference to the nearest of ``others``, 0..1; 1 when there are none."""
        nearest = np.ones(self._total)
        for other in others:
            np.minimum(nearest, self._difference(other), out=nearest)
        return nearest

    def alike(self, others: Iterable[int]) -> Mask:
        """Which slices are near-duplicates of one of ``others``."""
        found = np.zeros(self._total, bool)
        for other in others:
            found |= np.abs(self._index - other) < self._gap
            found |= self._contrast(other) < _ALIKE
        return found

    def spread(self, others: Iterable[int]) -> Floats:
        """Room around a slice, 0..1; the ends of a stack are often empty, so they count as near."""
        room = np.minimum(2 * self._index + 1, 2 * (self._total - self._index) - 1)
        for other in others:
            room = np.minimum(room, np.abs(self._index - other))
        return np.asarray(room / max(1, self._total), np.float64)

    def typical(self) -> Floats:
        """How near a slice with a descriptor is to the mean look of its stack, 0..1."""
        mean = self._descriptors[self.described].mean(axis=0)
        away = np.linalg.norm(self._descriptors - mean, axis=1)
        return np.asarray(1.0 / (1.0 + away / self._usual), np.float64)

    def _difference(self, other: int) -> Floats:
        # Within a quarter of the stack position says how far; beyond that far is far.
        position = np.minimum(1.0, np.abs(self._index - other) / max(1.0, self._total / 4))
        contrast = self._contrast(other)
        mixed = 0.5 * position + 0.5 * np.minimum(1.0, contrast / 2)
        return np.where(np.isinf(contrast), position, mixed)

    def _contrast(self, other: int) -> Floats:
        """Distance of descriptors in units of the usual one; infinite when one is missing."""
        known = self._contrasts.get(other)
        if known is None:
            known = np.full(self._total, np.inf)
            if self.described[other]:
                between = self._descriptors[self.described] - self._descriptors[other]
                known[self.described] = np.linalg.norm(between, axis=1) / self._usual
            self._contrasts[other] = known
        return known
