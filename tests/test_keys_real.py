"""Keys pressed on the canvas of a real window, with an engine that only plays its part."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_salt.engine.requests import SegmentRequest
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.widgets.dock import Dock

NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
SHAPE = (7, 64, 64)


class Runner:
    """Predicts label 1 in the left half and label 2 in the right, at once."""

    running = False

    def submit(self, request, planes, *, on_report, on_done, on_failed, on_stopped):
        if isinstance(request, SegmentRequest):
            labels = np.full(SHAPE[1:], 1, np.uint16)
            labels[:, SHAPE[2] // 2 :] = 2
            for index in request.slices:
                uncertain = np.full(SHAPE[1:], 0.1, np.float16)
                on_report(SlicePrediction(index, labels, uncertain, SliceSummary(index, 0.1)))
        on_done(None)
        return 1

    def stop(self):
        pass

    def close(self):
        pass


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    viewer.add_image(np.random.default_rng(0).random(SHAPE), name="t1")
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    dock = Dock(viewer, Runner())
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    for name in ("cell", "nucleus"):
        dock.labels.addRequested.emit(name)
    viewer.reset_view()
    yield dock
    dock.controller.close()


@pytest.fixture
def canvas(dock):
    (native,) = [w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop"]
    native.setFocus()
    assert native.window().focusWidget() is native, "no window manager here gives it to the window"
    return native


def stroke(canvas, *points):
    places = [canvas.rect().center() + QPoint(*point) for point in points]
    QTest.mouseMove(canvas, places[0])
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
        QApplication.processEvents()
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=places[-1])
    QApplication.processEvents()


def press(canvas, key, held=NONE):
    QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"), held)
    QApplication.processEvents()


def test_a_stack_is_labelled_by_keys(viewer, dock, canvas, tmp_path):
    """Brush, copy, interpolate, segment, accept one label, undo across slices: no button pressed."""
    session = dock.controller.desk.session
    annotations, link = session.annotations, dock.controller._link
    link.go_to(1)
    press(canvas, "1", ALT)
    stroke(canvas, (-60, -40), (60, -40))
    stroke(canvas, (-60, 40), (60, 40))
    painted = annotations.paint[1].copy()
    assert set(np.unique(painted)) == {0, 1}

    link.go_to(5)
    press(canvas, "C", SHIFT)
    np.testing.assert_array_equal(annotations.paint[5], painted)
    link.go_to(3)
    press(canvas, "I", SHIFT)
    assert annotations.painted_slices(1) == (1, 2, 3, 4, 5)
    np.testing.assert_array_equal(annotations.paint[3], painted)

    session.use_adapter(tmp_path / "a")
    link.go_to(6)
    press(canvas, "S", SHIFT)
    assert session.predicted_slices() == (6,)
    press(canvas, "H")
    assert not viewer.layers["t1 prediction"].visible
    press(canvas, "2", ALT)
    press(canvas, "G", SHIFT)
    assert annotations.ids(6) == {2}
    press(canvas, "G")
    assert annotations.ids(6) == {1, 2}
    assert annotations.is_complete(6)
    press(canvas, "W")
    assert not annotations.is_complete(6)
    press(canvas, "N")
    assert link.current_slice() == 0

    press(canvas, "U")
    assert link.current_slice() == 6
    assert annotations.ids(6) == {2}
    link.go_to(0)
    for left in ((1, 2, 3, 4, 5), (1, 5), (1,)):
        press(canvas, "Z", CONTROL)
        assert annotations.painted_slices() == left
    press(canvas, "Z", CONTROL)
    press(canvas, "Z", CONTROL)
    assert not annotations.paint.any()
    press(canvas, "Z", CONTROL | SHIFT)
    press(canvas, "Z", CONTROL | SHIFT)
    np.testing.assert_array_equal(annotations.paint[1], painted)


def test_the_list_of_keys_opens_from_the_canvas_and_esc_closes_it(dock, canvas, qtbot):
    press(canvas, "F1")
    assert dock.keys.isVisible()
    QTest.keyClick(dock.keys, Qt.Key.Key_Escape)
    assert not dock.keys.isVisible()


def test_a_name_can_be_typed_without_setting_keys_off(dock, canvas):
    here = dock.controller._link.current_slice()
    line = dock.labels.findChild(QLineEdit)
    line.setFocus()
    QTest.keyClicks(line, "nwgukh")
    assert line.text() == "nwgukh"
    assert dock.controller._link.current_slice() == here
    assert not dock.controller.desk.session.annotations.complete
    dock.next.setFocus()
    QTest.keyClick(dock.next._next, Qt.Key.Key_W)
    assert dock.controller.desk.session.annotations.complete == {here}, "a button hands keys on"


def test_napari_s_own_keys_still_work(viewer, dock, canvas):
    paint = viewer.layers["t1 paint"]
    for key, mode in (
        ("E", "erase"),
        ("P", "paint"),
        ("F", "fill"),
        ("2", "paint"),
        ("6", "pan_zoom"),
    ):
        press(canvas, key)
        assert paint.mode == mode
    size = paint.brush_size
    press(canvas, "BracketRight")
    assert paint.brush_size > size


def test_undo_takes_back_an_outline_that_is_being_drawn_before_what_was_there(dock, canvas, qtbot):
    annotations = dock.controller.desk.session.annotations
    stroke(canvas, (-80, 0), (80, 0))
    before = annotations.paint.copy()
    assert before.any()
    places = [canvas.rect().center() + QPoint(*point) for point in ((-80, 60), (80, 60), (80, 120))]
    QTest.mouseMove(canvas, places[0])
    QTest.mouseClick(canvas, Qt.MouseButton.RightButton, NONE, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
        QApplication.processEvents()
    qtbot.waitUntil(lambda: (annotations.paint != before).any(), timeout=5000)
    press(canvas, "Z", CONTROL)
    np.testing.assert_array_equal(annotations.paint, before)
    stroke(canvas, (-80, -60), (80, -60))
    assert (annotations.paint != before).any(), "the brush is in hand as before"
    press(canvas, "Z", CONTROL)
    np.testing.assert_array_equal(annotations.paint, before)
    press(canvas, "Z", CONTROL)
    assert not annotations.paint.any()
