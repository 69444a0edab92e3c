"""What the plugin's own menu entries do besides opening the dock."""

from __future__ import annotations

import napari
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_salt.io.opening import READERS
from napari_salt.viewer_link.image_readers import add_file

# napari fills the parameters by their types, so those are imported when the code runs.


def open_image_folder(viewer: napari.Viewer) -> None:
    """Ask for a folder, and open what is in it as one stack: single images, a DICOM series, or an OME-Zarr."""
    folder = QFileDialog.getExistingDirectory(
        QApplication.activeWindow(),
        "Open a folder of images or DICOM files, or an OME-Zarr, as one stack",
    )
    if folder:
        viewer.open(folder, plugin="napari-salt")


def open_image_file(viewer: napari.Viewer) -> None:
    """Ask for an image file, and show it by this plugin's reader: lazily, with its levels and voxel size."""
    endings = " ".join(f"*{ending}" for ending in sorted(READERS))
    path, _ = QFileDialog.getOpenFileName(
        QApplication.activeWindow(),
        "Open an image file with its levels and sizes",
        filter=f"Images ({endings});;All files (*)",
    )
    if path:
        add_file(viewer, path)
