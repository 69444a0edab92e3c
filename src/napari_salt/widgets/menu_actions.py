"""What the plugin's own menu entries do besides opening the dock."""

from __future__ import annotations

import napari
from qtpy.QtWidgets import QApplication, QFileDialog

# napari fills the parameters by their types, so those are imported when the code runs.


def open_image_folder(viewer: napari.Viewer) -> None:
    """Ask for a folder, and open what is in it as one stack: single images, a DICOM series, or an OME-Zarr."""
    folder = QFileDialog.getExistingDirectory(
        QApplication.activeWindow(),
        "Open a folder of images or DICOM files, or an OME-Zarr, as one stack",
    )
    if folder:
        viewer.open(folder, plugin="napari-salt")
