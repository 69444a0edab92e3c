"""Paint of one slice that is too large to be copied around: only the tiles that say something are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import UNLABELLED

TILE = 512
"""Edge of a tile in pixels; those at the bottom and at the right may be smaller."""

_IDS = np.iinfo(np.uint16).max + 1


@dataclass(frozen=True, eq=False)
class SparsePlane:
    """A plane ``(Y, X)`` uint16 that is ``fill`` wherever no tile lies; ``tiles`` by their first row and column."""

    shape: tuple[int, int]
    fill: int = UNLABELLED
    tiles: dict[tuple[int, int], NDArray[np.uint16]] = field(default_factory=dict)

    dtype = np.dtype(np.uint16)

    @classmethod
    def of(
        cls,
        plane: NDArray[np.unsignedinteger],
        fill: int = UNLABELLED,
        known: Collection[int] | None = None,
    ) -> SparsePlane:
        """Of ``plane`` (Y, X), read tile by tile and copied; unlabelled pixels become ``fill``.

        Values that are not ``known`` become unlabelled, whatever ``fill`` is.
        """
        found = cls((int(plane.shape[0]), int(plane.shape[1])), fill)
        for top, left in found.corners():
            tile = np.asarray(plane[top : top + TILE, left : left + TILE], np.uint16)
            if tile.any():
                kept = np.where(tile == UNLABELLED, fill, tile).astype(np.uint16)
                if known is not None:
                    kept[~np.isin(kept, list(known))] = UNLABELLED
                found.tiles[top, left] = kept
        return found

    def corners(self) -> Iterator[tuple[int, int]]:
        """First row and column of every tile, kept or not."""
        for top in range(0, self.shape[0], TILE):
            for left in range(0, self.shape[1], TILE):
                yield top, left

    def tile(self, top: int, left: int) -> NDArray[np.uint16]:
        """The tile at a corner, kept or not."""
        kept = self.tiles.get((top, left))
        if kept is not None:
            return kept
        size = min(TILE, self.shape[0] - top), min(TILE, self.shape[1] - left)
        return np.full(size, self.fill, np.uint16)

    def ids(self) -> set[int]:
        """Values that occur."""
        seen = np.zeros(_IDS, np.bool_)
        seen[self.fill] = any(corner not in self.tiles for corner in self.corners())
        for tile in self.tiles.values():
            seen[tile] = True
        return set(np.flatnonzero(seen).tolist())

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint16]:
        """The whole plane in memory."""
        whole = np.full(self.shape, self.fill, np.uint16)
        for (top, left), tile in self.tiles.items():
            whole[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return whole if dtype is None else whole.astype(np.dtype(str(dtype)))


def ids_of(targets: NDArray[np.unsignedinteger] | SparsePlane) -> set[int]:
    """Values that occur in paint, sparse or not."""
    if isinstance(targets, SparsePlane):
        return targets.ids()
    return {int(value) for value in np.unique(targets)}
