"""One slice that is too large to be held: its frames, its filters, and the windows it is worked on in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_salt.model.features import SampledView, SliceView
from napari_salt.model.filters import FILTERS_PER_CHANNEL, REACH, filters_of_part
from napari_salt.model.framing import Intensity, Layout, to_rgb
from napari_salt.model.resampling import Axis, resize_part
from napari_salt.regions import RegionPlanes

READ_AT_ONCE = 4 * 1024**2
"""Values of a slice that are read and converted in one piece, as far as they can be told apart."""
HALO = 4
"""Pixels of the detail grid around a window: what its rim looks to, and even, as the head's cells are."""
HELD_AT_ONCE = 48 * 1024**2
"""Numbers that filters and probabilities of one window may take."""
LARGEST_WINDOW, SMALLEST_WINDOW = 1024, 256


@dataclass(frozen=True)
class Window:
    """A part of the detail grid (``rows``, ``columns``), and by number the frames that show it and its halo."""

    rows: slice
    columns: slice
    frames: tuple[int, ...]


class LargeSlice:
    """Reads slice ``index`` part by part; ``depth`` as in `SliceView`."""

    def __init__(
        self,
        planes: RegionPlanes,
        index: int,
        depth: float | None,
        intensity: Intensity,
        layout: Layout,
    ) -> None:
        self.layout = layout
        self._planes, self._index = planes, index
        self._depth, self._intensity = depth, intensity

    def frames(self, numbers: Sequence[int]) -> Tensor:
        """(B, 3, S, S): some of the layout's frames, as `Layout.frames` cuts them from the whole slice."""
        size = self.layout.frame_size
        found = []
        for number in numbers:
            y, x = self.layout.origins[number]
            bottom, right = (
                min(y + size, self.layout.zoomed[0]),
                min(x + size, self.layout.zoomed[1]),
            )
            image = self._resized(self.layout.zoomed, slice(y, bottom), slice(x, right), rgb=True)
            found.append(F.pad(image, (0, size - (right - x), 0, size - (bottom - y))))
        return torch.stack(found)

    def view(self, rows: slice, columns: slice, frames: Sequence[int]) -> SliceView:
        """Filters of a part of the detail grid; the view knows of these ``frames`` alone."""
        detail = self.layout.detail
        around = [
            slice(max(0, part.start - REACH), min(length, part.stop + REACH))
            for part, length in zip((rows, columns), detail, strict=True)
        ]
        image = self._resized(detail, around[0], around[1])
        begin = (around[0].start, around[1].start)
        responses = filters_of_part(image, begin, detail, (rows, columns))
        origins = tuple(self.layout.origins[number] for number in frames)
        return SliceView(
            replace(self.layout, part=(rows, columns), origins=origins), responses, self._depth
        )

    def samples(self, frame: int, rows: Tensor, columns: Tensor) -> SampledView:
        """Filters and place at pixels (M,) of the slice that one frame shows."""
        part = []
        for axis, pixels in enumerate((rows, columns)):
            length = self.layout.detail[axis]
            places = (pixels.double() + 0.5) * (length / self.layout.size[axis])
            first, last = int(places.min()) - 2, int(places.max()) + 3
            part.append(slice(max(0, first), min(length, last)))
        view = self.view(part[0], part[1], [frame])
        samples = view.samples_at(rows, columns)
        layout = replace(self.layout, origins=(self.layout.origins[frame],))
        return SampledView(layout, view.filters[:, :0, :0], self._depth, samples)

    def _resized(
        self, size: tuple[int, int], rows: slice, columns: slice, *, rgb: bool = False
    ) -> Tensor:
        """(C, h, w): part of the slice resized to ``size``, read in bands of rows."""
        height, width = self.layout.size
        across = Axis(width, size[1], columns.start, columns.stop)
        left, right = across.needed
        step = max(1, int(READ_AT_ONCE / (right - left) * size[0] / height))
        bands = []
        for start in range(rows.start, rows.stop, step):
            down = Axis(height, size[0], start, min(start + step, rows.stop))
            top, bottom = down.needed
            pixels = self._planes.region(self._index, slice(top, bottom), slice(left, right))
            image = self._intensity.apply(pixels)
            if rgb:
                image = to_rgb(image)
            bands.append(resize_part(image, (top, left), down, across))
        return torch.cat(bands, 1)


def windows(layout: Layout, channels: int, rows: int) -> list[Window]:
    """Windows that cover the detail grid, row by row, for an image of ``channels`` and a head of ``rows``."""
    values = FILTERS_PER_CHANNEL * channels + 4 * rows
    fits = int(math.sqrt(HELD_AT_ONCE / values)) // 2 * 2
    edge = min(LARGEST_WINDOW, max(SMALLEST_WINDOW, fits))
    shown = _shown(layout)
    found = []
    for y in _cuts(layout.detail[0], edge):
        for x in _cuts(layout.detail[1], edge):
            seen = tuple(
                number
                for number, (down, across) in enumerate(shown)
                if _touch(down, y) and _touch(across, x)
            )
            found.append(Window(y, x, seen))
    return found


def padded(part: slice, length: int) -> slice:
    """The part with its halo, inside an axis of ``length``."""
    return slice(max(0, part.start - HALO), min(length, part.stop + HALO))


def blocks(window: Window, layout: Layout, most: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the slice that belong to a window, in blocks of at most about ``most`` pixels."""
    rows, columns = (
        slice(
            -(-part.start * length // detail),
            -(-part.stop * length // detail),
        )
        for part, length, detail in zip(
            (window.rows, window.columns), layout.size, layout.detail, strict=True
        )
    )
    edge = max(1, int(math.sqrt(most)))
    for top in range(rows.start, rows.stop, edge):
        for left in range(columns.start, columns.stop, edge):
            yield (
                slice(top, min(top + edge, rows.stop)),
                slice(left, min(left + edge, columns.stop)),
            )


def _cuts(length: int, edge: int) -> list[slice]:
    return [slice(start, min(start + edge, length)) for start in range(0, length, edge)]


def _shown(layout: Layout) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """First and last place of each frame on the detail grid, along both axes."""
    found = []
    for origin in layout.origins:
        spans = []
        for axis in (0, 1):
            fine = layout.detail[axis] / layout.zoomed[axis]
            spans.append((origin[axis] * fine, (origin[axis] + layout.frame_size) * fine))
        found.append((spans[0], spans[1]))
    return found


def _touch(span: tuple[float, float], part: slice) -> bool:
    return bool(span[0] < part.stop + HALO and span[1] > part.start - HALO)
