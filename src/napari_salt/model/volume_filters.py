"""Filters that look along the stack as well: what a slice shows, together with the slices beside it.

In one plane a pixel above a round nucleus looks like one inside it; whether it is brighter than the slices above and
below tells them apart. Where a stack is coarse or goes on unlike that, these filters mislead trees more than they tell
(measured in ``benchmarks/``), so slices left out decide whether they are looked at, see `look_along`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_salt.model.filters import level_for, slopes, smoothed
from napari_salt.model.framing import resize
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from napari_salt.model.framing import Framing, Intensity
    from napari_salt.records import Planes, StackInfo

REACHES = ((1.5, 1), (3.0, 2), (6.0, 4))
"""Scale in pixels of the detail grid, and how many slices away are looked at with it."""
OFFSETS = tuple(offset for _, offset in REACHES)
VOLUME_FILTERS_PER_CHANNEL = 4 * len(REACHES)
KEPT_BYTES = 256 * 2**20
"""Slices on their detail grid that are kept for the next one, at most; never fewer than those two have in common."""


def looks_along(stack: StackInfo) -> bool:
    """Whether there is anything to look at: slices beside, each small enough to be held as a whole."""
    return stack.shape[0] > 1 and not is_large(stack)


def slices_around(index: int, count: int) -> list[int]:
    """The slices of a stack of ``count`` that the filters of one look at, itself among them; rising."""
    places = (index + sign * offset for offset in (0, *OFFSETS) for sign in (-1, 1))
    return sorted({min(max(place, 0), count - 1) for place in places})


def volume_filters(here: Tensor, beside: Mapping[int, tuple[Tensor, Tensor]]) -> Tensor:
    """Responses of a slice together with those ``beside`` it.

    Parameters
    ----------
    here
        (C, Y, X) float32, intensities mostly in 0..1.
    beside
        For each of `OFFSETS` the slices so many below and above, like ``here``.

    Returns
    -------
    Tensor
        (C * VOLUME_FILTERS_PER_CHANNEL, Y, X): for each scale s, with the slices I₋ and I₊ at its offset, the second
        difference along the stack c = G_s * (I₋ + I₊ - 2 I), the Laplacian s² Δ(G_s * I) + c, the smoothed intensity
        G_s * I + c / 4 and the edge strength √(s² |∇(G_s * I)|² + (G_s * (I₊ - I₋) / 2)²).
    """
    size = (here.shape[1], here.shape[2])
    responses = []
    for scale, offset in REACHES:
        below, above = beside[offset]
        together = torch.cat([here, below + above, above - below])
        level, factor = level_for(scale, together, 1.0)
        responses += [resize(one, size) for one in _responses(level, scale, factor)]
    return torch.cat(responses)


def _responses(level: Tensor, scale: float, factor: float) -> list[Tensor]:
    """The four of one ``scale``, of slice, sum and difference (3 C, h, w) on a level ``factor`` times coarser."""
    smooth, both, apart = smoothed(level, scale, factor).chunk(3)
    sigma = scale / factor
    dy, dx = slopes(smooth)
    plane = (slopes(dy)[0] + slopes(dx)[1]) * sigma**2
    along = both - 2 * smooth
    edge = ((dy**2 + dx**2) * sigma**2 + (apart / 2) ** 2).sqrt()
    return [along, plane + along, smooth + along / 4, edge]


class Surroundings:
    """Slices of a stack on their detail grid; some are kept, for those around a slice are mostly around the next."""

    def __init__(self, intensity: Intensity, framing: Framing) -> None:
        self._intensity, self._framing = intensity, framing
        self._planes: Planes | None = None
        self._kept: dict[int, Tensor] = {}

    def filters(self, planes: Planes, index: int, here: Tensor) -> Tensor:
        """`volume_filters` of slice ``index``, which is ``here`` (C, Y, X) on its detail grid.

        At either end of the stack the last slice is repeated.
        """
        if planes is not self._planes:
            self._planes = planes
            self._kept.clear()
        self._kept[index] = here
        last = planes.info.shape[0] - 1
        beside = {
            offset: (
                self._detail(planes, max(index - offset, 0)),
                self._detail(planes, min(index + offset, last)),
            )
            for offset in OFFSETS
        }
        room = max(2 * max(OFFSETS) + 1, KEPT_BYTES // max(1, here.nbytes))
        for far in sorted(self._kept, key=lambda other: abs(other - index))[room:]:
            del self._kept[far]
        return volume_filters(here, beside)

    def _detail(self, planes: Planes, index: int) -> Tensor:
        if index not in self._kept:
            image = self._intensity.apply(planes.plane(index))
            layout = self._framing.layout(image.shape[1], image.shape[2])
            self._kept[index] = resize(image, layout.detail)
        return self._kept[index]
