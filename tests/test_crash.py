"""The application is killed while somebody paints, or its script dies; the work is there, and it is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_store import SessionStore
from napari_salt.widgets.dock import Dock

SHAPE = (8, 32, 32)
PAINTER = f"""
import time
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_salt.io.session_store import SessionStore
from napari_salt.io.session_folder import read_state
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros({SHAPE}, np.uint8), name="t1")
_, dock = viewer.window.add_plugin_dock_widget("napari-salt")
dock.labels.addRequested.emit("cell")
paint, store = viewer.layers["t1 paint"], SessionStore()
value = 0
while True:
    for index in range({SHAPE[0]}):
        viewer.dims.set_point(0, index)
        paint.brush_size = 64
        paint.paint((index, 16, 16), 1)
        QApplication.processEvents()
    dock.wishes.complete_set.emit(value % 2 == 0)
    value += 1
    QApplication.processEvents()
    time.sleep(0.02)
    for path in store.folder.glob("*.salt"):
        if (path / "session.json").exists():
            print(len(read_state(path).painted), flush=True)
"""
SCRIPT = f"""
import sys
import napari, numpy as np
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros({SHAPE}, np.uint8), name="t1")
_, dock = viewer.window.add_plugin_dock_widget("napari-salt")
dock.labels.addRequested.emit("cell")
viewer.layers["t1 paint"].paint((5, 16, 16), 1)
"""
"""Paints, which also warms the engine up, and ends without ``napari.run()``."""


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [("1 / 0", 1, "ZeroDivisionError: division by zero"), ("sys.exit(3)", 3, "")],
)
def test_paint_of_a_script_that_dies_is_saved(ending, code, said):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT + ending]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == code, run.stderr
    assert run.stderr.strip().endswith(said)
    assert run.stderr.count("Traceback") == bool(said), run.stderr
    (path,) = SessionStore().folder.glob("*.salt")
    folder = SessionFolder.open_folder(path)
    assert (folder.paint(5) == 1).any()
    assert [label.name for label in folder.state().labels] == ["cell"]
    folder.close()


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_work_of_a_killed_viewer_is_offered_and_whole(make_napari_viewer, qtbot):
    painter = [sys.executable, "-W", "ignore", "-c", PAINTER]
    with subprocess.Popen(painter, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        saved = 0
        for line in run.stdout:
            saved = max(saved, int(line))
            if saved == SHAPE[0]:
                break
        run.send_signal(signal.SIGKILL)
    assert saved == SHAPE[0]
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="t1")
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    qtbot.waitUntil(lambda: bool(dock.status.value().offer), timeout=60_000)
    assert dock.status.value().text == "Restore your work on “t1”? 8 slices"
    dock.status.offerTaken.emit()
    paint = viewer.layers["t1 paint"].data
    assert viewer.layers.selection.active is viewer.layers["t1 paint"]
    assert viewer.layers["t1 paint"].mode == "paint"
    assert (viewer.layers["t1 paint"].selected_label, dock.labels.value()) == (1, 1)
    assert all((paint[index] == 1).any() for index in range(SHAPE[0]))
    assert [row.name for row in dock.labels.rows()] == ["cell", "background"]
    assert len(SessionStore().find(dock.controller.saving._kept.known.result()[0])) == 1
    dock.controller.close()
