"""The viewer's images, read only: which there are, their axes, and their stacks."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_salt.errors import InputError
from napari_salt.geometry import Place, StackGeometry, level_steps, unit_name
from napari_salt.io.joined_channels import JoinedChannels
from napari_salt.io.units import PIXEL, is_known, tidy
from napari_salt.records import Affine, Origin
from napari_salt.regions import LARGE
from napari_salt.session.stack import Stack
from napari_salt.viewer_link.askew import cosines, voxel_sizes
from napari_salt.viewer_link.file_facts import VoxelSize, levels_of, size_in_file
from napari_salt.viewer_link.ownership import is_ours, levels
from napari_salt.views import AxisEntry, ImageEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Layer
    from napari.viewer import Viewer

ORIGIN = "napari_salt_origin"
"""Under this key of its metadata an image layer keeps the `records.Origin` of its file."""


_SHOWN_UNITS = {"A": "angstrom"}
"""napari reads "A" as ampere."""


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

    def place(self, key: str, axis: int | None = None, level: int | None = None) -> Place:
        """The stack of an image along ``axis`` at the position on screen, at a level of its pyramid.

        Without ``axis`` one that is called z is taken, else the one next to the rows unless that
        counts channels: z of (t, z, y, x) and of (z, c, y, x). Without ``level`` the one that was
        worked at last, else the finest whose slices are worked on as a whole, which is quick.
        """
        image = self.get(key)
        shape = pixels_of(image).shape
        axis = _likely_slice_axis(image, shape) if axis is None else axis
        point = np.rint(image.world_to_data(self._viewer.dims.point)).astype(int)
        fixed = {
            other: int(np.clip(point[other], 0, shape[other] - 1))
            for other in range(image.ndim - 2)
            if other != axis
        }
        finest = Place(key, StackGeometry(image.ndim, axis, fixed))
        if level is None:
            level = levels[image] if image in levels else _handy_level(image, finest.geometry)
        return self.at_level(finest, min(level, _level_count(image) - 1))

    def at_level(self, place: Place, level: int) -> Place:
        """The same stack at another level of the image's pyramid; raises InputError for none such."""
        image = self.get(place.key)
        if not 0 <= level < _level_count(image):
            raise InputError(f"“{image.name}” has no level {level}; choose another one.")
        fine, coarse = (pixels_of(image, at).shape[: image.ndim] for at in (0, level))
        steps = level_steps(coarse, fine) if level else ()
        return replace(place, geometry=replace(place.geometry, steps=steps), level=level)

    def levels(self, place: Place) -> tuple[tuple[int, ...], ...]:
        """Lengths along (slices,) rows and columns of each level of a pyramid; empty without one."""
        image = self._find(place.key)
        if image is None or _level_count(image) < 2 or image.ndim != place.geometry.ndim:
            return ()
        shapes = [pixels_of(image, level).shape for level in range(_level_count(image))]
        axes = place.geometry.stack_axes
        return tuple(tuple(int(shape[axis]) for axis in axes) for shape in shapes)

    def other_levels(self, place: Place) -> list[Stack]:
        """The same stack at all other levels of its pyramid, as far as they make one."""
        levels = (level for level in range(len(self.levels(place))) if level != place.level)
        stacks = (self.open_again(replace(place, level=level)) for level in levels)
        return [stack for stack in stacks if stack is not None]

    def position(self, place: Place) -> tuple[tuple[str, int], ...]:
        """Axes besides the stack's, and where the stack lies on them: (("t", 2),)."""
        image = self._find(place.key)
        return () if image is None else position_of(image, place.geometry)

    def elsewhere(self, place: Place) -> tuple[tuple[str, int], ...]:
        """As ``position``, of the viewer, on those axes where it is not at the stack's."""
        image = self._find(place.key)
        if image is None:
            return ()
        shape = pixels_of(image).shape
        point = np.rint(image.world_to_data(self._viewer.dims.point)).astype(int)
        return tuple(
            (_axis_name(image, axis), int(point[axis]))
            for axis, index in sorted(place.geometry.fixed.items())
            if point[axis] != index and 0 <= point[axis] < shape[axis]
        )

    def size_in_file(self, place: Place) -> VoxelSize | None:
        """Size of a voxel that the file of an image tells and its layer does not; see `file_facts`."""
        image = self._find(place.key)
        return None if image is None else size_in_file(image)

    def open_stack(self, place: Place) -> Stack:
        """The image as a stack; nothing is read yet."""
        image = self.get(place.key)
        return _stack_of(image, place, pixels_of(image, place.level))

    def open_joined(self, place: Place, channels: Sequence[Image]) -> Stack:
        """The stack of a place with the pixels of several ``channels``, which lie in it, as those of one image."""
        joined = JoinedChannels([image.data for image in channels])
        return _stack_of(self.get(place.key), place, joined)

    def open_again(self, place: Place) -> Stack | None:
        """The stack of a place as its image is now; None where it has no such stack any more."""
        if self.get(place.key).ndim != place.geometry.ndim:
            return None
        try:
            return self.open_stack(self.at_level(place, place.level))
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


def _stack_of(image: Image, place: Place, pixels: Any) -> Stack:
    """The stack of a place on an image that shows ``pixels``."""
    geometry = place.geometry
    axes = geometry.stack_axes
    sizes = voxel_sizes(image)
    spacing = [float(sizes[axis]) * geometry.step(axis) for axis in axes]
    units = [unit_name(image.units[axis]) for axis in axes]
    if geometry.ndim == 2:
        spacing, units = [1.0, *spacing], ["pixel", *units]
    joined = isinstance(pixels, JoinedChannels)
    return Stack(
        pixels.channels if joined else pixels,
        slice_axis=geometry.slice_axis,
        channel_axis=geometry.ndim if joined else None,
        rgb=image.rgb,
        spacing=(spacing[0], spacing[1], spacing[2]),
        units=(units[0], units[1], units[2]),
        name=image.name,
        fixed=geometry.fixed_on_level(),
        origin=origin_at(image, place),
    )


def layer_key(layer: Layer) -> str:
    """Key of a layer; stays the same when the layer is renamed or moved."""
    return str(layer.unique_id)


def pixels_of(image: Image, level: int = 0) -> Any:
    """The array of an image, or of one level of its pyramid."""
    return levels_of(image)[level]


def shown_unit(name: str) -> str:
    """A unit as napari knows it; a name that means nothing to it is left out."""
    return _SHOWN_UNITS.get(name, name) if is_known(name) else PIXEL


def _level_count(image: Image) -> int:
    return len(levels_of(image))


def _handy_level(image: Image, geometry: StackGeometry) -> int:
    """The finest level whose slices are not large; the coarsest where all are."""
    count = _level_count(image)
    for level in range(count):
        shape = pixels_of(image, level).shape
        values = [int(shape[axis]) for axis in geometry.plane_axes] + [
            int(n) for n in shape[image.ndim :]
        ]
        if prod(values) <= LARGE:
            return level
    return count - 1


def origin_at(image: Image, place: Place) -> Origin:
    """Where a stack comes from, and how its voxels lie; an affine of its file holds for slices along z only."""
    found = image.metadata.get(ORIGIN)
    axes = place.geometry.stack_axes
    offset, angles = _offset(image, place), cosines(image, axes)
    if not isinstance(found, Origin):
        path = str(image.source.path or "")
        return Origin(path=path, level=place.level, offset=offset, cosines=angles)
    along = [image.axis_labels[axis] for axis in axes]
    affine = found.affine if along in (["z", "y", "x"], ["y", "x"]) else None
    if affine is not None and place.level:
        affine = _coarse(affine, [place.geometry.step(axis) for axis in axes])
    level = place.level or found.level
    return replace(found, affine=affine, level=level, offset=offset, cosines=angles)


def _offset(image: Image, place: Place) -> tuple[float, float, float]:
    """Where the middle of the first voxel of a stack lies along its axes; a plane lies at 0 along the slices."""
    world = image.data_to_world(place.geometry.offset())
    found = [tidy(float(world[axis])) for axis in place.geometry.stack_axes]
    along, down, across = [0.0] * (3 - len(found)) + found
    return along, down, across


def _coarse(affine: Affine, steps: list[float]) -> Affine:
    """The affine of voxels of a coarser level, ``steps`` of the finest long along (slices,) rows and columns."""
    sizes = np.array([1.0] * (3 - len(steps)) + steps)
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = np.diag(sizes), (sizes - 1) / 2
    first, second, third, fourth = (np.array(affine) @ place).tolist()
    return tuple(first), tuple(second), tuple(third), tuple(fourth)


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


def transforms_of(
    image: Image, geometry: StackGeometry, start: Mapping[int, int] | None = None
) -> dict[str, Any]:
    """Scale, place and units for a layer on the image, whose first element is the stack's at ``start``."""
    linear = np.linalg.inv(image.affine.linear_matrix)
    origin, first = (
        image.data_to_world(at) for at in (np.zeros(geometry.ndim), geometry.offset(start))
    )
    return {
        "scale": np.asarray(image.scale) * geometry.sizes(),
        "translate": np.asarray(image.translate) + linear @ np.subtract(first, origin),
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
    }
