"""The three banks of features that a label's query is dotted with, for one slice.

``appearance``  what a pixel looks like at full resolution: random expansion of filter responses
``place``       where it is: random expansion of (slice, y, x) in -1..1, useful where slices share a frame
``deep``        what the backbone sees there: standardised taps of its inner stages and its embedding

Logits are linear in all of them, so sampling features at points and sampling finished logits on a grid agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_salt.model.appearance import FourierFeatures, filters
from napari_salt.model.framing import Framing, Intensity, Layout, resize, sample_points

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

APPEARANCE_COUNT, APPEARANCE_SPARSE = 512, 256
APPEARANCE_BANDWIDTH = 0.7
PLACE_COUNT = 256
PLACE_BANDWIDTH = 3.5
"""Spread of the frequencies of (slice, y, x), together, for coordinates in -1..1."""
APPEARANCE_SEED, PLACE_SEED = 20240816, 20250320
PIXELS_AT_ONCE = 2048
"""Pixels that are expanded at once: 4 MB of features stay in a cache, which more than doubles the speed."""


@dataclass(frozen=True, eq=False)
class Banks:
    """Sizes of the banks and the order in which a feature vector holds them."""

    filters: int
    taps: tuple[tuple[str, int], ...]
    """Name and channels of each tap, in order."""

    @property
    def parts(self) -> dict[str, slice]:
        """Where each bank lies in a feature vector; ``deep`` spans all taps."""
        deep = sum(channels for _, channels in self.taps)
        appearance, place = APPEARANCE_COUNT, APPEARANCE_COUNT + PLACE_COUNT
        return {
            "appearance": slice(0, appearance),
            "place": slice(appearance, place),
            "deep": slice(place, place + deep),
        }

    @property
    def length(self) -> int:
        """Length of a feature vector."""
        return int(self.parts["deep"].stop)

    def tap_parts(self) -> dict[str, slice]:
        """Where each tap lies in a feature vector."""
        start, found = self.parts["deep"].start, {}
        for name, channels in self.taps:
            found[name] = slice(start, start + channels)
            start += channels
        return found

    def appearance(self) -> FourierFeatures:
        """The fixed expansion of standardised filter responses."""
        return FourierFeatures(
            self.filters,
            APPEARANCE_COUNT,
            APPEARANCE_BANDWIDTH,
            APPEARANCE_SEED,
            sparse=APPEARANCE_SPARSE,
        )

    def place(self) -> FourierFeatures:
        """The fixed expansion of (slice, y, x)."""
        return FourierFeatures(3, PLACE_COUNT, PLACE_BANDWIDTH, PLACE_SEED)


@dataclass(frozen=True, eq=False)
class Standard:
    """Mean and standard deviation of each filter and tap channel over the annotated pixels, both (D,)."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def measure(values: Tensor) -> Standard:
        """Of ``values`` (M, D); channels that hardly vary are not blown up."""
        deviation = values.std(0)
        return Standard(values.mean(0), deviation + 1e-3 * deviation.mean() + 1e-6)

    def __call__(self, values: Tensor) -> Tensor:
        """Standardise (M, D)."""
        return (values - self.mean.to(values.device)) / self.deviation.to(values.device)


@dataclass(frozen=True, eq=False)
class SliceView:
    """What the head needs of one slice besides the taps."""

    layout: Layout
    filters: Tensor
    """(F, *layout.detail) responses, not standardised."""
    depth: float
    """Position of the slice in its stack, -1..1."""

    def filters_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, F) at pixels of the slice."""
        height, width = self.layout.size
        if self.layout.detail == self.layout.size:
            return self.filters[:, rows, columns].T
        position = torch.stack([(rows + 0.5) / height, (columns + 0.5) / width], -1)
        return sample_points(self.filters, position)

    def place_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, 3): slice, y, x in -1..1 at pixels of the slice."""
        height, width = self.layout.size
        y, x = (rows + 0.5) / height * 2 - 1, (columns + 0.5) / width * 2 - 1
        return torch.stack([torch.full_like(y, self.depth), y, x], -1)

    def taps_at(self, taps: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        """(M, all tap channels) from taps (T, C, h, w), one per frame."""
        tile, position = self.layout.locate(rows, columns)
        columns_of: list[Tensor] = []
        for values in taps.values():
            if len(self.layout.origins) == 1:
                columns_of.append(sample_points(values[0].float(), position))
                continue
            picked = values.new_empty((len(rows), values.shape[1]), dtype=torch.float32)
            for index in tile.unique().tolist():
                here = tile == index
                picked[here] = sample_points(values[index].float(), position[here])
            columns_of.append(picked)
        return torch.cat(columns_of, 1)


def view_slice(
    plane: NDArray[Any], index: int, count: int, intensity: Intensity, framing: Framing
) -> tuple[SliceView, Tensor]:
    """Layout, filters and depth of ``plane`` (Y, X[, C]), and its network frames (T, 3, S, S)."""
    image = intensity.apply(plane)
    layout = framing.layout(image.shape[1], image.shape[2])
    detail = filters(resize(image, layout.detail))
    depth = 2 * index / (count - 1) - 1 if count > 1 else 0.0
    return SliceView(layout, detail, depth), layout.frames(image)
