"""What napari asks when a labels layer is saved: in many formats, with sizes, place, names and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.transforms import CompositeAffine

from napari_salt.errors import InputError
from napari_salt.geometry import unit_name
from napari_salt.io.export import export_masks, format_of
from napari_salt.io.units import PIXEL, tidy
from napari_salt.io.write import write_masks
from napari_salt.records import Label, Origin, StackInfo
from napari_salt.viewer_link.images import ORIGIN
from napari_salt.viewer_link.ownership import META

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import Color
    from napari_salt.session.stack import ArrayLike


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write one labels layer; ``attributes`` are those of its layer data tuple.

    Label ids, voxel size and unit, and the names and colours of labels are kept, and nothing is
    widened: the type is the smallest unsigned one that holds the ids. A plane is written as a stack
    of one slice; axes of length one are left out. A deleted label is left out of our own predictions:
    nobody sees it there.

    Raises
    ------
    InputError
        When the layer has more than three axes, ids below zero, or does not suit the format.
    OutputError
        When the file cannot be written.
    """
    levels = attributes.get("multiscale", False)
    array = data[0] if levels else data
    kept = _kept_axes(tuple(array.shape), str(attributes.get("name", "The layer")))
    stack, units = _as_stack(array, kept, attributes)
    spacing, offset = _place(kept, len(array.shape), attributes)
    names = _names(attributes.get("features"))
    if names and (attributes.get("metadata") or {}).get(META, {}).get("role") == "prediction":
        stack = _Named(stack, names)
    colors = _colors(attributes.get("colormap"), names)
    if format_of(path).kind in ("tiff", "ome-tiff"):
        written = write_masks(path, stack, names=names, colors=colors, spacing=spacing, units=units)
        return [str(written)]
    info = StackInfo(
        shape=(int(stack.shape[0]), int(stack.shape[1]), int(stack.shape[2])),
        spacing=spacing,
        units=(units[0], units[1], units[2]),
        name=str(attributes.get("name", "")),
        origin=replace(_origin(attributes, len(kept) == len(array.shape) == 3), offset=offset),
    )
    labels = [
        Label(label_id, names.get(label_id, str(label_id)), colors.get(label_id, _WHITE))
        for label_id in sorted({*names, *colors})
    ]
    return [str(export_masks(path, stack, info, labels))]


def _origin(attributes: Mapping[str, Any], whole: bool) -> Origin:
    """Where the image of the layer comes from; its place in the world is that of z, y and x only."""
    found = (attributes.get("metadata") or {}).get(ORIGIN)
    if not isinstance(found, Origin):
        return Origin()
    axes = tuple(attributes.get("axis_labels") or ())
    return found if whole and axes == ("z", "y", "x") else replace(found, affine=None)


_WHITE = (1.0, 1.0, 1.0, 1.0)


def _kept_axes(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Axes of the stack: all but the leading ones of length one that are too many."""
    extra = [axis for axis in range(len(shape) - 2) if shape[axis] == 1][: max(len(shape) - 3, 0)]
    kept = tuple(axis for axis in range(len(shape)) if axis not in extra)
    if len(kept) > 3:
        raise InputError(
            f"{name} has {len(kept)} axes, but masks are saved as slices, rows and columns; save "
            "one position of it, or save it as npy or zarr."
        )
    return kept


def _as_stack(
    array: Any, kept: tuple[int, ...], attributes: Mapping[str, Any]
) -> tuple[ArrayLike, list[str]]:
    """The layer as ``(N, Y, X)`` with the unit of each of these axes."""
    ndim = len(array.shape)
    units = attributes.get("units")
    named = [PIXEL] * ndim if units is None else [unit_name(unit) for unit in units]
    key = tuple(slice(None) if axis in kept else 0 for axis in range(ndim))
    words = [named[axis] for axis in kept]
    if len(kept) == 2:
        return np.asarray(array[key])[np.newaxis], [PIXEL, *words]
    return (array[key] if isinstance(array, np.ndarray) else _Slices(array, kept)), words


def _place(
    kept: tuple[int, ...], ndim: int, attributes: Mapping[str, Any]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Size of a voxel and middle of the first one along (N, Y, X), of all that places the layer in the world."""
    given = {key: attributes.get(key) for key in ("scale", "translate", "rotate", "shear")}
    own = CompositeAffine(ndim=ndim, **{key: v for key, v in given.items() if v is not None})
    whole = np.eye(ndim + 1) if attributes.get("affine") is None else attributes["affine"]
    matrix = np.asarray(whole, np.float64) @ own.affine_matrix
    lengths = np.linalg.norm(matrix[:-1, :-1], axis=0)
    sizes = [tidy(float(lengths[axis])) or 1.0 for axis in kept]
    first = [tidy(float(matrix[axis, -1])) for axis in kept]
    missing = 3 - len(kept)
    size_along, size_down, size_across = [1.0] * missing + sizes
    along, down, across = [0.0] * missing + first
    return (size_along, size_down, size_across), (along, down, across)


class _Slices:
    """A layer that is read from a file, as ``(N, Y, X)`` along its axes ``kept``; one slice is read at a time."""

    def __init__(self, array: Any, kept: tuple[int, ...]) -> None:
        self._array, self._kept = array, kept
        self.shape = tuple(int(array.shape[axis]) for axis in kept)
        self.dtype = array.dtype

    def __getitem__(self, index: int) -> NDArray[Any]:
        parts = {self._kept[0]: index, **dict.fromkeys(self._kept[1:], slice(None))}
        key = tuple(parts.get(axis, 0) for axis in range(len(self._array.shape)))
        return np.asarray(self._array[key])


class _Named:
    """Masks ``(N, Y, X)`` without the ids that have no name; one slice is read at a time."""

    def __init__(self, masks: ArrayLike, names: Iterable[int]) -> None:
        self._masks, self._names = masks, np.fromiter(names, np.int64)
        self.shape, self.dtype = masks.shape, masks.dtype

    def __getitem__(self, index: int) -> NDArray[Any]:
        plane = np.asarray(self._masks[index])
        return np.where(np.isin(plane, self._names), plane, 0)


def _names(features: Any) -> dict[int, str]:
    """Names by label id of a features table with the columns that napari shows on hover."""
    if features is None or "index" not in features or "name" not in features:
        return {}
    pairs = zip(features["index"], features["name"], strict=True)
    return {int(index): str(name) for index, name in pairs if index > 0 and str(name)}


def _colors(colormap: Any, names: Mapping[int, str]) -> dict[int, Color]:
    """Colours by label id: those set by hand, and those of the named labels."""
    if isinstance(colormap, DirectLabelColormap):
        given = {key: value for key, value in colormap.color_dict.items() if key}
        return {int(key): _color(value) for key, value in given.items()}
    if colormap is None:
        return {}
    return {label_id: _color(colormap.map(np.array([label_id]))[0]) for label_id in names}


def _color(value: Any) -> Color:
    red, green, blue, alpha = (float(part) for part in value)
    return red, green, blue, alpha
