"""Touching or apart: the single objects of a label, found in a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Split = Literal["components", "watershed"]
"""``components``: pieces with a gap between them. ``watershed``: these, cut in two where they narrow."""


@dataclass(frozen=True)
class ObjectsChoice:
    """How a person wants objects: how they are told apart, and whether they go on from slice to slice."""

    split: Split = "components"
    volume: bool = False


TOLERANCE = 0.75
"""How much shallower than its peaks a neck must be to be cut, in (smallest) voxel sides. Less finds peaks in the
steps of a drawn edge; ImageJ's watershed takes half a pixel."""


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected pieces of a mask ``(Y, X)`` or ``(Z, Y, X)``, numbered from 1; corners connect."""
    from skimage.measure import label

    numbered: NDArray[np.int32] = label(mask, connectivity=mask.ndim).astype(np.int32, copy=False)
    return numbered


def watershed(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.int32]:
    """As ``components``, and pieces that touch are cut where they narrow.

    The watershed of the distance to the edge, flooded from its peaks; ``spacing`` is the size of a voxel along each
    axis of the mask, all in one unit, so that a flat voxel does not look like a neck.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import label
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed as flood

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    # A frame of background: the edge of the image is no middle of an object.
    framed = np.pad(mask, 1)
    distance = distance_transform_edt(framed, sampling=spacing).astype(np.float32)
    lowered = reconstruction(np.maximum(distance - TOLERANCE * min(spacing), 0), distance)
    peaks = label(local_maxima(lowered) & framed, connectivity=mask.ndim)
    found = flood(-distance, _with_lone_pieces(peaks, framed), mask=framed)
    inner = tuple(slice(1, -1) for _ in mask.shape)
    return np.ascontiguousarray(found[inner], np.int32)


def split(mask: NDArray[np.bool_], how: Split, spacing: Sequence[float]) -> NDArray[np.int32]:
    """The objects of one label's mask ``(Y, X)`` or ``(Z, Y, X)``, numbered from 1."""
    return components(mask) if how == "components" else watershed(mask, spacing)


def _with_lone_pieces(peaks: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Peaks, and one for each piece too thin to have any, whole."""
    pieces = components(mask)
    with_peak = np.unique(pieces[peaks > 0])
    lone = mask & ~np.isin(pieces, with_peak)
    if not lone.any():
        return peaks
    _, numbers = np.unique(pieces[lone], return_inverse=True)
    peaks = peaks.copy()
    peaks[lone] = numbers + peaks.max() + 1
    return peaks
