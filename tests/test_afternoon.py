"""A whole afternoon at the desk, step by step, in a real window with the real engine.

The steps are a list: what is new at the desk becomes one more of them. There are twelve slices, six of them painted,
they are small, and fine-tuning is short, so that the afternoon takes little more than a minute.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from hands import LONG, canvas, drag_box, stroke, wait_idle
from napari_salt.io.read import read_labels
from napari_salt.records import FitSettings
from napari_salt.samples import load_mni_brain, mni_brain
from napari_salt.session.stack import Stack
from napari_salt.widgets.dock import Dock

WHERE = slice(51, 87, 3), slice(60, 124, 2), slice(60, 124, 2)
GRAY, WHITE, FLUID = 1, 2, 3
COUNT = 12
BY_HAND, BY_COPY, BETWEEN, BY_BOX = (3, 9), 2, 4, (5, 7)
"""Slices by how their paint begins; copied is the first one by hand, which is the nearest."""
PAINTED = (2, 3, 4, 5, 7, 9)


@dataclass
class Desk:
    """What every step may use."""

    viewer: Any
    dock: Dock
    qtbot: Any
    reference: np.ndarray
    folder: Path
    monkeypatch: Any

    @property
    def session(self):
        return self.dock.controller.desk.session

    @property
    def link(self):
        return self.dock.controller.desk.link

    @property
    def here(self):
        return self.link.current_slice()

    def layer(self, role):
        (layer,) = [one for one in self.viewer.layers if one.name == f"MNI brain T1 {role}"]
        return layer

    def paint_all_of(self, index):
        """As if the brush had gone over the whole slice without a slip."""
        self.link.go_to(index)
        self.layer("paint").data[index] = self.reference[index]
        self.link.signals.painted.emit((index,))
        self.link.refresh_paint()

    def said(self):
        return self.dock.status.value().text


# ---- steps: each does one thing, as a user would, and checks what the desk made of it


def open_the_sample(desk):
    desk.viewer.open_sample("napari-salt", "mni_brain")
    desk.viewer.reset_view()
    assert desk.dock.image.facts().startswith("12 slices · 32 × 32 · 3 × 2 × 2 mm")


def name_three_labels(desk):
    for name in ("gray matter", "white matter", "fluid"):
        desk.dock.labels._name.setText(name)
        desk.dock.labels._add_button.click()
    assert [row.label_id for row in desk.dock.labels.rows()][:3] == [GRAY, WHITE, FLUID]


def paint_by_brush(desk):
    desk.layer("paint").brush_size = 3
    for index in BY_HAND:
        desk.link.go_to(index)
        for label_id, height in ((GRAY, -60), (WHITE, 0), (FLUID, 60)):
            desk.dock.wishes.label_selected.emit(label_id)
            stroke((-80, height), (-20, height + 8), (40, height), (80, height))
            assert label_id in desk.session.annotations.ids(index)
        before = desk.layer("paint").data[index].copy()
        desk.viewer.layers.selection.active = desk.layer("paint")
        desk.link.signals.undo_pressed.emit()
        assert (desk.layer("paint").data[index] == FLUID).sum() < (before == FLUID).sum()
        desk.link.signals.redo_pressed.emit()
        np.testing.assert_array_equal(desk.layer("paint").data[index], before)


def take_masks_by_box(desk):
    for index in BY_BOX:
        take_a_mask(desk, index)


def take_a_mask(desk, index):
    paint = desk.session.annotations.paint
    desk.link.go_to(index)
    desk.dock.wishes.label_selected.emit(WHITE)
    desk.dock.assist.switch.click()
    desk.qtbot.waitUntil(lambda: "drag a box" in desk.dock.assist.text(), timeout=LONG)
    white = np.argwhere(desk.reference[index] == WHITE)
    image = desk.viewer.layers["MNI brain T1"]
    drag_box(desk.viewer, image, index, white.min(0) - 1, white.max(0) + 1)
    desk.qtbot.waitUntil(desk.dock.assist._take.isEnabled, timeout=LONG)
    desk.dock.assist._take.click()
    taken = paint[index].copy()
    assert set(np.unique(taken)) == {0, WHITE}
    QTest.keyClick(canvas(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not paint[index].any()
    desk.link.signals.redo_pressed.emit()
    np.testing.assert_array_equal(paint[index], taken)
    desk.dock.assist.switch.click()
    assert not desk.dock.assist.value()
    assert desk.viewer.layers.selection.active is desk.layer("paint")


def paint_whole_slices(desk):
    for index in (*BY_HAND, *BY_BOX):
        desk.paint_all_of(index)
    assert [row.slices for row in desk.dock.labels.rows()][:3] == [4] * 3


def copy_the_neighbours_masks(desk):
    paint = desk.session.annotations.paint
    desk.link.go_to(BY_COPY)
    desk.dock.slice.fill._copy.click()
    np.testing.assert_array_equal(paint[BY_COPY], paint[BY_HAND[0]])
    desk.dock.slice._undo.click()
    assert not paint[BY_COPY].any()


def interpolate_labels(desk):
    desk.link.go_to(BETWEEN)
    for label_id in (GRAY, WHITE, FLUID):
        desk.dock.wishes.label_selected.emit(label_id)
        desk.dock.slice.fill._interpolate.click()
    reference = desk.reference[BETWEEN]
    agree = (desk.session.annotations.paint[BETWEEN] == reference)[reference > 0].mean()
    assert agree > 0.5, "it lies between its neighbours"


def mend_and_tick(desk):
    for index in PAINTED:
        desk.paint_all_of(index)
        desk.dock.slice._complete.click()
    assert [row.slices for row in desk.dock.labels.rows()][:3] == [len(PAINTED)] * 3
    assert desk.session.annotations.complete == set(PAINTED)


def adapt(desk):
    rounds = len(desk.session.rounds)
    desk.dock.adapt._adapt.click()
    desk.qtbot.waitUntil(lambda: len(desk.session.rounds) == rounds + 1, timeout=LONG)
    desk.qtbot.waitUntil(lambda: desk.session.fresh_slices() == tuple(range(COUNT)), timeout=LONG)
    # six slices are enough for an honest score; that of a later round comes after its masks
    score = desk.dock.adapt._score
    desk.qtbot.waitUntil(lambda: score.text().startswith("held-out Dice"), timeout=LONG)
    wait_idle(desk.dock, desk.qtbot)
    told = f"round {rounds + 1}: held-out Dice" if rounds else f"{COUNT} slices segmented"
    assert desk.said().startswith(told)
    agree = (desk.layer("prediction").data == desk.reference)[desk.reference > 0].mean()
    assert agree > 0.5, "the masks have to do with the brain"


def go_to_the_next_slice(desk):
    desk.dock.next._next.click()
    assert desk.here not in PAINTED
    assert f"slice {desk.here}:" in desk.dock.next.reason()


def accept(desk):
    predicted = desk.layer("prediction").data[desk.here]
    desk.dock.slice._accept.click()
    np.testing.assert_array_equal(desk.session.annotations.paint[desk.here], predicted)
    assert desk.session.annotations.is_complete(desk.here)


def look_at_every_slice(desk):
    desk.dock.segment._uncertainty.click()
    for index in range(COUNT):
        desk.link.go_to(index)
        desk.qtbot.wait(1)
        assert desk.here == index
    desk.dock.segment._uncertainty.click()


def restore_the_first_round(desk):
    desk.dock.adapt._then_segment.setChecked(False)
    rounds = desk.dock.adapt._rounds
    rounds._list.topLevelItem(rounds.count() - 1).setSelected(True)
    rounds._restore_button.click()
    assert desk.session.rounds.active.number == 1
    assert desk.session.fresh_slices() == ()
    desk.dock.segment._slice.click()
    desk.qtbot.waitUntil(lambda: desk.session.fresh_slices() == (desk.here,), timeout=LONG)
    wait_idle(desk.dock, desk.qtbot)


def export(desk):
    masks, adapter = desk.folder / "masks.tif", desk.folder / "brain.salt.safetensors"
    desk.monkeypatch.setattr(desk.dock, "ask_save_as", lambda title, name, patterns: (masks, 0))
    desk.dock.export._masks.click()
    desk.qtbot.waitUntil(masks.exists, timeout=LONG)
    wait_idle(desk.dock, desk.qtbot)
    desk.monkeypatch.setattr(desk.dock, "ask_save", lambda title, name, pattern: adapter)
    desk.dock.export._adapter.click()
    image = read_labels(masks)
    assert image.names == {GRAY: "gray matter", WHITE: "white matter", FLUID: "fluid"}
    assert tuple(image.spacing) == (3, 2, 2)
    exported = np.asarray(image.labels)
    for index in PAINTED:
        np.testing.assert_array_equal(exported[index], desk.reference[index])
    assert 0 < adapter.stat().st_size < 4_000_000


FIRST_HALF = (
    open_the_sample,
    name_three_labels,
    paint_by_brush,
    take_masks_by_box,
    paint_whole_slices,
    copy_the_neighbours_masks,
    interpolate_labels,
    mend_and_tick,
    adapt,
    go_to_the_next_slice,
    accept,
    look_at_every_slice,
)
SECOND_HALF = (
    adapt,
    go_to_the_next_slice,
    accept,
    look_at_every_slice,
    restore_the_first_round,
    export,
)


# ---- the afternoon


def small_brain(**_):
    stack, labels, names = load_mni_brain()
    image = np.ascontiguousarray(stack.data[WHERE])
    labels = labels[WHERE].copy()
    labels[(labels == 0) & (image > 0)] = FLUID
    spacing = {"spacing": (3.0, 2.0, 2.0), "units": ("mm",) * 3, "name": stack.info.name}
    return Stack(image, **spacing), labels, {**names, FLUID: "fluid"}


@pytest.fixture
def desk(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    stack, reference, names = small_brain()
    monkeypatch.setattr(mni_brain, "load_mni_brain", lambda **_: (stack, reference, names))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    dock.settings.valueChanged.emit(
        FitSettings(kind="salt", steps=2, device="cpu", other_stacks=False)
    )
    yield Desk(viewer, dock, qtbot, reference, tmp_path, monkeypatch)
    dock.controller.close()


def memory():
    """Bytes that this process holds; the engine is another one."""
    gc.collect()
    return psutil.Process().memory_info().rss


def test_an_afternoon(desk):
    for step in FIRST_HALF:
        step(desk)
    before = memory()
    for step in SECOND_HALF:
        step(desk)
    after = memory()
    assert after < 1.1 * before, f"{before / 1e6:.0f} MB at half time, {after / 1e6:.0f} MB after"
