"""Images turned or sheared out of the plane on screen: napari's brush paints other slices of them than it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.geometry import cosines_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import Dims
    from napari.layers import Layer
    from numpy.typing import NDArray

_STRAIGHT = 1e-6
"""Largest part of an axis that counts as a rounding error."""


def is_askew(dims: Dims, layer: Layer) -> bool:
    """Whether axes of a layer that are on screen lead through those that are not, or the other way."""
    linear = _linear(layer)
    linear = np.abs(linear) / np.maximum(np.linalg.norm(linear, axis=0), np.finfo(float).tiny)
    offset = dims.ndim - layer.ndim
    shown = np.array([axis + offset in dims.displayed for axis in range(layer.ndim)])
    across = shown[:, None] != shown[None, :]
    return bool((linear[across] > _STRAIGHT).any())


def straighten(layer: Layer) -> None:
    """Lay a layer along the axes of the viewer: voxels keep their size, the first one its place."""
    sizes = voxel_sizes(layer)
    first = layer.data_to_world(np.zeros(layer.ndim))
    layer.affine = np.eye(layer.ndim + 1)
    layer.shear = np.zeros(layer.ndim * (layer.ndim - 1) // 2)
    layer.rotate = np.eye(layer.ndim)
    layer.scale, layer.translate = sizes, first


def voxel_sizes(layer: Layer) -> NDArray[Any]:
    """How long a voxel is along each axis, of all that places the layer in the world: scale, shear and affine."""
    scale, sizes = np.abs(layer.scale), np.linalg.norm(_linear(layer), axis=0)
    exact: NDArray[Any] = np.where(np.isclose(sizes, scale, rtol=_STRAIGHT, atol=0), scale, sizes)
    return exact


def cosines(layer: Layer, axes: Sequence[int]) -> tuple[float, float, float] | None:
    """As `records.Origin.cosines`, of a layer's (slices,) rows and columns; None where they are at right angles."""
    edges = _linear(layer)[:, list(axes)]
    if len(axes) == 2:  # the slice of a single image is at right angles to it
        edges = np.column_stack([[*np.zeros(len(edges)), 1], np.vstack([edges, np.zeros(2)])])
    found = cosines_between(edges)
    return found if max(map(abs, found)) > _STRAIGHT else None


def _linear(layer: Layer) -> NDArray[Any]:
    """Where a step of one voxel along each axis leads in the world, one a column."""
    zero = np.array(layer.data_to_world(np.zeros(layer.ndim)))
    return np.stack([layer.data_to_world(step) - zero for step in np.eye(layer.ndim)], axis=1)
