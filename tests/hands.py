"""What tests do with their hands in a real window: find the canvas, drag the brush, wait."""

from __future__ import annotations

import numpy as np
from pytestqt import exceptions
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

LONG = 240_000
"""Milliseconds that a job may take on a busy machine; a wait ends as soon as the effect is there."""


def canvas():
    """The widget that napari draws on."""
    (native,) = [w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop"]
    assert isinstance(native, QWidget)
    return native


def stroke(*points):
    """Drag the brush through points given from the middle of the canvas."""
    native = canvas()
    places = [native.rect().center() + QPoint(*point) for point in points]
    QTest.mouseMove(native, places[0])
    QTest.mousePress(native, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(native, place)
        QApplication.processEvents()
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, pos=places[-1])
    QApplication.processEvents()


def drag_box(viewer, image, index, low, high):
    """Drag from one place of slice ``index`` to another, both given in the image's pixels (y, x)."""
    native, camera = canvas(), viewer.scene.camera
    places = []
    for y, x in (low, ((low[0] + high[0]) / 2, high[1]), high):
        world = image.data_to_world((index, y, x))
        offset = (np.array(world[1:]) - np.array(camera.center[-2:])) * camera.zoom
        places.append(native.rect().center() + QPoint(round(offset[1]), round(offset[0])))
    QTest.mouseMove(native, places[0])
    QTest.mousePress(native, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(native, place)
        QTest.qWait(20)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, pos=places[-1])
    QApplication.processEvents()


def wait_idle(dock, qtbot):
    """Until no job runs that the user knows of."""
    qtbot.waitUntil(lambda: not dock.controller.jobs.busy, timeout=LONG)


def wait_said(dock, qtbot, words):
    """Until these words were said, shown or not: the line shows how far a job is as soon as the next one begins.

    Where they never come, what was said instead, and what runs.
    """
    desk, jobs = dock.controller.desk, dock.controller.jobs
    try:
        qtbot.waitUntil(lambda: words in desk.status.text, timeout=LONG)
    except exceptions.TimeoutError as late:
        kind = None if jobs.job is None else jobs.job.kind
        told = f"{desk.status.text!r}, {jobs.progress()}, {kind}, running: {jobs.running}"
        raise AssertionError(f"{words!r} never came: {told}") from late
