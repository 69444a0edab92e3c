"""Noise along a stack: where neighbouring slices differ by no more than it, they decide together.

Masks of a noisy stack flicker from slice to slice. Blurring them in the plane would wipe out thin structures, and
averaging them along the stack small ones (both measured). So a neighbour counts, pixel by pixel, as far as the
smoothed images differ by no more than noise would make them: independent pictures and coarse stacks stay as they are.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import estimate_sigma

from napari_salt.model.framing import resize
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from napari_salt.model.framing import Intensity
    from napari_salt.records import Planes

NOISY = 0.02
"""Standard deviation of the noise, in parts of the intensity range, from which neighbours are asked."""
CLOSER, AT_MOST = 0.5, 0.1
"""Neighbours are asked where they are apart by at most `AT_MOST` and this part of what slices far from each other are:
independent pictures have the empty background in common, stacks more than that."""
BLUR = 1.0
"""Standard deviation, in pixels, of the Gaussian under which slices are compared."""
TOLERANCE = 3.0
"""Difference, in standard deviations of what noise leaves of it, at which a neighbour counts e^-1/2."""
SMALLEST = 8
"""Edge of a slice, in pixels, from which its noise can be told."""
COMPARED = 4
"""Pairs of slices that tell the noise of a stack."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A slice: intensities (C, Y, X), about 0..1, and probabilities (K + 1, h, w) on its detail grid, both float32."""

    image: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def compared_slices(count: int) -> list[int]:
    """The slices of a stack of ``count`` that tell its noise, rising: evenly spread pairs of neighbours."""
    pairs = min(count // 2, COMPARED)
    first = [(2 * pair + 1) * count // (2 * pairs) - 1 for pair in range(pairs)]
    return [index for one in first for index in (one, one + 1)]


def measure_noise(planes: Planes, intensity: Intensity) -> float:
    """Noise of a stack in parts of its intensity range; 0 where neighbours are better not asked.

    That is where there is little noise, where neighbouring slices show different things, and where slices are so large
    that they are worked on part by part.
    """
    images = _compared(planes, intensity)
    noise = _level(images) if images else 0.0
    return noise if noise >= NOISY and _go_on(images, noise) else 0.0


def noise_of(planes: Planes, intensity: Intensity) -> float | None:
    """Noise of a stack in parts of its intensity range; None where there is one slice, a small or a large one."""
    images = _compared(planes, intensity)
    return _level(images) if images else None


def _compared(planes: Planes, intensity: Intensity) -> list[NDArray[np.float32]]:
    """The `compared_slices` (C, Y, X); none where they do not tell the noise."""
    count, height, width = planes.info.shape
    if is_large(planes.info) or count < 2 or min(height, width) < SMALLEST:
        return []
    return [intensity.apply(planes.plane(index)).numpy() for index in compared_slices(count)]


def _level(images: Sequence[NDArray[np.float32]]) -> float:
    return float(np.median([_noise_of(image) for image in images]))


def _noise_of(image: NDArray[np.float32]) -> float:
    """Standard deviation of the noise of an image (C, Y, X); 0 where nothing varies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no coefficient at all
        found = float(estimate_sigma(image, average_sigmas=True, channel_axis=0))
    return found if math.isfinite(found) else 0.0


def _go_on(images: Sequence[NDArray[np.float32]], noise: float) -> bool:
    """Whether neighbours show what goes on along the stack, from pairs of them."""

    def apart(pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> float:
        found = [1 - float(neighbour_weight(one, other, noise).mean()) for one, other in pairs]
        return float(np.median(found)) if found else 1.0

    first, second = images[::2], images[1::2]
    far = apart(pairwise(first))
    return apart(zip(first, second, strict=True)) <= AT_MOST + CLOSER * far


def neighbour_weight(
    image: NDArray[np.float32], other: NDArray[np.float32], noise: float
) -> NDArray[np.float32]:
    """(Y, X): how far a neighbour (C, Y, X) counts, 0..1.

    White noise of standard deviation s in both leaves √2 s / (2 √π b) of their difference under a Gaussian of b pixels.
    """
    left = math.sqrt(2) * noise / (2 * math.sqrt(math.pi) * BLUR)
    apart = ndimage.gaussian_filter(image - other, (0, BLUR, BLUR)) / (left * TOLERANCE)
    weight: NDArray[np.float32] = np.exp(-0.5 * np.square(apart).mean(0, dtype=np.float32))
    return weight


def steady(here: Seen, beside: Sequence[Seen], noise: float) -> NDArray[np.float32]:
    """Probabilities (K + 1, h, w) of a slice, together with those ``beside`` it."""
    total = here.probabilities.copy()
    _, height, width = total.shape
    weights = np.ones((height, width), np.float32)
    for other in beside:
        weight = torch.from_numpy(neighbour_weight(here.image, other.image, noise))
        on_grid = resize(weight[None], (height, width))[0].numpy()
        total += on_grid * other.probabilities
        weights += on_grid
    total /= weights
    return total
