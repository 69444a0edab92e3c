"""What napari asks when files are dropped or opened: image folders, adapters, and sessions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import show_info

from napari_salt.errors import InputError
from napari_salt.io.dicom_series import is_dicom_folder
from napari_salt.io.image_folder import image_files, open_folder
from napari_salt.io.session_folder import SUFFIX
from napari_salt.io.zarr_read import is_zarr
from napari_salt.records import Origin
from napari_salt.viewer_link.image_readers import NO_LAYER, LayerData, Reader, read_image
from napari_salt.viewer_link.images import ORIGIN
from napari_salt.viewer_link.registry import link_of

if TYPE_CHECKING:
    from napari_salt.viewer_link.signals import ViewerSignals


def folder_reader(path: str | Sequence[str]) -> Reader | None:
    """A reader for a session, an OME-Zarr, or a folder of DICOM files or single images; None for anything else."""
    if not isinstance(path, str | os.PathLike) or not Path(path).is_dir():
        return None
    if Path(path).name.endswith(SUFFIX):
        return read_session
    if is_zarr(Path(path)) or is_dicom_folder(Path(path)):
        return read_image
    return read_folder if image_files(Path(path)) else None


def read_folder(path: str | os.PathLike[str]) -> list[LayerData]:
    """The images of a folder as one lazy image layer; says so where sizes differ.

    Raises
    ------
    InputError
        When they make no stack; the sentence says why.
    """
    opened = open_folder(Path(path))
    info = opened.stack().info
    if opened.note:
        show_info(opened.note)
    attributes = {
        "name": info.name,
        "rgb": info.rgb,
        "scale": info.spacing,
        "units": info.units,
        "axis_labels": ("image", "y", "x"),
        "multiscale": False,
        "metadata": {ORIGIN: Origin(str(Path(path).absolute()), "folder")},
    }
    return [(opened.data, attributes, "image")]


def adapter_reader(path: str | Sequence[str]) -> Reader | None:
    """A reader for one adapter file; None for several."""
    return read_adapter if isinstance(path, str | os.PathLike) else None


def read_adapter(path: str | os.PathLike[str]) -> list[LayerData]:
    """Load an adapter into the dock of the current viewer, which is opened if need be; no layer.

    Raises
    ------
    InputError
        When there is no viewer to load it into.
    """
    _dock_for("An adapter").adapter_dropped.emit(Path(path))
    return NO_LAYER


def read_session(path: str | os.PathLike[str]) -> list[LayerData]:
    """Go on with a session folder in the dock of the current viewer, which is opened if need be; no layer.

    Raises
    ------
    InputError
        When there is no viewer to open it in.
    """
    _dock_for("A session").session_dropped.emit(Path(path))
    return NO_LAYER


def _dock_for(what: str) -> ViewerSignals:
    """Signals of the dock of the current viewer."""
    viewer = napari.current_viewer()
    if viewer is None:
        raise InputError(f"{what} is loaded into a viewer; open napari first, then drop it.")
    if link_of(viewer) is None:
        viewer.window.add_plugin_dock_widget("napari-salt")
    link = link_of(viewer)
    if link is None:
        raise InputError("The dock could not be opened; open it from the Plugins menu, then drop.")
    return link.signals
