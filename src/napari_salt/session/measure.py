"""Sizes and places of objects, measured by scikit-image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PROPERTIES = ("label", "num_pixels", "area", "centroid", "bbox", "equivalent_diameter_area")


def measure(objects: NDArray[Any], spacing: Sequence[float]) -> dict[str, NDArray[Any]]:
    """Columns of scikit-image's ``regionprops_table``, one entry an object, ids ascending.

    Parameters
    ----------
    objects
        Object ids ``(Y, X)`` or ``(Z, Y, X)``, 0 for none.
    spacing
        Size of a voxel along each axis, all in one unit: areas are in its square or cube, centroids and diameters
        in it.

    Returns
    -------
    dict
        ``label`` (the id), ``num_pixels``, ``area``, ``centroid-0``…, ``bbox-0``… (in pixels, the ends excluded) and
        ``equivalent_diameter_area`` (of the disc or ball of that size).
    """
    from skimage.measure import regionprops_table

    # Close numbers: scikit-image goes through all of them up to the largest. np.unique would give them, too, but holds
    # Python's lock, and with it the viewer, while it does.
    ids = np.unique(objects)
    first = int(ids[0] != 0)
    numbered = np.searchsorted(ids, objects).astype(np.int32) + first
    table: dict[str, NDArray[Any]] = regionprops_table(
        numbered, properties=_PROPERTIES, spacing=tuple(spacing)
    )
    table["label"] = ids[table["label"] - first]
    return table


def sums(objects: NDArray[Any], values: NDArray[Any], largest: int) -> NDArray[np.float64]:
    """Sum of ``values`` ``(Y, X)`` over each object of a slice, by id: ``(largest + 1,)``."""
    weights = values.ravel().astype(np.float64)
    return np.bincount(objects.ravel(), weights, largest + 1).astype(np.float64, copy=False)
