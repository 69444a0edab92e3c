"""The 2-D images of a viewer as one lazy stack: X-rays, tiles or photos opened one by one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info

from napari_salt.errors import InputError
from napari_salt.io.plane_stack import PlaneStack, SinglePlane
from napari_salt.viewer_link.ownership import is_ours

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

NAME = "{} images"
"""Name of the stack layer, with the number of its slices."""


def single_images(viewer: ViewerModel) -> list[Image]:
    """The 2-D images that would be stacked: the selected ones, or all where fewer than two are."""
    found = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image) and layer.ndim == 2 and not is_ours(layer)
    ]
    selected = [layer for layer in found if layer in viewer.layers.selection]
    return selected if len(selected) > 1 else found


def stack_images(viewer: ViewerModel) -> Image:
    """Add the 2-D images as one stack on top of the layers, and hide them; nothing is copied.

    Raises
    ------
    InputError
        When there are fewer than two, or grey and colour or several pixel types are mixed.
    """
    images = single_images(viewer)
    if len(images) < 2:
        raise InputError("A stack needs two or more 2-D images; open or select them first.")
    data = PlaneStack([_plane(image) for image in images])
    same = all(
        np.array_equal(image.scale, images[0].scale) and image.units == images[0].units
        for image in images
    )
    geometry: dict[str, Any] = {}
    if same:
        geometry["scale"] = (1.0, *images[0].scale)
        geometry["units"] = ("pixel", *images[0].units)
    stack = Image(
        data,
        name=NAME.format(len(images)),
        rgb=data.rgb,
        multiscale=False,
        axis_labels=("image", "y", "x"),
        **geometry,
    )
    viewer.layers.append(stack)
    for image in images:
        image.visible = False
    viewer.layers.selection.active = stack
    if data.note:
        show_info(data.note)
    return stack


def _plane(image: Image) -> SinglePlane:
    data = image.data[0] if image.multiscale else image.data
    rows, columns = (int(length) for length in data.shape[:2])
    return SinglePlane(
        image.name, (rows, columns), bool(image.rgb), np.dtype(data.dtype), partial(_pixels, data)
    )


def _pixels(data: Any) -> NDArray[Any]:
    return np.asarray(data[...])


def stack_from_menu(viewer: napari.Viewer) -> None:
    """The menu entry; an error is shown by napari."""
    stack_images(viewer)
