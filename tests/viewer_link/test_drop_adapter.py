"""An adapter dropped on a real window: into the open dock, or into one that opens for it."""

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
