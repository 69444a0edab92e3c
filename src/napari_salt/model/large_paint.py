"""Training pixels of a slice that is too large to be encoded whole: some frames that show paint, and pixels in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import UNLABELLED

if TYPE_CHECKING:
    from napari_salt.model.framing import Layout
    from napari_salt.sparse_plane import SparsePlane

MOST_FRAMES = 48
"""Frames that are kept of all large slices together: each takes some 20 MB."""
MOST_BARE_TILES = 16
"""Tiles without paint that are looked at on a slice where those are background."""


@dataclass(frozen=True, eq=False)
class DrawnPixels:
    """Pixels of a slice, each (M,): place, row of the head, annotated pixels it stands for, frame that shows it."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    frames: NDArray[np.int64]


def draw_large(
    plane: SparsePlane,
    layout: Layout,
    row_of: NDArray[np.int64],
    count: int,
    most_frames: int,
    rng: np.random.Generator,
) -> DrawnPixels:
    """Draw about ``count`` annotated pixels out of at most ``most_frames`` frames.

    Rare labels come more often, as in `drawing.draw_pixels`. ``row_of`` (65536,) is the head's row of each id, negative
    where it is none.
    """
    paint = _Paint(plane, layout, row_of, rng)
    area = paint.counts.sum(0) + paint.bare
    chosen = _choose_frames(paint.counts, most_frames, rng)
    at_hand = np.where(chosen[:, None], paint.counts, 0).sum(0)
    wanted = np.sqrt(at_hand) / max(1.0, np.sqrt(at_hand).sum()) * count
    # twice as many in the first pass, as chance may give too few
    chance = np.minimum(1, 2 * np.maximum(wanted, 1) / np.maximum(at_hand, 1))
    kept = []
    for rows, columns, targets, frames in paint.pixels():
        inside = chosen[frames] & (rng.random(len(rows)) < chance[targets])
        kept.append(np.stack([rows, columns, targets, frames])[:, inside])
    drawn = np.concatenate(kept, 1)
    parts = []
    for row in np.flatnonzero(at_hand):
        of_row = np.flatnonzero(drawn[2] == row)
        parts.append(rng.permutation(of_row)[: max(1, round(wanted[row]))])
    rows, columns, targets, frames = drawn[:, np.sort(np.concatenate(parts))]
    weights = area[targets] / np.bincount(targets, minlength=len(area))[targets]
    return DrawnPixels(rows, columns, targets, weights.astype(np.float32), frames)


class _Paint:
    """Goes through the tiles of a slice that say something."""

    def __init__(
        self,
        plane: SparsePlane,
        layout: Layout,
        row_of: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        self._plane, self._row_of = plane, row_of
        self._corners = sorted(plane.tiles)
        if plane.fill != UNLABELLED:
            bare = [corner for corner in plane.corners() if corner not in plane.tiles]
            some = rng.permutation(len(bare))[:MOST_BARE_TILES]
            self._corners += [bare[place] for place in sorted(some.tolist())]
        self._nearest = [_nearest(layout, axis) for axis in (0, 1)]
        self._across = len({x for _, x in layout.origins})
        shape = (len(layout.origins), int(row_of.max()) + 1)
        self.counts = np.zeros(shape, np.int64)
        """(frames, rows): annotated pixels nearest to each frame."""
        for _, _, targets, frames in self.pixels():
            both = np.bincount(frames * shape[1] + targets, minlength=shape[0] * shape[1])
            self.counts += both.reshape(shape)
        self.bare = np.zeros(shape[1], np.int64)
        """(rows,): pixels of bare tiles that were not looked at."""
        if plane.fill != UNLABELLED:
            whole = plane.shape[0] * plane.shape[1]
            seen = sum(plane.tile(*corner).size for corner in self._corners)
            self.bare[row_of[plane.fill]] = whole - seen

    def pixels(self) -> Iterator[tuple[NDArray[np.int64], ...]]:
        """Rows, columns, targets and frames of the annotated pixels of each tile."""
        for top, left in self._corners:
            tile = self._row_of[self._plane.tile(top, left)]
            rows, columns = np.nonzero(tile >= 0)
            targets = tile[rows, columns]
            rows, columns = rows + top, columns + left
            frames = self._nearest[0][rows] * self._across + self._nearest[1][columns]
            yield rows, columns, targets, frames


def _nearest(layout: Layout, axis: int) -> NDArray[np.int64]:
    """(length,): for each row or column of the slice which row or column of frames has its centre nearest."""
    corners = np.unique([origin[axis] for origin in layout.origins])
    place = (np.arange(layout.size[axis]) + 0.5) * (layout.zoomed[axis] / layout.size[axis])
    borders = (corners[1:] + corners[:-1] + layout.frame_size) / 2
    return np.searchsorted(borders, place)


def _choose_frames(
    counts: NDArray[np.int64], most: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(frames,): which to take, every label in turn, the rarest first, frames that show more of it more likely."""
    chosen = np.zeros(len(counts), np.bool_)
    rarest = np.argsort(np.where(counts.any(0), counts.sum(0), np.iinfo(np.int64).max))
    while chosen.sum() < most:
        before = chosen.sum()
        for row in rarest:
            chance = np.sqrt(np.where(chosen, 0, counts[:, row]))
            if chance.any() and chosen.sum() < most:
                chosen[rng.choice(len(counts), p=chance / chance.sum())] = True
        if chosen.sum() == before:
            break
    return chosen
