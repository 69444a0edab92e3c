"""Shapes between two painted slices, and which painted slices lie around one: plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_salt.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from napari_salt.session.annotations import Annotations

Mask = NDArray[np.bool_]

MOST_BETWEEN = 64
"""Slices that are filled in at once at most: a shape seldom goes straight on for longer."""

_MOST_PIXELS = 2**25
"""Pixels worked on at most, so that the viewer does not stand still for more than a few seconds."""


def nearest_painted(
    annotations: Annotations, label_ids: Collection[int], index: int | None
) -> int | None:
    """The slice nearest to ``index``, itself left out, that carries one of the labels.

    Of two as near as each other the one before; None when there is none.
    """
    if index is None:
        return None
    painted = {at for label_id in label_ids for at in annotations.painted_slices(label_id)}
    return min(painted - {index}, key=lambda at: (abs(at - index), at), default=None)


def painted_around(
    annotations: Annotations, label_id: int, index: int | None
) -> tuple[int, int] | None:
    """The nearest slices before and after ``index`` that carry a label; None without both."""
    if index is None:
        return None
    painted = annotations.painted_slices(label_id)
    before = max((at for at in painted if at < index), default=None)
    after = min((at for at in painted if at > index), default=None)
    return None if before is None or after is None else (before, after)


def interpolate(
    first: Mask,
    last: Mask,
    count: int,
    spacing: tuple[float, float] = (1.0, 1.0),
    *,
    name: str = "the label",
) -> Iterator[Mask]:
    """Shapes on ``count`` slices evenly spaced between two, one ``(Y, X)`` mask after the other.

    The signed distance to the outline (positive inside) is blended linearly and cut at zero, as in
    Raya and Udupa, IEEE Trans. Med. Imaging 9:32, 1990. A shape that moves goes along the line
    between the two centres of mass where that makes the outlines overlap better; otherwise a small
    one that moves far would vanish half way.

    Parameters
    ----------
    first, last
        ``(Y, X)`` bool, the label on the two painted slices.
    count
        Slices between them, 1 to ``MOST_BETWEEN``.
    spacing
        Size of a pixel along Y and X; only their ratio matters.
    name
        The label's name, for the sentences below.

    Raises
    ------
    InputError
        At once, when a mask is empty, the shapes differ, or there is too much to work out.
    """
    if first.shape != last.shape:
        raise InputError(f"The two slices have other shapes: {first.shape} and {last.shape}.")
    for mask in (first, last):
        if not mask.any():
            raise InputError(
                f"“{name}” is painted on one side only; paint it on a slice before and on one after."
            )
    box = _box(first | last, 1)
    if count > MOST_BETWEEN or count * first[box].size > _MOST_PIXELS:
        raise InputError(
            f"The painted slices are too far apart ({count} between them); "
            f"paint “{name}” on one in the middle first."
        )
    return _shapes(first, last, count, spacing)


def _shapes(first: Mask, last: Mask, count: int, spacing: tuple[float, float]) -> Iterator[Mask]:
    way = _way(first, last)
    box = _box(first | last, 1 + int(np.ceil(np.abs(way).max())))
    one, two = first[box], last[box]
    inside, inside_too = signed_distance(one, spacing), signed_distance(two, spacing)
    for place in range(1, count + 1):
        part = place / (count + 1)
        blend = (1 - part) * _moved(inside, part * way)
        blend += part * _moved(inside_too, (part - 1) * way)
        mask = np.zeros(first.shape, np.bool_)
        mask[box] = blend > 0
        yield mask


def signed_distance(mask: Mask, spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Distance ``(Y, X)`` to the outline of a mask in units of ``spacing``: positive inside.

    Half a pixel is taken off on either side, for the outline runs between pixels.
    """
    half = min(spacing) / 2
    inside = ndimage.distance_transform_edt(mask, spacing)
    outside = ndimage.distance_transform_edt(~mask, spacing)
    signed: NDArray[np.float32] = np.where(mask, inside - half, half - outside).astype(np.float32)
    return signed


def _way(first: Mask, last: Mask) -> NDArray[np.float64]:
    """Rows and columns from one shape to the other; zero where going along does not help."""
    box = _box(first | last, 1)
    one, two = first[box], last[box]
    way: NDArray[np.float64] = np.subtract(ndimage.center_of_mass(two), ndimage.center_of_mass(one))
    carried = ndimage.shift(one.astype(np.float32), way, order=1) > 0.5
    return way if _overlap(carried, two) > _overlap(one, two) else np.zeros(2)


def _overlap(one: Mask, two: Mask) -> float:
    """Intersection over union, 0..1."""
    return float((one & two).sum() / max((one | two).sum(), 1))


def _moved(values: NDArray[np.float32], way: NDArray[np.float64]) -> NDArray[np.float32]:
    if not way.any():
        return values
    moved: NDArray[np.float32] = ndimage.shift(values, way, order=1, mode="nearest")
    return moved


def _box(mask: Mask, spare: int) -> tuple[slice, slice]:
    """Box around a mask; with a pixel to spare, distances within are those of the whole plane."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(int(rows[0]) - spare, 0), int(rows[-1]) + spare + 1),
        slice(max(int(columns[0]) - spare, 0), int(columns[-1]) + spare + 1),
    )
