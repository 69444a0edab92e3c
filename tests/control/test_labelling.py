"""Fills and strokes on a real Labels layer (no window): what is filled, and in which order it goes."""

from __future__ import annotations

from unittest.mock import create_autospec

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_salt.control.controller import Controller
from napari_salt.records import BACKGROUND, SlicePrediction, SliceSummary
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes

SHAPE = (9, 12, 12)
ROWS, COLUMNS = np.mgrid[: SHAPE[1], : SHAPE[2]]


class Desk:
    """A controller on a real viewer model, with a mock dock and no engine."""

    def __init__(self, scale=None, shape=SHAPE):
        self.viewer = ViewerModel()
        self.viewer.add_image(np.arange(np.prod(shape)).reshape(shape), name="t1", scale=scale)
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.link = ViewerLink(self.viewer)
        runner = create_autospec(_Runner, instance=True, running=False)
        self.controller = Controller(self.view, self.link, runner)
        for name in ("cell", "nucleus"):
            self.wishes.label_added.emit(name)

    @property
    def session(self):
        return self.controller.desk.session

    @property
    def annotations(self):
        return self.session.annotations

    @property
    def layer(self):
        return self.link._paint()

    @property
    def here(self):
        return self.link.current_slice()

    def go(self, index):
        self.viewer.dims.set_current_step(0, index)

    def drag(self, label, *columns, row=4):
        """One brush stroke through pixels of a row of the slice on screen."""
        with self.layer.block_history():
            for column in columns:
                here = np.array([self.here]), np.array([row]), np.array([column])
                self.layer.data_setitem(here, label)
        return self.row(row)

    def dab(self, label, row=4, column=4):
        """One round dab of napari's own brush."""
        self.layer.brush_size = 3
        self.layer.paint((self.here, row, column), label)

    def row(self, row=4, index=None):
        return self.annotations.paint[self.here if index is None else index][row].tolist()

    def predict(self, labels, index=None):
        index = self.here if index is None else index
        plane = np.full(SHAPE[1:], labels, np.uint16) if np.isscalar(labels) else labels
        summary = SliceSummary(index, 0.1)
        uncertain = np.zeros(SHAPE[1:], np.float16)
        self.link.write_prediction(SlicePrediction(index, plane, uncertain, summary))
        self.session.add_prediction(summary)

    def put(self, index, plane):
        """Paint a whole slice from outside."""
        self.annotations.paint[index] = plane
        self.annotations.touched(index)

    def press(self, key):
        """A key as the canvas hands it on: the paint layer's own first, then the viewer's."""
        binding = coerce_keybinding(key)
        if binding in self.layer.keymap:
            self.layer.keymap[binding](self.layer)
        else:
            self.viewer.keymap[binding](self.viewer)

    def status(self):
        return self.view.set_status.call_args.args[0].text

    def ready(self, name):
        return getattr(self.view.set_readiness.call_args.args[0], name)


class _Runner:
    running = False

    def submit(self, request, planes, **calls):
        return 0

    def stop(self):
        pass

    def close(self):
        pass


@pytest.fixture
def desk():
    desk = Desk()
    desk.go(3)
    yield desk
    desk.controller.close()


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


# ---- the order of undo


@pytest.mark.parametrize("forgets", [False, True])
def test_strokes_and_accepts_go_in_their_order_across_slices(desk, forgets):
    seen = [desk.row()]
    desk.drag(1, 2, 3, 4)
    seen.append(desk.row())
    desk.predict(2)
    desk.wishes.accept.emit()
    seen.append(desk.row())
    desk.drag(1, 7, 8)
    seen.append(desk.row())
    assert seen[2] == [2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2], "paint is kept under a prediction"
    assert seen[3][6:10] == [2, 1, 1, 2]
    desk.go(6)
    if forgets:
        desk.layer.editable = False  # napari drops its own history then
        desk.layer.editable = True
    desk.press("Ctrl-Z")
    assert desk.here == 3, "what is taken back is shown"
    assert desk.status() == "brush stroke on slice 3 taken back"
    assert desk.row() == seen[2]
    desk.go(0)
    desk.press("Ctrl-Z")
    assert (desk.here, desk.row()) == (3, seen[1])
    assert not desk.annotations.is_complete(3)
    desk.press("Ctrl-Z")
    assert desk.row() == seen[0]
    desk.press("Ctrl-Z")
    assert desk.status() == "nothing to take back"
    desk.go(8)
    again = []
    for _ in range(3):
        desk.press("Ctrl-Shift-Z")
        again.append(desk.row())
    assert again == seen[1:]
    assert desk.annotations.is_complete(3)
    assert desk.annotations.ids(3) == {1, 2}, "the books agree with the paint"


def test_a_stroke_on_another_slice_comes_first(desk):
    desk.predict(2)
    desk.wishes.accept.emit()
    desk.go(5)
    desk.dab(1)
    assert desk.annotations.painted_slices() == (3, 5)
    desk.go(7)
    desk.press("Ctrl-Z")
    assert desk.annotations.painted_slices() == (3,)
    desk.press("Ctrl-Z")
    assert desk.annotations.painted_slices() == ()


def test_a_prediction_taken_back_out_of_turn_never_returns_as_paint(desk):
    desk.predict(2)
    desk.wishes.accept.emit()
    desk.drag(1, 2, 3)
    desk.press("U")
    assert desk.row() == [0, 0, 1, 1] + [0] * 8, "strokes made since stay"
    desk.press("Ctrl-Z")
    assert desk.row() == [0] * 12
    desk.press("Ctrl-Shift-Z")
    assert desk.row() == [0, 0, 1, 1] + [0] * 8
    desk.press("Ctrl-Shift-Z")
    assert desk.row() == [2, 2, 1, 1] + [2] * 8


def test_a_new_stroke_ends_redo(desk):
    desk.drag(1, 2)
    desk.press("Ctrl-Z")
    desk.drag(2, 5)
    desk.press("Ctrl-Shift-Z")
    assert desk.row() == [0, 0, 0, 0, 0, 2] + [0] * 6


def test_undo_belongs_to_its_image(desk):
    desk.drag(1, 2)
    desk.viewer.add_image(np.zeros(SHAPE, np.uint8), name="t2")
    first, second = (desk.link.images.entries()[place].key for place in (1, 0))
    desk.wishes.image_chosen.emit(second)
    desk.press("Ctrl-Z")
    assert desk.status() == "nothing to take back"
    desk.wishes.image_chosen.emit(first)
    assert desk.row(index=3)[2] == 1
    desk.press("Ctrl-Z")
    assert desk.row(index=3)[2] == 0


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon"])
def test_every_tool_is_taken_back(desk, tool):
    desk.put(3, np.where(disc(6, 6, 4), 2, 0))
    before = desk.annotations.paint[3].copy()
    if tool == "paint":
        desk.dab(1, 6, 3)
    elif tool == "fill":
        desk.layer.fill((3, 6, 6), 1)
    else:
        desk.layer.paint_polygon([(3, 2, 2), (3, 2, 9), (3, 9, 9)], 1)
    after = desk.annotations.paint[3].copy()
    assert (after == 1).any()
    assert 1 in desk.annotations.ids(3), "counted at once"
    desk.go(0)
    desk.press("Ctrl-Z")
    np.testing.assert_array_equal(desk.annotations.paint[3], before)
    desk.press("Ctrl-Shift-Z")
    np.testing.assert_array_equal(desk.annotations.paint[3], after)


def test_a_stroke_through_several_slices_is_one_step(desk):
    desk.layer.n_edit_dimensions = 3
    desk.dab(1)
    assert desk.annotations.painted_slices() == (2, 3, 4)
    desk.layer.n_edit_dimensions = 2
    desk.press("Ctrl-Z")
    assert desk.annotations.painted_slices() == ()
    assert not desk.annotations.paint.any()


def test_strokes_along_another_axis_and_through_time():
    desk = Desk(shape=(4, *SHAPE))
    desk.wishes.axis_chosen.emit(0)
    desk.go(2)
    desk.layer.brush_size = 3
    desk.layer.paint((2, 0, 4, 5), 1)
    assert desk.annotations.painted_slices() == (2,)
    assert desk.annotations.paint[2, 4, 5] == 1
    desk.go(0)
    desk.press("Ctrl-Z")
    assert desk.here == 2
    assert not desk.annotations.paint.any()
    desk.controller.close()


# ---- accept one label


def test_accept_one_label_leaves_the_rest_and_the_tick(desk):
    desk.drag(1, 0)
    desk.predict(np.where(COLUMNS < 6, 1, 2).astype(np.uint16))
    desk.wishes.label_selected.emit(2)
    desk.wishes.accept_label.emit()
    assert desk.row() == [1] + [0] * 5 + [2] * 6
    assert not desk.annotations.is_complete(3)
    assert desk.status() == "“nucleus” of slice 3 accepted; now correct it"
    desk.wishes.accept_label.emit()
    assert "adds nothing" in desk.status()
    desk.go(0)
    desk.press("U")
    assert desk.here == 3
    assert desk.row() == [1] + [0] * 11
    assert desk.status() == "prediction of “nucleus” on slice 3 taken back"


def test_a_label_that_is_not_predicted_is_said(desk):
    desk.predict(1)
    desk.wishes.label_selected.emit(2)
    desk.wishes.accept_label.emit()
    assert desk.status() == "“nucleus” is not predicted on slice 3"
    assert not desk.annotations.can_undo
    desk.wishes.label_selected.emit(BACKGROUND)
    desk.wishes.accept_label.emit()
    assert not desk.annotations.paint.any()


# ---- copy the nearest painted slice


def test_the_nearest_masks_are_a_start(desk):
    desk.put(1, np.where(disc(6, 6, 4), 1, BACKGROUND))
    desk.put(5, np.full(SHAPE[1:], 2))
    desk.annotations.paint[1, 0, 0] = 9
    desk.annotations.touched(1)
    desk.annotations.set_complete(1, True)
    desk.drag(2, 5, 6)
    mine = desk.annotations.paint[3].copy()
    desk.predict(2)
    desk.wishes.propagate.emit()
    wanted = np.where(mine > 0, mine, np.where(disc(6, 6, 4), 1, BACKGROUND))
    wanted[0, 0] = 0
    np.testing.assert_array_equal(desk.annotations.paint[3], wanted)
    assert not desk.annotations.is_complete(3)
    assert "slice 1 copied to slice 3" in desk.status()
    desk.go(8)
    desk.press("Ctrl-Z")
    np.testing.assert_array_equal(desk.annotations.paint[3], mine)


def test_nothing_to_copy_from_says_so(desk):
    desk.drag(1, 5)
    desk.press("Shift-C")
    assert desk.status().startswith("No painted slice to copy from")
    assert desk.ready("propagate").why_not == desk.status()


# ---- interpolate


def test_interpolation_fills_between_as_one_step(desk):
    desk.put(1, np.where(disc(6, 6, 2), 1, 0))
    desk.put(7, np.where(disc(6, 6, 5), 1, 0))
    desk.put(4, np.where(disc(6, 6, 1), 2, 0))
    desk.annotations.set_complete(5, True)
    before = desk.annotations.paint.copy()
    desk.wishes.label_selected.emit(1)
    desk.go(2)
    desk.press("Shift-I")
    filled = desk.annotations.painted_slices(1)
    assert filled == (1, 2, 3, 4, 6, 7), "a complete slice is left alone"
    np.testing.assert_array_equal(desk.annotations.paint[4] == 2, disc(6, 6, 1))
    areas = [(desk.annotations.paint[index] == 1).sum() for index in (1, 2, 3, 6, 7)]
    assert areas == sorted(areas)
    assert desk.status() == "“cell” filled in on 4 slices between 1 and 7; now correct it"
    assert desk.annotations.complete == {5}
    desk.go(6)
    desk.drag(2, 5, 6)
    desk.go(0)
    desk.press("U")
    assert desk.here == 2
    assert desk.status() == "interpolation of “cell” on 4 slices from 2 to 6 taken back"
    stroke = desk.annotations.paint[6].copy()
    assert stroke[4].tolist() == [0] * 5 + [2, 2] + [0] * 5
    desk.annotations.paint[6] = before[6]
    np.testing.assert_array_equal(desk.annotations.paint, before)


def test_interpolation_knows_the_size_of_pixels():
    areas = []
    for scale in ((1, 1, 1), (1, 6, 1)):
        desk = Desk(scale)
        desk.put(0, np.where(disc(6, 3, 2), 1, 0))
        desk.put(2, np.where((ROWS > 3) & (ROWS < 9) & (COLUMNS < 11), 1, 0))
        desk.go(1)
        desk.wishes.label_selected.emit(1)
        desk.wishes.interpolate.emit()
        areas.append(desk.annotations.paint[1].copy())
        desk.controller.close()
    assert (areas[0] != areas[1]).any()


def test_far_slices_are_refused_with_a_way_out(desk, monkeypatch):
    desk.put(1, np.where(disc(6, 6, 2), 1, 0))
    desk.put(7, np.where(disc(6, 6, 5), 1, 0))
    desk.wishes.label_selected.emit(1)
    monkeypatch.setattr("napari_salt.session.interpolate._MOST_PIXELS", 10)
    desk.wishes.interpolate.emit()
    assert "too far apart" in desk.status()
    assert "paint “cell”" in desk.status()
    assert not desk.annotations.can_undo


def test_a_label_on_one_side_says_what_to_paint(desk):
    desk.put(1, np.where(disc(6, 6, 2), 1, 0))
    desk.wishes.label_selected.emit(1)
    desk.press("Shift-I")
    assert desk.status() == "Paint “cell” on a slice before and on one after this one first."


# ---- keys


@pytest.mark.parametrize(
    ("key", "wish"),
    [
        ("N", "next_slice"),
        ("K", "skip_slice"),
        ("Shift-D", "adapt"),
        ("Shift-S", "segment_slice"),
        ("Shift-W", "segment_all"),
        ("G", "accept"),
        ("Shift-G", "accept_label"),
        ("Shift-C", "propagate"),
        ("Shift-I", "interpolate"),
        ("U", "undo_accept"),
    ],
)
def test_a_key_does_what_its_button_does_or_says_why_not(desk, key, wish):
    heard = []
    getattr(desk.wishes, wish).connect(lambda: heard.append(wish))
    desk.press(key)
    ready = desk.ready(wish)
    assert heard == ([wish] if ready.enabled else [])
    if not ready.enabled:
        assert desk.status() == ready.why_not


def test_keys_for_the_tick_the_prediction_and_the_list(desk):
    desk.press("W")
    assert desk.annotations.is_complete(3)
    desk.press("W")
    assert not desk.annotations.is_complete(3)
    desk.predict(1)
    desk.press("H")
    assert not desk.viewer.layers["t1 prediction"].visible
    desk.press("H")
    assert desk.viewer.layers["t1 prediction"].visible
    desk.press("F1")
    desk.view.show_keys.assert_called_once()
    desk.press("Alt-2")
    assert desk.layer.selected_label == 2
    desk.press("Alt-0")
    assert desk.layer.selected_label == BACKGROUND


def test_what_undo_could_not_do_is_said_until_somebody_paints(desk):
    desk.press("Ctrl-Z")
    assert desk.status() == "nothing to take back"
    desk.dab(1)
    assert desk.controller.desk.status.text == "idle"


def test_paint_of_no_label_gets_the_name_that_is_added_while_the_brush_has_it(desk):
    desk.layer.selected_label = 40
    desk.dab(40)
    assert desk.annotations.stray_ids(desk.session.labels.ids) == {40: (3,)}
    desk.wishes.label_added.emit("vessel")
    assert desk.session.labels.names == {1: "cell", 2: "nucleus", 40: "vessel"}
    assert desk.layer.selected_label == 40
    desk.wishes.label_added.emit("nerve")
    assert desk.session.labels.next_id == 42, "and the next label has an id of its own"


def test_an_id_without_paint_or_of_a_deleted_label_gets_no_name(desk):
    desk.layer.selected_label = 40
    desk.wishes.label_added.emit("vessel")
    assert desk.session.labels.ids == (1, 2, 3)
    desk.wishes.label_removed.emit(2)
    desk.layer.selected_label = 2
    desk.dab(2)
    desk.wishes.label_added.emit("nerve")
    assert desk.session.labels.ids == (1, 3, 4)
    desk.layer.selected_label = BACKGROUND
    desk.dab(BACKGROUND, row=8)
    desk.wishes.label_added.emit("bone")
    assert desk.session.labels.ids == (1, 3, 4, 5)
