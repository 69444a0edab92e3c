"""The whole loop in a real window: brush strokes, the engine in its child process, real weights.

Small on purpose (12 slices of 64 x 64, two steps), so that it runs in every test run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hands import LONG, stroke, wait_idle, wait_said
from napari_salt.io.read import read_labels
from napari_salt.model.adapter_info import read_info
from napari_salt.records import FitSettings
from napari_salt.samples import load_mni_brain
from napari_salt.widgets.dock import Dock

QUICK = FitSettings(steps=2, device="cpu", other_stacks=False)


@pytest.fixture(scope="module")
def brain():
    stack, labels, _ = load_mni_brain()
    where = slice(60, 84, 2), slice(60, 124), slice(60, 124)
    return np.asarray(stack.data)[where].copy(), labels[where].copy()


@pytest.fixture
def viewer(make_napari_viewer, brain):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    viewer.add_image(brain[0], name="t1", scale=(2, 1, 1), units=("mm",) * 3)
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    widget = Dock(viewer)
    viewer.window.add_dock_widget(widget, name="Few-shot segmentation")
    widget.settings.valueChanged.emit(QUICK)
    viewer.reset_view()
    yield widget
    widget.controller.close()


def paint_like(dock, viewer, index, labels):
    """Two strokes by hand, then the rest of the slice from the reference."""
    link = dock.controller._link
    link.go_to(index)
    for label_id, height in ((1, -60), (2, 60)):
        dock.wishes.label_selected.emit(label_id)
        stroke((-80, height), (0, height), (80, height))
        assert label_id in dock.controller.desk.session.annotations.ids(index)
    paint = viewer.layers["t1 paint"]
    paint.data[index] = labels[index]
    paint.data_setitem((np.array([index]), np.array([0]), np.array([0])), 0)
    link.signals.painted.emit((index,))
    paint.refresh()
    dock.slice.valueChanged.emit(True)


def named(dock):
    for name in ("gray matter", "white matter"):
        dock.labels.addRequested.emit(name)


def test_from_the_first_stroke_to_exported_masks(viewer, dock, brain, qtbot, tmp_path, monkeypatch):
    named(dock)
    paint_like(dock, viewer, 3, brain[1])
    paint_like(dock, viewer, 8, brain[1])
    assert [row.slices for row in dock.labels.rows()][:2] == [2, 2]
    session = dock.controller.desk.session
    said, early = [], []
    show_status = dock.status.setValue
    monkeypatch.setattr(
        dock.status, "setValue", lambda state: (said.append(state.text), show_status(state))
    )
    show_readiness = dock.set_readiness
    monkeypatch.setattr(
        dock,
        "set_readiness",
        lambda ready: (early.append("t1 prediction" in viewer.layers), show_readiness(ready)),
    )
    dock.adapt.adaptRequested.emit()
    assert dock.controller.jobs.busy
    stroke((-80, 0), (80, 0))  # painting goes on while the engine works
    qtbot.waitUntil(lambda: len(session.rounds) == 1, timeout=LONG)
    assert session.slices_since_round == (8,)
    assert early[-1], "the slice on screen is shown before the round is done"
    wait_idle(dock, qtbot)
    assert any(text.startswith("embedding") for text in said)
    assert any(text.startswith("segmenting") for text in said)
    assert dock.status.value().text == "12 slices segmented"
    predicted = viewer.layers["t1 prediction"].data
    agree = (predicted == brain[1])[brain[1] > 0].mean()
    assert agree > 0.6, "the masks have to do with the brain"
    assert session.annotations.painted_slices() == (3, 8)

    dock.next.nextRequested.emit()
    here = dock.controller._link.current_slice()
    assert here not in (3, 8)
    assert f"slice {here}:" in dock.next.reason()
    dock.slice.acceptRequested.emit()
    np.testing.assert_array_equal(session.annotations.paint[here], predicted[here])

    answer = tmp_path / "masks.tif", 0
    monkeypatch.setattr(dock, "ask_save_as", lambda title, name, patterns: answer)
    dock.export.masksRequested.emit()
    wait_said(dock, qtbot, "masks saved")
    image = read_labels(tmp_path / "masks.tif")
    assert tuple(image.spacing) == (2, 1, 1)
    assert set(image.units) == {"mm"}
    assert image.names == {1: "gray matter", 2: "white matter"}
    monkeypatch.setattr(dock, "ask_save", lambda title, name, pattern: tmp_path / "a")
    dock.export.adapterRequested.emit()
    saved = tmp_path / "a.salt.safetensors"
    assert saved.stat().st_size < 4_000_000

    viewer.add_image(brain[0][2:5], name="other", units=("mm",) * 3)
    (key,) = (
        entry.key for entry in dock.controller._link.images.entries() if entry.name == "other"
    )
    dock.image.valueChanged.emit(key)
    monkeypatch.setattr(dock, "ask_open", lambda title, pattern: saved)
    dock.export.loadRequested.emit()
    assert "gray matter, white matter" in dock.status.value().text
    dock.segment.sliceRequested.emit()
    wait_idle(dock, qtbot)
    assert dock.status.value().text == "1 slice segmented"
    assert {1, 2} <= set(np.unique(viewer.layers["other prediction"].data))


def test_a_round_learns_other_stacks_in_a_pause(viewer, dock, brain, qtbot, tmp_path, monkeypatch):
    dock.settings.valueChanged.emit(replace(QUICK, other_stacks=True))
    named(dock)
    paint_like(dock, viewer, 3, brain[1])
    paint_like(dock, viewer, 8, brain[1])
    dock.adapt._then_segment.setChecked(False)
    dock.adapt.adaptRequested.emit()
    jobs = dock.controller.jobs
    wait_idle(dock, qtbot)
    qtbot.waitUntil(lambda: jobs.job is not None and jobs.job.kind == "extend", timeout=LONG)
    saved = tmp_path / "a.salt.safetensors"
    monkeypatch.setattr(dock, "ask_save", lambda title, name, pattern: saved)
    dock.export.adapterRequested.emit()
    assert read_info(saved).this_stack_only, "it is there at once"
    dock.segment.sliceRequested.emit()  # comes first
    wait_said(dock, qtbot, "1 slice segmented")
    qtbot.waitUntil(lambda: not read_info(saved).this_stack_only, timeout=LONG)
    wait_said(dock, qtbot, "fitted for other stacks")
    session = dock.controller.desk.session
    assert session.fresh_count == 1, "the masks are still those of this round"


def test_a_later_round_is_scored_when_its_masks_are_there(viewer, dock, brain, qtbot):
    dock.settings.valueChanged.emit(replace(QUICK, steps=None))
    named(dock)
    session = dock.controller.desk.session
    for index in (3, 8):
        paint_like(dock, viewer, index, brain[1])
    dock.adapt.adaptRequested.emit()
    wait_idle(dock, qtbot)
    first = session.rounds[1].record
    assert first.held_out_before is not None
    paint_like(dock, viewer, 3, brain[1])  # a correction, and no slice more
    dock.adapt.adaptRequested.emit()
    qtbot.waitUntil(lambda: len(session.rounds) == 2, timeout=LONG)
    assert session.rounds[2].record.held_out_before is None
    assert "come first" in dock.adapt._score.text()
    qtbot.waitUntil(lambda: session.rounds[2].record.held_out_before is not None, timeout=LONG)
    assert session.fresh_count == len(session.stack), "the masks were there before"
    assert session.rounds[2].record.held_out_before == pytest.approx(first.held_out_before, abs=0.1)
    qtbot.waitUntil(lambda: "held-out Dice" in dock.adapt._score.text(), timeout=LONG)


def test_stop_and_a_killed_engine_cost_only_the_job(viewer, dock, brain, qtbot):
    named(dock)
    paint_like(dock, viewer, 3, brain[1])
    dock.adapt._then_segment.setChecked(False)
    dock.settings.valueChanged.emit(FitSettings(steps=200, device="cpu", other_stacks=False))
    before = viewer.layers["t1 paint"].data.copy()

    dock.adapt.adaptRequested.emit()
    qtbot.waitUntil(lambda: dock.controller.jobs.job.step is not None, timeout=LONG)
    dock.adapt.stopRequested.emit()
    qtbot.waitUntil(lambda: not dock.controller.jobs.busy, timeout=5000)
    assert "stopped" in dock.status.value().text

    dock.adapt.adaptRequested.emit()
    qtbot.waitUntil(lambda: dock.controller.jobs.job.step is not None, timeout=LONG)
    os.kill(dock.controller.jobs._runner.engine.pid, signal.SIGKILL)
    wait_idle(dock, qtbot)
    assert dock.status.value().level == "error"
    assert "again" in dock.status.value().text
    np.testing.assert_array_equal(viewer.layers["t1 paint"].data, before)

    dock.settings.valueChanged.emit(QUICK)
    dock.adapt.adaptRequested.emit()
    wait_idle(dock, qtbot)
    assert len(dock.controller.desk.session.rounds) == 1


def test_closing_the_dock_ends_the_child(viewer, dock, qtbot):
    named(dock)
    viewer.layers["t1 paint"].paint((3, 32, 32), 1)  # warms the engine up
    engine = dock.controller.jobs._runner.engine
    qtbot.waitUntil(lambda: engine.pid is not None, timeout=LONG)
    pid = engine.pid
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not alive(pid), timeout=10_000)


def test_closing_the_window_during_a_job_ends_the_child(viewer, dock, brain, qtbot):
    named(dock)
    paint_like(dock, viewer, 3, brain[1])
    dock.adapt.adaptRequested.emit()
    engine = dock.controller.jobs._runner.engine
    qtbot.waitUntil(lambda: engine.pid is not None, timeout=LONG)
    pid = engine.pid
    viewer.close()
    qtbot.waitUntil(lambda: not alive(pid), timeout=10_000)


WITHOUT_TORCH = """
import sys, time
import napari, numpy as np
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((3, 64, 64), np.uint8), name="t1")
_, dock = viewer.window.add_plugin_dock_widget("napari-salt")
dock.labels.addRequested.emit("cell")
viewer.layers["t1 paint"].paint((1, 32, 32), 1)
runner = dock.controller.jobs._runner
assert runner.running, "painting warms the engine up"
while runner.running:
    QApplication.processEvents()
    time.sleep(0.01)
assert runner.engine.pid is not None
viewer.close()
print("torch" in sys.modules)
"""


def test_the_viewer_s_process_never_imports_torch(qapp):
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_TORCH]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG / 1000)
    assert run.stdout.split()[-1:] == ["False"], run.stderr


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
