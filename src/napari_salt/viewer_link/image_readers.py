"""Image files as layers, NIfTI, NRRD, DICOM, OME-Zarr, HDF5 and more: lazily, with their sizes and their place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import napari
from napari.layers import Layer
from napari.utils.notifications import show_info

from napari_salt.errors import ChoiceNeeded
from napari_salt.io.dicom_read import Frames
from napari_salt.io.dicom_series import SUFFIXES as DICOM
from napari_salt.io.opened import Opened
from napari_salt.io.opening import Wanted, open_path
from napari_salt.io.slicer_segments import is_segmentation, open_nrrd_labels
from napari_salt.io.units import PIXEL
from napari_salt.io.zarr_read import is_label_image, is_zarr, label_folders, open_zarr_labels
from napari_salt.viewer_link.choosing import choose
from napari_salt.viewer_link.images import ORIGIN, shown_unit

LayerData: TypeAlias = tuple[Any, ...]
"""What napari takes from a reader: data, attributes, type; or (None,) for no layer."""
Reader: TypeAlias = Callable[[Any], list[LayerData]]

NO_LAYER: list[LayerData] = [(None,)]


def file_reader(path: str | Sequence[str]) -> Reader | None:
    """A reader for one image file, or for the files of one DICOM series; None for other lists."""
    if isinstance(path, str | os.PathLike):
        return read_image
    together = all(str(one).lower().endswith(DICOM) for one in path)
    return _read_first if path and together else None


def read_image(path: str | os.PathLike[str]) -> list[LayerData]:
    """The image at a path as one layer, and the label images beside it in an OME-Zarr.

    Where there are several, the user is asked which one. A DICOM file opens its whole series, once, however many
    of its files are dropped.

    Raises
    ------
    InputError
        When it cannot be opened; the sentence says why.
    """
    try:
        opened = open_path(path)
    except ChoiceNeeded as needed:
        if napari.current_viewer() is None:
            raise
        chosen = choose(Path(path).name, needed.choices)
        if chosen is None:
            return NO_LAYER
        opened = open_path(chosen.path, Wanted(series=chosen.series))
    if not Path(path).is_dir() and _is_open(opened):
        show_info(f"The series “{opened.name}” is open already.")
        return NO_LAYER
    if opened.note:
        show_info(opened.note)
    place = Path(opened.origin.path)
    if is_zarr(place) and is_label_image(place):
        return [labels_layer(open_zarr_labels(place))]
    if is_segmentation(place):
        return [labels_layer(open_nrrd_labels(place))]
    return [image_layer(opened), *_label_layers(place)]


def add_file(viewer: napari.Viewer, path: str | os.PathLike[str]) -> None:
    """Show an image file by this plugin's reader, whichever else there is: lazily, with its levels and sizes.

    Raises
    ------
    InputError
        When it cannot be opened; the sentence says why.
    """
    for layer in read_image(path):
        if layer[0] is not None:
            viewer.add_layer(Layer.create(*layer))


def image_layer(opened: Opened) -> LayerData:
    """An image as layer data; level 0 decides the scale, all levels are shown."""
    rgb = opened.stack().info.rgb
    attributes = _attributes(opened, opened.axes[:-1] if rgb else opened.axes) | {"rgb": rgb}
    if opened.shown is not None and not rgb:
        attributes["contrast_limits"] = opened.shown
    return (_data(opened), attributes, "image")


def labels_layer(opened: Opened) -> LayerData:
    """A label image as layer data, with the names and colours of its labels."""
    attributes = _attributes(opened, opened.axes)
    if opened.names:
        attributes["features"] = {"index": [0, *opened.names], "name": ["", *opened.names.values()]}
    if opened.colors:
        attributes["colormap"] = {None: "transparent", 0: "transparent", **opened.colors}
    return (_data(opened), attributes, "labels")


def _read_first(paths: Sequence[str]) -> list[LayerData]:
    return read_image(paths[0])


def _label_layers(folder: Path) -> list[LayerData]:
    """The label images beside an OME-Zarr image, with names and colours."""
    found = [
        open_zarr_labels(place) for place in (label_folders(folder) if is_zarr(folder) else ())
    ]
    return [labels_layer(opened) for opened in found if opened.data.dtype.kind in "iu"]


def _data(opened: Opened) -> Any:
    return list(opened.pyramid) if opened.pyramid else opened.data


def _attributes(opened: Opened, axes: str) -> dict[str, Any]:
    return {
        "name": opened.name,
        "scale": [opened.sizes.get(letter, 1.0) for letter in axes],
        "translate": [opened.offsets.get(letter, 0.0) for letter in axes],
        "units": [shown_unit(opened.units.get(letter, PIXEL)) for letter in axes],
        "axis_labels": tuple(axes.lower()),
        "multiscale": bool(opened.pyramid),
        "metadata": {ORIGIN: opened.origin},
    }


def _is_open(opened: Opened) -> bool:
    """Whether the current viewer shows the very same DICOM frames."""
    viewer = napari.current_viewer()
    if viewer is None or not isinstance(opened.data, Frames):
        return False
    return any(
        isinstance(layer.data, Frames)
        and layer.data.names == opened.data.names
        and layer.metadata.get(ORIGIN) == opened.origin
        for layer in viewer.layers
    )
