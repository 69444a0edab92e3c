"""A window that is about to close: work is saved first, elsewhere if need be, and that is told while it is there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QMessageBox

from napari_salt.control.rescue import NOWHERE
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_store import SessionStore
from napari_salt.widgets.dock import Dock


class Runner:
    """An engine that has nothing to do."""

    running = False

    def submit(self, request, planes, **calls):
        calls["on_done"](None)
        return 1

    def stop(self):
        pass

    def close(self):
        pass


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """The dock of a window on the screen; nothing is painted yet, so its clock has nothing to save."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((4, 8, 8), np.uint8), name="t1")
    dock = Dock(viewer, Runner())
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    dock.wishes.label_added.emit("cell")
    return dock


def paint(dock):
    annotations = dock.controller.desk.session.annotations
    annotations.paint[2] = 1
    annotations.touched(2)


def may_close(dock):
    """What the window would hear if it were closed now; pytest's napari wants to close it itself."""
    return not dock.eventFilter(dock._viewer.window._qt_window, QCloseEvent())


@pytest.fixture
def asked(monkeypatch):
    """Questions and announcements, answered by taking the first button, or none where ``answer`` is False."""
    found = []

    def answer(box):
        found.append(box.text())
        assert box.textFormat() == Qt.TextFormat.PlainText
        if answer.agree and box.buttons():
            box.buttons()[0].click()

    answer.agree = True
    found.append(answer)
    monkeypatch.setattr(QMessageBox, "exec", answer)
    return found


def block(*variables):
    """Put a file where a folder should be."""
    for name in variables:
        folder = Path(os.environ[name])
        folder.rmdir()
        folder.touch()


def unblock(*variables):
    for name in variables:
        Path(os.environ[name]).unlink()


def painted(folder):
    (path,) = Path(folder).glob("*.salt")
    found = SessionFolder.open_folder(path)
    found.close()
    return found.painted_slices()


def test_closing_the_window_saves_without_a_word(opened, asked):
    paint(opened)
    assert may_close(opened)
    assert asked[1:] == []
    opened.controller.close()
    assert painted(SessionStore().folder) == (2,)


def test_work_that_was_put_elsewhere_is_told_of_while_the_window_is_there(opened, asked):
    block("NAPARI_SALT_SESSIONS")
    paint(opened)
    assert may_close(opened)
    (told,) = asked[1:]
    assert os.environ["NAPARI_SALT_RESCUE"] in told
    opened.controller.close()
    assert painted(os.environ["NAPARI_SALT_RESCUE"]) == (2,)


def test_a_window_whose_work_no_disk_takes_stays_open_until_the_user_gives_it_up(opened, asked):
    block("NAPARI_SALT_SESSIONS", "NAPARI_SALT_RESCUE")
    paint(opened)
    asked[0].agree = False
    assert not opened._viewer.window._qt_window.close()
    assert opened.isVisible()
    assert asked[1].startswith(NOWHERE)
    assert opened.controller.desk.session.annotations.painted_slices() == (2,)
    unblock("NAPARI_SALT_SESSIONS", "NAPARI_SALT_RESCUE")
    assert may_close(opened)
    assert len(asked) == 2
    opened.controller.close()
    assert painted(SessionStore().folder) == (2,)
