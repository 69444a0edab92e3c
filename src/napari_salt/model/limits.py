"""Intensities of a stack, measured on a sample of its pixels; no torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.intensity import AUTO, Limits
from napari_salt.model.readable import readable
from napari_salt.regions import is_large, with_regions

if TYPE_CHECKING:
    from napari_salt.records import IntensityChoice, Planes

SAMPLED_PLANES = 16
SAMPLED_PIXELS = 65536
SAMPLED_BLOCKS, SAMPLED_BLOCK = 12, 24
"""Of a slice that is too large to be read, so many blocks a side are sampled, of so many pixels a side."""


def measure_limits(planes: Planes, choice: IntensityChoice = AUTO) -> Limits:
    """Percentiles (of ``choice``; of the default one for a window) and extremes over evenly spaced slices.

    Pixels that are not finite do not count; a colour image has one scale for its channels, alpha left out. A slice
    nearby stands for one that cannot be read; ``UnreadableSlice`` where most cannot.
    """
    info, planes = planes.info, readable(planes)
    slices = measured_slices(info.shape[0])
    pixels = sampled_pixels(planes, slices)
    planes.check(slices)
    if info.rgb:
        pixels = pixels[:, :3].reshape(-1, 1)
    percentile = choice if choice.method == "percentile" else AUTO
    found = [_robust_range(channel, percentile) for channel in pixels.T]
    low, high, least, most = zip(*found, strict=True)
    repeat = 3 if info.rgb else 1
    return Limits(low * repeat, high * repeat, least * repeat, most * repeat, _digest(pixels))


def sampled_pixels(planes: Planes, slices: Sequence[int]) -> NDArray[np.float64]:
    """(M, C): pixels of these ``slices``, about `SAMPLED_PIXELS` of each."""
    large = is_large(planes.info)
    samples = []
    for index in slices:
        plane = np.asarray(_blocks(planes, index) if large else planes.plane(index))
        pixels = plane.reshape(-1, plane.shape[-1] if plane.ndim == 3 else 1)
        step = max(1, len(pixels) // SAMPLED_PIXELS)
        samples.append(pixels[::step].astype(np.float64))
    return np.concatenate(samples)


def measured_slices(count: int) -> list[int]:
    """The slices of a stack of ``count`` that `measure_limits` reads; rising."""
    chosen = np.linspace(0, count - 1, min(count, SAMPLED_PLANES)).round().astype(int)
    return [int(index) for index in np.unique(chosen)]


def _blocks(planes: Planes, index: int) -> NDArray[Any]:
    """Small blocks spread evenly over a large slice, as one plane (h, w[, C])."""
    regions, (_, *size) = with_regions(planes), planes.info.shape
    edges = [min(length, SAMPLED_BLOCK) for length in size]
    starts = [
        np.unique(np.linspace(0, length - edge, SAMPLED_BLOCKS).round().astype(int))
        for length, edge in zip(size, edges, strict=True)
    ]
    return np.concatenate(
        [
            np.concatenate(
                [
                    regions.region(index, slice(y, y + edges[0]), slice(x, x + edges[1]))
                    for x in starts[1].tolist()
                ],
                axis=1,
            )
            for y in starts[0].tolist()
        ]
    )


def _digest(values: NDArray[np.float64]) -> str:
    """A hash of numbers, the same on every machine."""
    values = np.where(np.isnan(values), np.nan, values)  # of which there are many by their bits
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()


def _robust_range(
    values: NDArray[np.float64], choice: IntensityChoice
) -> tuple[float, float, float, float]:
    """Percentiles and extremes of those ``values`` (M,) that are numbers; 0..1 where there are none.

    The range between the percentiles is never empty.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0, 0.0, 1.0
    low, high = np.percentile(values, (choice.low, choice.high))
    least, most = float(values.min()), float(values.max())
    if high <= low:
        low, high = least, most
    return float(low), float(high if high > low else low + max(1.0, abs(low))), least, most
