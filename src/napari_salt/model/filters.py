"""Filters of a slice at full resolution, at several scales: those of interactive pixel classifiers.

Smoothed intensity, edge strength, ridge and blob strength.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_salt.model.framing import resize
from napari_salt.model.resampling import Axis, resize_part

SCALES = (0.7, 1.5, 3.0, 6.0, 12.0)
"""Standard deviations of the Gaussians, in pixels of the detail grid."""
COARSE = 3.0
"""A scale at least this wide (in pixels of its pyramid level) is computed on the next coarser level."""
REACH = 80
"""Pixels from which a response can be told, at the most."""
FILTERS_PER_CHANNEL = 1 + 4 * len(SCALES)


def filters(image: Tensor) -> Tensor:
    """Filter responses of an image.

    Parameters
    ----------
    image
        (C, Y, X) float32, intensities mostly in 0..1.

    Returns
    -------
    Tensor
        (C * FILTERS_PER_CHANNEL, Y, X): the intensity, then for each scale s: G_s * I, s |grad|,
        and s² times the larger and smaller eigenvalue of the Hessian (scale-normalised
        derivatives, Lindeberg 1998).
    """
    size = (image.shape[1], image.shape[2])
    responses = [image]
    level, factor = image, 1.0
    for scale in SCALES:
        level, factor = level_for(scale, level, factor)
        responses += [resize(one, size) for one in _responses(level, scale, factor)]
    return torch.cat(responses)


def level_for(scale: float, level: Tensor, factor: float) -> tuple[Tensor, float]:
    """The level of a pyramid that a ``scale`` is computed on, and how many times coarser than the image it is.

    ``level`` (C, h, w) is one that is fine enough, ``factor`` times coarser than the image.
    """
    while _next_level(scale, factor, (level.shape[1], level.shape[2])):
        half = ((level.shape[1] + 1) // 2, (level.shape[2] + 1) // 2)
        level, factor = resize(level, half), factor * 2
    return level, factor


def filters_of_part(
    image: Tensor, begin: tuple[int, int], size: tuple[int, int], part: tuple[slice, slice]
) -> Tensor:
    """`filters` of the ``part`` (rows, columns) of an image of ``size`` that is too large to be held.

    ``image`` (C, h, w) holds it from pixel ``begin`` on: the part and, where there is more, `REACH` pixels around it.
    """
    rows, columns = part
    responses = [image[:, rows.start - begin[0] : rows.stop - begin[0]]]
    responses[0] = responses[0][:, :, columns.start - begin[1] : columns.stop - begin[1]]
    level, start, whole, factor = image, begin, size, 1.0
    for scale in SCALES:
        while _next_level(scale, factor, whole):
            level, start, whole = _half(level, start, whole)
            factor *= 2
        back = [Axis(whole[axis], size[axis], part[axis].start, part[axis].stop) for axis in (0, 1)]
        responses += [resize_part(one, start, *back) for one in _responses(level, scale, factor)]
    return torch.cat(responses)


def _half(
    level: Tensor, start: tuple[int, int], whole: tuple[int, int]
) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
    """Of a part of an image the next coarser level, where its part starts, and the size of the whole level."""
    axes = []
    for axis in (0, 1):
        first, length = start[axis], whole[axis]
        last, half = first + level.shape[axis + 1], (length + 1) // 2
        # two pixels less at a cut: those would need what is not at hand
        begin = 0 if first == 0 else first // 2 + 2
        end = half if last == length else last // 2 - 2
        axes.append(Axis(length, half, begin, end))
    rows, columns = axes
    return (
        resize_part(level, start, rows, columns),
        (rows.start, columns.start),
        (rows.new, columns.new),
    )


def _next_level(scale: float, factor: float, size: tuple[int, int]) -> bool:
    """Whether a ``scale`` is better computed on a level coarser than this one of ``size``."""
    return scale / factor >= 2 * COARSE and min(size) >= 16


def _responses(level: Tensor, scale: float, factor: float) -> list[Tensor]:
    """The four responses of one ``scale`` on a level that is ``factor`` times coarser than the image."""
    smooth = smoothed(level, scale, factor)
    sigma = scale / factor
    dy, dx = slopes(smooth)
    dyy, dyx = slopes(dy)
    dxx = slopes(dx)[1]
    mean, half_gap = (dyy + dxx) / 2, (((dyy - dxx) / 2) ** 2 + dyx**2).sqrt()
    edge = (dy**2 + dx**2).sqrt() * sigma
    return [smooth, edge, (mean + half_gap) * sigma**2, (mean - half_gap) * sigma**2]


def smoothed(level: Tensor, scale: float, factor: float) -> Tensor:
    """A level (C, h, w), ``factor`` times coarser than the image, smoothed as if the image had been by ``scale``."""
    # shrinking has blurred already: a box of two pixels has variance 1/4 on the finer level
    blurred = (factor**2 - 1) / 12
    return gaussian(level, math.sqrt(max(scale**2 - blurred, 0.04)) / factor)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """(C, Y, X) smoothed by a sampled, normalised Gaussian cut at 3.5 sigma; edges are repeated."""
    radius = max(1, math.ceil(3.5 * sigma))
    taps = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    stack = F.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    stack = F.conv2d(stack, kernel[None, None, None, :])
    return F.conv2d(stack, kernel[None, None, :, None])[:, 0]


def slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along Y and X of (C, Y, X), edges repeated."""
    padded = F.pad(image[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    along_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    along_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    return along_y, along_x
