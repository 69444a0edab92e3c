"""Resizing of images that are too large to be held: any part of the result from the part of the image it depends on.

The numbers are those of `framing.resize` (bilinear, smoothing where it shrinks) up to rounding in the last bits, and
each pixel is computed alike whatever part it is asked for with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Axis:
    """Pixels ``start`` to ``stop`` of an axis that is resized from ``length`` to ``new`` pixels."""

    length: int
    new: int
    start: int
    stop: int

    @property
    def needed(self) -> tuple[int, int]:
        """First pixel of the image that is needed, and the one after the last."""
        if self.length == self.new:
            return self.start, self.stop
        first, last = self._bounds()
        return int(first[0]), int(last[-1])

    def apply(self, values: Tensor, begin: int, dim: int) -> Tensor:
        """``values`` resized along ``dim``, where they begin with pixel ``begin`` of the image."""
        if self.length == self.new:
            return values.narrow(dim, self.start - begin, self.stop - self.start)
        index, weight = self._taps()
        shape = [1] * values.ndim
        shape[dim] = -1
        total: Tensor | None = None
        for tap in range(index.shape[1]):
            picked = values.index_select(dim, torch.from_numpy(index[:, tap] - begin))
            picked *= torch.from_numpy(weight[:, tap]).reshape(shape)
            total = picked if total is None else total.add_(picked)
        assert total is not None
        return total

    def _centres(self) -> tuple[NDArray[np.floating], float]:
        """Where the pixels lie in the image, and how far they look to either side."""
        scale = self.length / self.new
        return (np.arange(self.start, self.stop) + 0.5) * scale, max(scale, 1.0)

    def _bounds(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        centre, reach = self._centres()
        first = np.maximum(np.floor(centre - reach + 0.5), 0).astype(np.intp)
        last = np.minimum(np.floor(centre + reach + 0.5), self.length).astype(np.intp)
        return first, last

    def _taps(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """(M, T) pixels of the image, and the weight of each: a triangle as wide as the step, sum 1."""
        centre, reach = self._centres()
        first, last = self._bounds()
        index = first[:, None] + np.arange(int((last - first).max()))
        weight = np.clip(1 - np.abs((index + 0.5 - centre[:, None]) / reach), 0, None)
        weight[index >= last[:, None]] = 0
        weight /= weight.sum(1, keepdims=True)
        return np.minimum(index, last[:, None] - 1), weight.astype(np.float32)


def resize_part(values: Tensor, begin: tuple[int, int], rows: Axis, columns: Axis) -> Tensor:
    """Part of a resized image.

    ``values`` (C, h, w) hold the image from pixel ``begin`` on, at least what ``rows`` and ``columns`` need.
    """
    return rows.apply(columns.apply(values, begin[1], 2), begin[0], 1)
