"""The viewer's images, read only: which there are, their axes, and their stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_salt.errors import InputError
from napari_salt.geometry import Place, StackGeometry, unit_name
from napari_salt.records import Origin
from napari_salt.session.stack import Stack
from napari_salt.viewer_link.ownership import is_ours
from napari_salt.views import AxisEntry, ImageEntry

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

ORIGIN = "napari_salt_origin"
"""Under this key of its metadata an image layer keeps the `records.Origin` of its file."""

COARSER = "napari_salt_coarser"
"""Under this key a multiscale layer keeps the name of the file of its next level."""

_LARGE = 2048
"""Of a pyramid with longer rows or columns the user is told how to work at a coarser level."""


class ViewerImages:
    """Image layers of one viewer, by a key that survives renaming."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    def entries(self) -> tuple[ImageEntry, ...]:
        """Image layers of the viewer that can be segmented, topmost first."""
        return tuple(ImageEntry(layer_key(image), image.name) for image in reversed(self._all()))

    def active(self) -> str | None:
        """Key of the image to start with: the active layer if it is one, else the topmost image."""
        images = self._all()
        active = self._viewer.layers.selection.active
        if active in images:
            return layer_key(active)
        return layer_key(images[-1]) if images else None

    def axes(self, key: str) -> tuple[AxisEntry, ...]:
        """Axes that can be the slice axis; empty where there is nothing to choose."""
        image = self._find(key)
        if image is None or image.ndim <= 3:
            return ()
        return tuple(AxisEntry(axis, _axis_name(image, axis)) for axis in range(image.ndim - 2))

    def place(self, key: str, axis: int | None = None) -> Place:
        """The stack of an image along ``axis`` at the position on screen.

        Without ``axis`` one that is called z is taken, else the one next to the rows unless that
        counts channels: z of (t, z, y, x) and of (z, c, y, x).
        """
        image = self.get(key)
        shape = _level_0(image).shape
        axis = _likely_slice_axis(image, shape) if axis is None else axis
        point = np.rint(image.world_to_data(self._viewer.dims.point)).astype(int)
        fixed = {
            other: int(np.clip(point[other], 0, shape[other] - 1))
            for other in range(image.ndim - 2)
            if other != axis
        }
        return Place(key, StackGeometry(image.ndim, axis, fixed))

    def position(self, place: Place) -> tuple[tuple[str, int], ...]:
        """Axes besides the stack's, and where the stack lies on them: (("t", 2),)."""
        image = self._find(place.key)
        return () if image is None else position_of(image, place.geometry)

    def elsewhere(self, place: Place) -> tuple[tuple[str, int], ...]:
        """As ``position``, of the viewer, on those axes where it is not at the stack's."""
        image = self._find(place.key)
        if image is None:
            return ()
        shape = _level_0(image).shape
        point = np.rint(image.world_to_data(self._viewer.dims.point)).astype(int)
        return tuple(
            (_axis_name(image, axis), int(point[axis]))
            for axis, index in sorted(place.geometry.fixed.items())
            if point[axis] != index and 0 <= point[axis] < shape[axis]
        )

    def coarser(self, place: Place) -> str:
        """What to open to work at a coarser level of a large pyramid; empty where there is no such file."""
        image = self._find(place.key)
        if image is None or not image.multiscale:
            return ""
        rows_columns = [_level_0(image).shape[axis] for axis in place.geometry.stack_axes[-2:]]
        return str(image.metadata.get(COARSER, "")) if max(rows_columns) > _LARGE else ""

    def open_stack(self, place: Place) -> Stack:
        """The image as a stack; nothing is read yet. Level 0 of a multiscale image."""
        image, geometry = self.get(place.key), place.geometry
        spacing = [abs(float(image.scale[axis])) for axis in geometry.stack_axes]
        units = [unit_name(image.units[axis]) for axis in geometry.stack_axes]
        if geometry.ndim == 2:
            spacing, units = [1.0, *spacing], ["pixel", *units]
        return Stack(
            _level_0(image),
            slice_axis=geometry.slice_axis,
            rgb=image.rgb,
            spacing=(spacing[0], spacing[1], spacing[2]),
            units=(units[0], units[1], units[2]),
            name=image.name,
            fixed=geometry.fixed,
            origin=_origin(image, geometry),
        )

    def open_again(self, place: Place) -> Stack | None:
        """The stack of a place as its image is now; None where it has no such stack any more."""
        if self.get(place.key).ndim != place.geometry.ndim:
            return None
        try:
            return self.open_stack(place)
        except InputError:
            return None

    def get(self, key: str) -> Image:
        """The image layer of a key; raises KeyError when it has gone."""
        image = self._find(key)
        if image is None:
            raise KeyError(key)
        return image

    def _find(self, key: str) -> Image | None:
        return next((image for image in self._all() if layer_key(image) == key), None)

    def _all(self) -> list[Image]:
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        return [layer for layer in layers if not is_ours(layer)]


def layer_key(layer: Layer) -> str:
    """Key of a layer; stays the same when the layer is renamed or moved."""
    return str(layer.unique_id)


def _origin(image: Image, geometry: StackGeometry) -> Origin:
    """Where an image comes from; its affine holds for slices along z only."""
    found = image.metadata.get(ORIGIN)
    if not isinstance(found, Origin):
        return Origin(path=str(image.source.path or ""))
    along = [image.axis_labels[axis] for axis in geometry.stack_axes]
    return found if along in (["z", "y", "x"], ["y", "x"]) else replace(found, affine=None)


def _level_0(image: Image) -> Any:
    return image.data[0] if image.multiscale else image.data


def _likely_slice_axis(image: Image, shape: tuple[int, ...]) -> int:
    """The axis that most likely counts slices; 0 for a plane."""
    candidates = range(image.ndim - 2)
    labels = [image.axis_labels[axis].lower() for axis in candidates]
    if "z" in labels:
        return labels.index("z")
    nearest = max(image.ndim - 3, 0)
    channels = [axis for axis in candidates if labels[axis] in ("c", "ch", "channel", "channels")]
    unnamed = nearest > 0 and labels[nearest].startswith("-")
    if unnamed and shape[nearest] <= _MOST_CHANNELS < shape[nearest - 1]:
        channels.append(nearest)
    return next((axis for axis in reversed(candidates) if axis not in channels), nearest)


_MOST_CHANNELS = 4
"""An unnamed axis next to the rows that is no longer, with a longer one before it, is channels."""


def _axis_name(image: Image, axis: int) -> str:
    label = image.axis_labels[axis]
    return label if not label.startswith("-") else f"axis {axis}"


def position_of(image: Image, geometry: StackGeometry) -> tuple[tuple[str, int], ...]:
    """Axes of an image besides a stack's, by name, and where the stack lies on them."""
    fixed = sorted(geometry.fixed.items())
    return tuple((_axis_name(image, axis), index) for axis, index in fixed)


def transforms_of(image: Image, geometry: StackGeometry) -> dict[str, Any]:
    """Scale, place and units for a layer on the image; shifted to the stack's fixed position."""
    shift = np.asarray(image.rotate) @ (np.asarray(image.scale) * geometry.offset())
    return {
        "scale": image.scale,
        "translate": np.asarray(image.translate) + shift,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
    }
