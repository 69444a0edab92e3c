"""A small stack with two shapes that the tests of the command line share."""

from __future__ import annotations

import numpy as np


def disks(count: int = 7, size: int = 48):
    """A grey stack of two bright shapes on noise, and their labels 1 and 2."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    labels = np.zeros((count, size, size), np.uint8)
    for index in range(count):
        labels[index][(rows - 15) ** 2 + (columns - 14 - index) ** 2 < 70] = 1
        labels[index][26 + index // 2 : 42, 20:40] = 2
    image = np.array([20, 110, 200], np.uint8)[labels] + random.integers(0, 20, labels.shape)
    return image.astype(np.uint8), labels
