"""Adapters and sessions dropped on a real window: into the open dock, or into one that opens for them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.control import files_controller
from napari_salt.errors import AdapterError
from napari_salt.records import Label
from napari_salt.viewer_link.registry import link_of
from napari_salt.widgets.dock import Dock


class Runner:
    """An engine that never answers."""

    running = False

    def submit(self, request, planes, **calls):
        return 1

    def stop(self):
        pass

    def close(self):
        pass


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch):
    monkeypatch.setattr("napari_salt.widgets.dock._engine", Runner)
    return make_napari_viewer()


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    class Info:
        labels = (Label(1, "nucleus"),)
        channels, rgb = 1, False

    monkeypatch.setattr(files_controller, "read_info", lambda path: Info)
    path = tmp_path / "brain.salt.safetensors"
    path.touch()
    return path


def test_it_goes_into_the_open_dock_and_adds_no_layer(viewer, adapter):
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    layers = list(viewer.layers)
    assert viewer.open(str(adapter), plugin="napari-salt") == []
    assert list(viewer.layers) == layers
    assert dock.status.value().text == "brain.salt.safetensors loaded; it finds nucleus"
    assert dock.controller.desk.session.adapter_path == str(adapter)
    assert [x for x in viewer.window.dock_widgets.values() if isinstance(x, Dock)] == [dock]


def test_a_dock_opens_for_it(viewer, adapter):
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    assert link_of(viewer) is None
    viewer.open(str(adapter), plugin="napari-salt")
    assert link_of(viewer) is not None
    assert viewer.layers["t1 paint"].visible
    assert list(viewer.layers["t1 paint"].features["name"])[1] == "nucleus"


def test_without_an_image_it_says_what_to_do(viewer, adapter, monkeypatch):
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock)
    said = []
    monkeypatch.setattr(dock, "notify", lambda sentence, level: said.append(sentence))
    viewer.open(str(adapter), plugin="napari-salt")
    assert said == [
        "brain.salt.safetensors was not loaded. Open or choose an image first. Then drop it again."
    ]


def test_a_damaged_one_is_refused_in_a_sentence(viewer, tmp_path, monkeypatch):
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    said = []
    monkeypatch.setattr(dock, "notify", lambda sentence, level: said.append(sentence))
    path = tmp_path / "a.salt.safetensors"
    path.write_bytes(b"\x80\x04pickle")
    viewer.open(str(path), plugin="napari-salt")
    assert len(said) == 1
    assert "a.salt.safetensors" in said[0]
    assert dock.controller.desk.session.adapter_path is None
    with pytest.raises(AdapterError):
        files_controller.read_info(path)


# --- sessions -------------------------------------------------------------------------------------


@pytest.fixture
def kept(viewer, tmp_path, monkeypatch):
    """A session folder of one painted slice of "t1", whose window went on without it."""
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    dock.wishes.label_added.emit("nucleus")
    paint = viewer.layers["t1 paint"]
    paint.data_setitem((np.array([1, 1]), np.array([4, 5]), np.array([4, 4])), 1)
    monkeypatch.setattr(dock, "ask_save", lambda title, name, pattern: tmp_path / "mine")
    dock.wishes.save_session.emit()
    assert dock.status.value().text.startswith("session saved")
    viewer.window.remove_dock_widget(dock)
    dock.controller.close()
    dock.close()
    viewer.layers.clear()
    return tmp_path / "mine.salt"


def test_a_session_goes_on_in_a_dock_that_opens_for_it(viewer, kept):
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    assert viewer.open(str(kept), plugin="napari-salt") == []
    (dock,) = (one for one in viewer.window.dock_widgets.values() if isinstance(one, Dock))
    assert dock.status.value().text.startswith("your work is back")
    assert dock.controller.desk.session.annotations.painted_slices() == (1,)
    assert viewer.layers["t1 paint"].data[1, 4, 4] == 1


def test_a_session_of_another_image_is_refused_in_a_sentence(viewer, kept, monkeypatch):
    said = []
    monkeypatch.setattr(Dock, "notify", lambda dock, sentence, level: said.append(sentence))
    monkeypatch.setattr(Dock, "ask_open", lambda dock, title, pattern: None)
    viewer.add_image(np.ones((4, 16, 16), np.uint8), name="other")
    viewer.open(str(kept), plugin="napari-salt")
    assert len(said) == 1
    assert "open that image first" in said[0]
    assert not viewer.layers["other paint"].data.any()


def test_a_folder_that_only_looks_like_a_session_is_refused(viewer, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(Dock, "notify", lambda dock, sentence, level: said.append(sentence))
    viewer.add_image(np.zeros((3, 16, 16), np.uint8), name="t1")
    (tmp_path / "empty.salt").mkdir()
    viewer.open(str(tmp_path / "empty.salt"), plugin="napari-salt")
    assert said == ["empty.salt is not a session of napari-salt; choose a folder *.salt."]
