"""The box tool in a real window: drag on the canvas, the engine's own child process, Enter."""

from __future__ import annotations

import os

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from hands import LONG, canvas, drag_box
from napari_salt.widgets.dock import Dock

MIDDLE, RADIUS = (30, 34), 12


@pytest.fixture
def viewer(make_napari_viewer):
    rows, columns = np.mgrid[:64, :64]
    disk = (rows - MIDDLE[0]) ** 2 + (columns - MIDDLE[1]) ** 2 < RADIUS**2
    noise = np.random.default_rng(0).integers(0, 300, (5, 64, 64))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    viewer.add_image((500 + noise + 3000 * disk).astype(np.uint16), name="t1", scale=(3, 1, 1))
    return viewer


@pytest.fixture
def dock(viewer):
    widget = Dock(viewer)
    viewer.window.add_dock_widget(widget, name="Few-shot segmentation")
    viewer.reset_view()
    widget.labels.addRequested.emit("disk")
    yield widget
    widget.controller.close()


def test_a_box_becomes_paint(viewer, dock, qtbot):
    session = dock.controller.desk.session
    image, paint = viewer.layers["t1"], viewer.layers["t1 paint"]
    assert paint.mode == "paint"
    dock.assist.valueChanged.emit(True)
    qtbot.waitUntil(lambda: "drag a box" in dock.assist.text(), timeout=LONG)
    centre = tuple(viewer.scene.camera.center)
    low = MIDDLE[0] - RADIUS - 1, MIDDLE[1] - RADIUS - 1
    drag_box(viewer, image, 2, low, (MIDDLE[0] + RADIUS + 1, MIDDLE[1] + RADIUS + 1))
    assert tuple(viewer.scene.camera.center) == centre
    assert not session.annotations.paint.any()
    qtbot.waitUntil(lambda: "Enter takes it, Esc" in dock.assist.text(), timeout=LONG)
    qtbot.waitUntil(lambda: "closer" not in dock.assist.text(), timeout=LONG)
    assert "t1 box mask" in viewer.layers
    QTest.keyClick(canvas(), Qt.Key.Key_Return)
    assert "t1 box mask" not in viewer.layers
    rows, columns = np.mgrid[:64, :64]
    truth = (rows - MIDDLE[0]) ** 2 + (columns - MIDDLE[1]) ** 2 < RADIUS**2
    mine = session.annotations.paint[2] == 1
    assert 2 * (mine & truth).sum() / (mine.sum() + truth.sum()) > 0.85

    QTest.keyClick(canvas(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not session.annotations.paint.any()
    QTest.keyClick(canvas(), Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    assert not dock.assist.value()
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 paint"]
    assert viewer.layers.selection.active is paint
    assert paint.mode == "paint"


def test_a_volume_and_other_axes_turn_the_tool_off_in_a_window(viewer, dock, qtbot):
    for change in ({"ndisplay": 3}, {"order": (1, 0, 2)}):
        dock.assist.valueChanged.emit(True)
        assert dock.assist.value()
        QTest.mouseMove(canvas(), canvas().rect().center())
        viewer.dims.update(change)
        QApplication.processEvents()
        assert not dock.assist.value()
        assert "t1 box" not in viewer.layers
        viewer.dims.update({"ndisplay": 2, "order": (0, 1, 2)})


@pytest.mark.parametrize("how", ["window", "dock"])
def test_closing_in_the_middle_of_a_look_ends_the_engine(viewer, dock, qtbot, how):
    dock.assist.valueChanged.emit(True)
    engine = dock.controller.assist._runner.engine
    qtbot.waitUntil(lambda: engine.pid is not None, timeout=LONG)
    pid = engine.pid
    if how == "window":
        viewer.close()
    else:
        viewer.window.remove_dock_widget("all")
        assert "t1 box" not in viewer.layers
    qtbot.waitUntil(lambda: not alive(pid), timeout=10_000)


def alive(pid):
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
