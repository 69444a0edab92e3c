"""What the head knows of one slice: filters at full resolution, place, and taps of the backbone, sampled at pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_salt.model.filters import filters
from napari_salt.model.framing import Framing, Intensity, Layout, resize, sample_points

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

Taps = tuple[tuple[str, int], ...]
"""Name and channels of each tap of the backbone, in the order in which a feature vector holds them."""


def tap_parts(taps: Taps) -> dict[str, slice]:
    """Where each tap lies in a feature vector."""
    start, found = 0, {}
    for name, channels in taps:
        found[name] = slice(start, start + channels)
        start += channels
    return found


def tap_length(taps: Taps) -> int:
    """Length of a feature vector."""
    return sum(channels for _, channels in taps)


@dataclass(frozen=True, eq=False)
class Standard:
    """Mean and standard deviation of each tap channel over the annotated pixels, both (D,)."""

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

    def undo(self, values: Tensor) -> Tensor:
        """Inverse of standardising (M, D)."""
        return values * self.deviation.to(values.device) + self.mean.to(values.device)


@dataclass(frozen=True, eq=False)
class SliceView:
    """What the head needs of one slice besides the taps."""

    layout: Layout
    filters: Tensor
    """(F, *layout.grid) responses."""
    depth: float | None
    """Position of the slice in its stack, -1..1; None where it tells nothing."""
    volume: Tensor | None = field(default=None, kw_only=True)
    """(V, *layout.grid) responses of `volume_filters`; None where those are not looked at."""

    def filters_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, F) at pixels of the slice."""
        return self._at(self.filters, rows, columns)

    def volume_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, V) of `volume` at pixels of the slice."""
        assert self.volume is not None
        return self._at(self.volume, rows, columns)

    def _at(self, responses: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, F) of ``responses`` (F, *layout.grid) at pixels of the slice."""
        height, width = self.layout.size
        top, left = self.layout.start
        if self.layout.detail == self.layout.size:
            return responses[:, rows - top, columns - left].T
        position = torch.stack([(rows + 0.5) / height, (columns + 0.5) / width], -1)
        if self.layout.part is not None:
            grid = torch.tensor(self.layout.grid)
            begin = torch.tensor((top, left))
            position = (position * torch.tensor(self.layout.detail) - begin) / grid
        return sample_points(responses, position)

    def samples_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, F + 2 or 3): filters and place at pixels of the slice."""
        place = self._place(rows, columns, self.layout.size)
        return torch.cat([self.filters_at(rows, columns), place], 1)

    def detail_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, F + 2 or 3): the same at pixels of the detail grid, counted in the part at hand."""
        top, left = self.layout.start
        place = self._place(rows + top, columns + left, self.layout.detail)
        return torch.cat([self.filters[:, rows, columns].T, place], 1)

    def _place(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
        """(M, 2 or 3): y, x and where it tells something the slice, in -1..1."""
        place = [(rows + 0.5) / size[0] * 2 - 1, (columns + 0.5) / size[1] * 2 - 1]
        if self.depth is not None:
            place.append(torch.full_like(place[0], self.depth))
        return torch.stack(place, -1)

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


@dataclass(frozen=True, eq=False)
class SampledView(SliceView):
    """A view that knows filters and place at some pixels only, ``samples`` (M, F + 2 or 3), and no filters else."""

    samples: Tensor

    def samples_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The samples; ``rows`` and ``columns`` (M,) must be those that they were taken at."""
        assert len(rows) == len(self.samples)
        return self.samples


def view_slice(
    plane: NDArray[Any], depth: float | None, intensity: Intensity, framing: Framing
) -> tuple[SliceView, Tensor]:
    """Layout and filters of ``plane`` (Y, X[, C]), and its network frames (T, 3, S, S)."""
    image = intensity.apply(plane)
    layout = framing.layout(image.shape[1], image.shape[2])
    detail = filters(resize(image, layout.detail))
    return SliceView(layout, detail, depth), layout.frames(image)
