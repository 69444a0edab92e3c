"""A painted stack as other instruments would show it.

A label must be found again on a stack of another contrast, with more noise, or of half the resolution. Painted slices
say nothing of that, so the fit for other stacks also sees them through a few made-up instruments (domain
randomisation, Tobin et al. 2017): gamma, shading, noise, resolution. What they show is normalised as another stack
would be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_salt.model.framing import Intensity, resize
from napari_salt.model.limits import sampled_pixels
from napari_salt.records import StackInfo
from napari_salt.regions import with_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import IntensityChoice, Planes

SHADE = 0.16
"""Amplitude of the shading, a slow wave that intensities are multiplied by."""
WAVES = 0.7
"""Waves of the shading along an edge of a slice."""
CHANNELS_APART = 0.1
"""Standard deviation of the logarithm of the gamma between the channels of a colour image."""
LEFT_OF_NOISE = 0.625
"""Part of the noise, in standard deviations, that is left when pixels are enlarged twofold by linear interpolation."""
MOST_SEEN = 5
"""Painted slices seen through the instruments, but for labels that so many do not show: each takes a pass through the
network for each instrument. All of ten find labels no better, and ten through two instruments each worse (measured)."""


@dataclass(frozen=True)
class Instrument:
    """``gamma`` and ``noise`` (standard deviation, in parts of the intensity range); ``coarse`` has half the pixels."""

    gamma: float
    noise: float
    coarse: bool


INSTRUMENTS = (
    Instrument(1.2, 0.06, coarse=True),
    Instrument(1.0, 0.03, coarse=False),
    Instrument(0.85, 0.0, coarse=True),
    Instrument(1.0, 0.06, coarse=False),
)
"""Of little gamma: with much of it the borders of things are told from nothing any more (tissue and nuclei lose up to
.02 Dice, brain regions gain .1); what is left of another contrast `elsewhere` matches."""


def slices_to_see(painted: Mapping[int, Set[int]]) -> list[int]:
    """Of painted slices, each with the labels that it shows, those to be seen through the instruments; rising.

    They are spread evenly; where they lack a label, the painted slice in the middle of those that show it is added.
    """
    slices = sorted(painted)
    places = np.linspace(0, len(slices) - 1, min(len(slices), MOST_SEEN)).round().astype(int)
    chosen = {slices[place] for place in places}
    for label in sorted(set().union(*painted.values())):
        showing = [index for index in slices if label in painted[index]]
        if chosen.isdisjoint(showing):
            chosen.add(showing[len(showing) // 2])
    return sorted(chosen)


class SeenPlanes:
    """Planes as an ``instrument`` shows them, normalised to 0..1 by the percentiles of what it shows.

    Parameters
    ----------
    planes, intensity
        The stack and its scale. Intensities of a window mean the same everywhere: they get noise and less resolution,
        but keep their contrast.
    sample
        (M, C) pixels of the stack.
    """

    def __init__(
        self,
        planes: Planes,
        intensity: Intensity,
        instrument: Instrument,
        sample: NDArray[np.float64],
        choice: IntensityChoice,
    ) -> None:
        self._planes, self._intensity, self._instrument = (
            with_regions(planes),
            intensity,
            instrument,
        )
        self._absolute = intensity.method == "window"
        channels = len(intensity.low)
        self.info: StackInfo = replace(planes.info, dtype="float32")
        self._number = INSTRUMENTS.index(instrument)
        rng = self._rng(0)
        self._phases = rng.uniform(0, 1, 2)
        apart = rng.standard_normal(channels) * (CHANNELS_APART if planes.info.rgb else 0.0)
        self._gamma = np.full(channels, instrument.gamma) * np.exp(apart)
        self._low, self._high = np.zeros(channels), np.ones(channels)
        if not self._absolute:
            self._measure(sample, choice)

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)`` float32."""
        return self._seen(self._planes.plane(index), index, (0, 0))

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """A part of slice ``index``; its noise is drawn for it alone."""
        part = self._planes.region(index, rows, columns)
        return self._seen(part, index, (rows.start, columns.start))

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._number, *key])

    def _contrast(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gamma of (C, …)."""
        gamma = self._gamma.reshape(-1, *[1] * (unit.ndim - 1)).astype(np.float32)
        found: NDArray[np.float32] = np.copysign(np.abs(unit) ** gamma, unit)
        return found

    def _measure(self, sample: NDArray[np.float64], choice: IntensityChoice) -> None:
        """The range of what the instrument shows, as it would be measured on its stack."""
        channels = len(self._gamma)
        unit = self._intensity.apply(sample[:, None, :channels]).numpy()[:, :, 0]
        noise = self._instrument.noise * (LEFT_OF_NOISE if self._instrument.coarse else 1.0)
        drawn = self._rng(1).standard_normal(unit.shape, np.float32)
        shown = self._contrast(unit) + noise * drawn
        if self._planes.info.rgb:
            shown = shown.reshape(1, -1)
        low, high = np.percentile(shown, (choice.low, choice.high), axis=1)
        self._low[:] = low
        self._high[:] = np.where(high > low, high, low + 1)

    def _seen(self, part: NDArray[Any], index: int, start: tuple[int, int]) -> NDArray[np.float32]:
        unit = self._intensity.apply(part)
        size = (unit.shape[1], unit.shape[2])
        instrument, noise_rng = self._instrument, self._rng(2, index, *start)
        if instrument.coarse:
            unit = resize(unit, (-(-size[0] // 2), -(-size[1] // 2)))
        if not self._absolute:
            unit = torch.from_numpy(self._contrast(unit.numpy())) * self._shading(unit, start, size)
        if instrument.noise:
            drawn = noise_rng.standard_normal(tuple(unit.shape), np.float32)
            unit = unit + instrument.noise * torch.from_numpy(drawn)
        shown = resize(unit, size).numpy()
        low = self._low[:, None, None].astype(np.float32)
        shown = (shown - low) / (self._high[:, None, None].astype(np.float32) - low)
        return shown[0] if part.ndim == 2 else np.moveaxis(shown, 0, -1)

    def _shading(self, unit: Tensor, start: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """(h, w) for a part (C, h, w) of ``size`` pixels that begins at ``start``."""
        waves = []
        for axis in (0, 1):
            count, whole = unit.shape[axis + 1], self.info.shape[axis + 1]
            place = (torch.arange(count) + 0.5) * (size[axis] / count) + start[axis]
            turns = WAVES * place / whole + float(self._phases[axis])
            waves.append(torch.sin(2 * math.pi * turns))
        return 1 + SHADE * waves[0][:, None] * waves[1][None]


def seen_planes(
    planes: Planes, intensity: Intensity, choice: IntensityChoice, looked_at: Sequence[int]
) -> list[SeenPlanes]:
    """The stack through each instrument; ``looked_at`` are the slices whose pixels tell the range."""
    sample = sampled_pixels(planes, looked_at)
    return [SeenPlanes(planes, intensity, each, sample, choice) for each in INSTRUMENTS]
