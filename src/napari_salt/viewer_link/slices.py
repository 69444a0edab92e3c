"""From the viewer's position to a slice of a stack, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Image, Layer

    from napari_salt.geometry import StackGeometry


def slice_at(dims: Dims, image: Image, geometry: StackGeometry, count: int) -> int | None:
    """Index of the slice on screen; None when the position lies outside the stack."""
    if geometry.ndim == 2:
        return 0
    point = np.rint(image.world_to_data(dims.point)).astype(int)
    if any(point[axis] != index for axis, index in geometry.fixed.items()):
        return None
    index = geometry.on_level(geometry.slice_axis, point[geometry.slice_axis])
    return index if 0 <= index < count else None


def show_slice(dims: Dims, image: Image, geometry: StackGeometry, index: int) -> None:
    """Go to a slice of the stack."""
    if geometry.ndim == 2:
        return
    point = np.array(image.world_to_data(dims.point), dtype=float)
    # Where an even number of the image's slices go into one, its middle lies between two: the one before.
    middle = math.floor(geometry.offset(geometry.at_slice(index))[geometry.slice_axis])
    wanted = {**geometry.fixed, geometry.slice_axis: middle}
    for axis, value in wanted.items():
        point[axis] = value
    world = image.data_to_world(point)
    offset = dims.ndim - image.ndim
    dims.set_point([axis + offset for axis in wanted], [world[axis] for axis in wanted])


def shows_volume(dims: Dims, image: Image, geometry: StackGeometry) -> bool:
    """Whether the slice axis is one of those on screen, so that every slice is seen."""
    if geometry.ndim == 2:
        return False
    return geometry.slice_axis + dims.ndim - image.ndim in dims.displayed


def within(dims: Dims, layer: Layer) -> bool:
    """Whether the position lies in a layer along every axis that is not on screen."""
    point = np.rint(layer.world_to_data(dims.point))
    offset = dims.ndim - layer.ndim
    hidden = [axis for axis in range(layer.ndim) if axis + offset not in dims.displayed]
    return all(0 <= point[axis] < layer.data.shape[axis] for axis in hidden)
