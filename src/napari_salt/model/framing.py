"""From a slice to network frames and back: intensity, resize, pad, tile.

Axis order is (C, Y, X) throughout. Positions are pixel centres: pixel ``i`` of a grid lies at ``i + 0.5``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from napari_salt.errors import InputError
from napari_salt.intensity import AUTO
from napari_salt.model.input_checks import check_window
from napari_salt.model.limits import measure_limits
from napari_salt.records import BACKGROUND, UNLABELLED
from napari_salt.sparse_plane import SparsePlane

if TYPE_CHECKING:
    from napari_salt.intensity import Limits
    from napari_salt.records import AnnotatedSlice, IntensityChoice, Planes

OVERLAP = 1 / 4
"""Share of a tile that it has in common with its neighbour."""
SMALLEST_OBJECT = 8.0
"""Diameter, in frame pixels, that the typical object of the smallest label should reach. The filters see it at full
resolution besides, and what a frame shows around it helps as much as more of its pixels
(``benchmarks/EXPERIMENTS.md``)."""
FEWER_FRAMES = 0.85
"""A zoom is made smaller by so much at the most where a row or column of frames is saved by that."""
DETAIL = 4.0
"""The detail grid (filters, output) is at most this much finer than the network frame."""
LONGEST_ASPECT = 2.0


@dataclass(frozen=True)
class Intensity:
    """Map of each channel, ``low`` → 0 and ``high`` → 1; chosen once per stack, never per slice.

    It is linear, then raised to ``gamma``.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    method: Literal["percentile", "window"] = "percentile"
    gamma: float = 1.0

    def apply(self, plane: NDArray[Any]) -> Tensor:
        """``plane`` (Y, X) or (Y, X, C) → (C, Y, X) float32, mostly within 0..1, clipped at -0.25 and 1.5."""
        image = np.asarray(plane)
        # wide integers and float64 lose their detail in float32 until the offset is taken off
        kind = np.result_type(image.dtype, np.float32)
        if np.subtract(self.high, self.low).max() > np.finfo(kind).max:
            kind = np.result_type(np.float64)
        image = image.astype(kind)
        image = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
        image = image[: len(self.low)]
        if len(image) != len(self.low):
            raise InputError(
                f"The adapter expects {len(self.low)} channel(s) and this image has {len(image)}; "
                "choose the channels it was trained on."
            )
        low = np.asarray(self.low)[:, None, None]
        span = np.asarray(self.high)[:, None, None] - low
        with np.errstate(over="ignore"):  # far beyond the scale is beyond it
            scaled = (image - low.astype(kind)) / span.astype(kind)
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=1.5, neginf=-0.25)
        scaled = np.clip(scaled, -0.25, 1.5).astype(np.float32, copy=False)
        if self.gamma != 1.0:
            scaled = np.copysign(np.abs(scaled) ** np.float32(self.gamma), scaled)
        return torch.from_numpy(scaled)


def intensity_for(choice: IntensityChoice, limits: Limits) -> Intensity:
    """The intensity scale that a choice means on a stack of these ``limits``, measured for that choice."""
    if choice.method == "window":
        channels = len(limits.low)
        return Intensity((choice.low,) * channels, (choice.high,) * channels, "window")
    return Intensity(limits.low, limits.high)


def measure_intensity(planes: Planes, choice: IntensityChoice = AUTO) -> Intensity:
    """The scale of a choice on this stack; a colour image keeps one scale for its channels.

    Raises ``InputError`` for a window through which nothing of the stack is seen.
    """
    limits = measure_limits(planes, choice)
    check_window(choice, limits)
    return intensity_for(choice, limits)


def to_rgb(image: Tensor) -> Tensor:
    """(C, Y, X) → (3, Y, X) in 0..1.

    Grey is repeated, two channels get their mean as the third, many are averaged in three groups.
    """
    image = image.clamp(0, 1)
    channels = image.shape[0]
    if channels == 3:
        return image
    if channels == 1:
        return image.expand(3, -1, -1)
    if channels == 2:
        return torch.cat([image, image.mean(0, keepdim=True)])
    return torch.stack([group.mean(0) for group in torch.tensor_split(image, 3)])


@dataclass(frozen=True)
class Layout:
    """Where the frames of one slice lie.

    ``size`` is the slice (Y, X), ``zoomed`` its size on the network's scale, ``detail`` the grid of filters and output,
    ``origins`` the top-left corners of the frames in zoomed pixels. Of a slice that is too large to be worked on whole,
    ``part`` holds the rows and columns of the detail grid at hand, and ``origins`` the frames that show them.
    """

    size: tuple[int, int]
    zoomed: tuple[int, int]
    detail: tuple[int, int]
    frame_size: int
    origins: tuple[tuple[int, int], ...]
    part: tuple[slice, slice] | None = None

    @property
    def start(self) -> tuple[int, int]:
        """First row and column of the part at hand."""
        return (0, 0) if self.part is None else (self.part[0].start, self.part[1].start)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the part at hand."""
        if self.part is None:
            return self.detail
        rows, columns = self.part
        return rows.stop - rows.start, columns.stop - columns.start

    def frames(self, image: Tensor) -> Tensor:
        """(C, Y, X) → (T, 3, S, S), zero-padded at the bottom and right as SAM was trained."""
        size = self.frame_size
        scaled = resize(to_rgb(image), self.zoomed)
        bottom, right = max(0, size - self.zoomed[0]), max(0, size - self.zoomed[1])
        padded = F.pad(scaled, (0, right, 0, bottom))
        return torch.stack([padded[:, y : y + size, x : x + size] for y, x in self.origins])

    def locate(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of the slice → (tile index (M,), position inside that frame (M, 2) as y, x in 0..1).

        Of several frames that show a pixel, the one whose centre is nearest is taken.
        """
        return self._locate(rows, columns, self.size)

    def locate_detail(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The same for pixels of the detail grid, counted in the part at hand."""
        top, left = self.start
        return self._locate(rows + top, columns + left, self.detail)

    def _locate(
        self, rows: Tensor, columns: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        y = (rows + 0.5) * (self.zoomed[0] / size[0])
        x = (columns + 0.5) * (self.zoomed[1] / size[1])
        position = torch.stack([y, x], -1)
        corners = torch.tensor(self.origins, dtype=position.dtype)
        centres = corners + self.frame_size / 2
        tile = ((position[:, None] - centres[None]).abs().amax(-1)).argmin(1)
        return tile, (position - corners[tile]) / self.frame_size

    def paste(self, maps: Sequence[Tensor]) -> Tensor:
        """One (K, h, w) map per frame, each covering its whole frame → (K, *grid), blended where frames overlap."""
        device = maps[0].device
        if len(self.origins) == 1:
            (_, y), (_, x) = self._inside(0, device)
            return _sample_grid(maps[0], y, x)
        total = maps[0].new_zeros((maps[0].shape[0], *self.grid))
        weight = maps[0].new_zeros(self.grid)
        for tile, values in enumerate(maps):
            (r, y), (c, x) = self._inside(tile, device)
            if not (len(r) and len(c)):
                continue  # it ends just where the part at hand begins
            tent = _tent(y)[:, None] * _tent(x)[None]
            area = (slice(int(r[0]), int(r[-1]) + 1), slice(int(c[0]), int(c[-1]) + 1))
            total[(slice(None), *area)] += tent * _sample_grid(values, y, x)
            weight[area] += tent
        return total / weight

    def _inside(
        self, tile: int, device: torch.device
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Rows and columns of the part at hand that a frame shows, with their positions in it (0..1)."""
        found = []
        for axis in (0, 1):
            index = torch.arange(self.grid[axis], device=device)
            place = (index + self.start[axis] + 0.5) * (self.zoomed[axis] / self.detail[axis])
            place = (place - self.origins[tile][axis]) / self.frame_size
            keep = (place >= 0) & (place <= 1)
            found.append((index[keep], place[keep]))
        return found[0], found[1]


@dataclass(frozen=True)
class Framing:
    """How slices meet the network: the whole slice in one frame (``zoom`` None) or tiles at a fixed zoom.

    ``zoom`` is in network pixels per slice pixel. ``frame_size`` is the network's input edge in pixels. ``fine`` is in
    detail pixels per network pixel, so that filters mean the same on a stack of another resolution; None = the slice's
    own pixels, unless they are much finer than the network's.
    """

    frame_size: int
    zoom: float | None = None
    fine: float | None = None

    def detail_ratio(self, height: int, width: int) -> float:
        """Detail pixels per network pixel for a slice of ``height`` × ``width`` pixels."""
        if self.fine is not None:
            return self.fine
        zoom = self._zoom(height, width)
        return min(1.0, DETAIL * zoom) / zoom

    def _zoom(self, height: int, width: int) -> float:
        return whole_zoom((height, width), self.frame_size) if self.zoom is None else self.zoom

    def layout(self, height: int, width: int) -> Layout:
        """Frames for a slice of ``height`` × ``width`` pixels."""
        size = self.frame_size
        zoom = self._zoom(height, width)
        zoomed = (max(1, round(height * zoom)), max(1, round(width * zoom)))
        fine = zoom * self.detail_ratio(height, width)
        detail = (max(1, round(height * fine)), max(1, round(width * fine)))
        corners = [_corners(length, size) for length in zoomed]
        origins = tuple((y, x) for y in corners[0] for x in corners[1])
        return Layout((height, width), zoomed, detail, size, origins)


def whole_zoom(size: tuple[int, int], frame_size: int) -> float:
    """Zoom that fits a slice into one frame; a slice longer than twice its width is laid out in a row of frames."""
    longest, shortest = max(size), min(size)
    if longest > LONGEST_ASPECT * shortest:
        return max(frame_size / longest, min(1.0, frame_size / shortest))
    return frame_size / longest


def choose_framing(
    annotated: Sequence[AnnotatedSlice], size: tuple[int, int], frame_size: int
) -> Framing:
    """Whole slices where the painted objects stay large enough to see, else tiles at the zoom that makes them so.

    The size of an object is the diameter of the disc of equal area; the median over the objects of a label counts, and
    the label with the smallest one decides. Without completely painted slices the strokes tell nothing of sizes, and
    a slice is tiled only when a frame would shrink it more than twofold. A zoom little smaller saves frames.
    """
    whole = whole_zoom(size, frame_size)
    if whole >= 1.0:
        return Framing(frame_size)
    diameters = _diameters([one for one in annotated if one.complete])
    wanted = SMALLEST_OBJECT / min(diameters) if diameters else 0.5
    zoom = min(1.0, wanted)
    if zoom <= 1.3 * whole:
        return Framing(frame_size)
    return Framing(frame_size, _with_fewer_frames(float(zoom), max(size), frame_size))


def _with_fewer_frames(zoom: float, longest: int, frame_size: int) -> float:
    """The largest zoom at which a frame less lies along the longest side, where that is nearly ``zoom``."""
    frames = len(_corners(max(1, round(longest * zoom)), frame_size))
    fewer = frame_size * (1 + (frames - 2) * (1 - OVERLAP)) / longest
    return fewer if frames > 1 and fewer >= FEWER_FRAMES * zoom else zoom


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, Y, X) → (C, *size), bilinear, with smoothing where it shrinks."""
    if tuple(image.shape[1:]) == size:
        return image
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[2]
    return F.interpolate(
        image[None], size=size, mode="bilinear", align_corners=False, antialias=shrinks
    )[0]


def sample_points(maps: Tensor, position: Tensor) -> Tensor:
    """Bilinear values of ``maps`` (C, h, w) at ``position`` (M, 2), y and x in 0..1 → (M, C)."""
    grid = (position.flip(-1) * 2 - 1).to(maps)[None, None]
    picked = F.grid_sample(maps[None], grid, padding_mode="border", align_corners=False)
    return picked[0, :, 0].T


def _sample_grid(maps: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(C, h, w) at the rectangular grid of positions y (H,), x (W,) in 0..1 → (C, H, W)."""
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None] * 2 - 1
    return F.grid_sample(
        maps[None], grid.to(maps.dtype), padding_mode="border", align_corners=False
    )[0]


def _corners(length: int, size: int) -> list[int]:
    """Evenly spread corners of tiles of ``size`` over ``length``, sharing at least ``OVERLAP`` of a tile."""
    if length <= size:
        return [0]
    count = 1 + int(np.ceil((length - size) / (size * (1 - OVERLAP))))
    return [int(corner) for corner in np.linspace(0, length - size, count).round()]


def _tent(position: Tensor) -> Tensor:
    return (1 - (2 * position - 1).abs()).clamp(min=0.02)


def _pieces(one: AnnotatedSlice) -> list[NDArray[np.unsignedinteger]]:
    """The paint of a slice, in tiles where it is sparse: an object larger than those needs no tiling either way."""
    targets = one.targets
    return list(targets.tiles.values()) if isinstance(targets, SparsePlane) else [targets]


def _diameters(slices: Sequence[AnnotatedSlice]) -> list[float]:
    """Median object diameter of each label that is more than specks, in slice pixels."""
    areas: dict[int, list[float]] = {}
    for targets in (part for one in slices for part in _pieces(one)):
        for label_id in np.unique(targets):
            if label_id in (UNLABELLED, BACKGROUND):
                continue
            objects, count = ndimage.label(targets == label_id)
            if count:
                sizes = np.bincount(objects.ravel())[1:]
                # specks of a few pixels are slips of the brush; they must not decide
                kept = sizes[sizes >= max(4, 0.05 * sizes.max())]
                if kept.size:
                    areas.setdefault(int(label_id), []).extend(kept.tolist())
    return [float(2 * np.sqrt(np.median(found) / np.pi)) for found in areas.values()]
