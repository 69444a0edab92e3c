"""The dock opens no port: neither this process nor the engine's listens, or speaks, on any address."""

from __future__ import annotations

import socket
import sys

import numpy as np
import psutil
import pytest

from napari_salt.widgets.dock import Dock
from security.stub_jobs import Nap


def on_the_network() -> list[str]:
    """Internet sockets of this process and its children, listening or connected."""
    here = psutil.Process()
    return [
        f"{one.pid} {each.status} {each.laddr} {each.raddr}"
        for one in (here, *here.children(recursive=True))
        for each in one.net_connections(kind="inet")
    ]


def test_a_port_that_is_open_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert any(f"port={server.getsockname()[1]}" in each for each in on_the_network())


@pytest.mark.skipif(sys.platform == "darwin", reason="asking needs more rights there")
def test_no_port_is_open_while_the_dock_works(make_napari_viewer, qtbot):
    before = on_the_network()
    viewer = make_napari_viewer()
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    viewer.add_image(np.random.default_rng(0).random((5, 16, 16)), name="t1")
    engine = dock.controller.jobs._runner.engine
    engine.close()  # warming up is a job of its own, and real
    children = []
    for _ in engine.submit(Nap(5), dock.controller.desk.session.stack):
        children += [child.pid for child in psutil.Process().children(recursive=True)]
        assert on_the_network() == before
    assert engine.pid in children
    dock.controller.close()
    assert on_the_network() == before
