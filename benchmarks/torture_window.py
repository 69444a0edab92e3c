"""The whole application in a real napari window that nobody sees; needs a screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import napari
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication

from napari_salt.engine.engine import Engine
from napari_salt.io import rescue_folders
from napari_salt.io.session_store import FOLDER_VARIABLE
from napari_salt.widgets.dock import Dock
from torture_office import Office, ThreadRunner


class WindowOffice(Office):
    """As `Office`, with the dock in a window for a view; its own clock saves."""

    def __init__(self, folder: Path, pixels: NDArray[Any], engine: Engine) -> None:
        os.environ[FOLDER_VARIABLE] = str(folder)
        os.environ[rescue_folders.FOLDER_VARIABLE] = str(folder.parent / "rescue")
        self.viewer = napari.Viewer(show=False)
        self.runner = ThreadRunner(engine)
        self.viewer.add_image(pixels, name="t1")
        dock = self.view = Dock(self.viewer, self.runner)
        self.viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
        self.controller, self.wishes = dock.controller, dock.wishes
        self.link = dock.controller.desk.link

    def go_on(self) -> None:
        """Let the window do what has come up."""
        self.runner.deliver()
        QApplication.processEvents()

    def save(self) -> None:
        """Do now what the dock does every second."""
        self.controller.tick()
