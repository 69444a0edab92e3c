"""Three pixel states, the complete tick, accepting and taking back."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, UNLABELLED
from napari_salt.session.annotations import Annotations
from napari_salt.session.undo import STROKE, PaintStep
from napari_salt.sparse_plane import SparsePlane

SHAPE = (6, 4, 5)


def painted(*strokes):
    """Annotations with (slice, row, id) painted across."""
    annotations = Annotations(SHAPE)
    for index, row, label_id in strokes:
        annotations.paint[index, row] = label_id
        annotations.touched(index)
    return annotations


def listen(annotations):
    heard = []
    annotations.changed.connect(lambda index: heard.append(("changed", index)))
    annotations.completed.connect(lambda index, on: heard.append(("completed", index, on)))
    return heard


def rows(*ids):
    return np.repeat(np.array(ids, np.uint16)[:, None], SHAPE[2], axis=1)


# ---- keeping the books


def test_slices_are_counted_by_label():
    annotations = painted((1, 0, 7), (3, 0, 7), (3, 1, BACKGROUND), (5, 0, 300))
    assert annotations.painted_slices() == (1, 3, 5)
    assert annotations.painted_slices(7) == (1, 3)
    assert annotations.painted_slices(300) == (5,)
    assert annotations.ids(3) == {7, BACKGROUND}
    assert annotations.stray_ids([7]) == {300: (5,)}


def test_only_the_touched_slice_is_looked_at():
    annotations = painted((1, 0, 7))
    annotations.paint[4] = 7
    assert annotations.painted_slices(7) == (1,)
    annotations.touched(4)
    annotations.paint[1] = UNLABELLED
    annotations.touched(1)
    assert annotations.painted_slices(7) == (4,)


def test_paint_is_the_array_given_and_read_at_the_start():
    paint = np.zeros(SHAPE, np.uint16)
    paint[2, 0, 0] = 9
    annotations = Annotations(SHAPE, paint, complete=[4])
    assert annotations.paint is paint
    assert annotations.usable_slices() == (2, 4)


@pytest.mark.parametrize("paint", [np.zeros(SHAPE, np.uint8), np.zeros((6, 5, 4), np.uint16)])
def test_paint_of_another_image_is_refused(paint):
    with pytest.raises(InputError, match="another image"):
        Annotations(SHAPE, paint)


@pytest.mark.parametrize("index", [-1, 6])
def test_slices_that_do_not_exist(index):
    annotations = Annotations(SHAPE)
    for call in (
        lambda: annotations.touched(index),
        lambda: annotations.set_complete(index, True),
        lambda: annotations.slice_targets(index),
        lambda: annotations.accept(index, rows(1, 1, 1, 1)),
    ):
        with pytest.raises(InputError, match="slices 0 to 5"):
            call()


def test_complete_is_told_once():
    annotations = Annotations(SHAPE)
    heard = listen(annotations)
    annotations.set_complete(2, True)
    annotations.set_complete(2, True)
    annotations.set_complete(2, False)
    annotations.set_complete(2, False)
    assert heard == [("completed", 2, True), ("completed", 2, False)]


# ---- what a job gets


def test_unlabelled_is_background_only_where_complete():
    annotations = painted((1, 0, 7), (2, 0, 7))
    annotations.set_complete(2, True)
    np.testing.assert_array_equal(annotations.slice_targets(1), rows(7, 0, 0, 0))
    np.testing.assert_array_equal(annotations.slice_targets(2), rows(7, 255, 255, 255))
    np.testing.assert_array_equal(annotations.paint[2], rows(7, 0, 0, 0))


def test_paint_of_no_label_says_nothing_not_even_background():
    annotations = painted((2, 0, 7), (2, 1, 99), (2, 2, BACKGROUND))
    annotations.set_complete(2, True)
    np.testing.assert_array_equal(annotations.slice_targets(2, [7]), rows(7, 0, 255, 255))


def test_snapshots_are_frozen_copies():
    annotations = painted((1, 0, 7), (3, 0, 7))
    annotations.set_complete(4, True)
    frozen = annotations.snapshot()
    annotations.paint[:] = 8
    annotations.set_complete(1, True)
    assert [(s.index, s.complete) for s in frozen] == [(1, False), (3, False), (4, True)]
    np.testing.assert_array_equal(frozen[0].targets, rows(7, 0, 0, 0))
    assert frozen[0].targets.dtype == np.uint16
    assert not np.shares_memory(frozen[0].targets, annotations.paint)
    with pytest.raises(ValueError, match="read-only"):
        frozen[0].targets[0, 0] = 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frozen))[2].targets, rows(*[255] * 4))


def test_snapshot_of_chosen_slices():
    annotations = painted((1, 0, 7), (3, 0, 7))
    assert [s.index for s in annotations.snapshot([3, 0])] == [3, 0]


# ---- accepting


@pytest.mark.parametrize(
    ("paint", "prediction", "options", "expected", "changed"),
    [
        ((0, 0, 0, 0), (1, 2, 0, 0), {}, (1, 2, 0, 0), 2),
        ((2, 0, 0, 0), (1, 1, 0, 0), {}, (2, 1, 0, 0), 1),
        ((255, 0, 0, 0), (1, 1, 0, 0), {}, (255, 1, 0, 0), 1),
        ((0, 0, 0, 0), (1, 2, 0, 0), {"label_ids": [2]}, (0, 2, 0, 0), 1),
        ((1, 2, 0, 0), (0, 0, 0, 0), {}, (1, 2, 0, 0), 0),
    ],
)
def test_accept(paint, prediction, options, expected, changed):
    annotations = Annotations(SHAPE)
    annotations.paint[1] = rows(*paint)
    annotations.touched(1)
    heard = listen(annotations)
    assert annotations.accept(1, rows(*prediction), **options) == changed * SHAPE[2]
    np.testing.assert_array_equal(annotations.paint[1], rows(*expected))
    assert annotations.ids(1) == set(expected) - {0}
    assert heard == ([("changed", 1)] if changed else [])
    assert annotations.can_undo is bool(changed)
    annotations.undo()
    np.testing.assert_array_equal(annotations.paint[1], rows(*paint))
    assert annotations.ids(1) == set(paint) - {0}


def test_accept_on_a_complete_slice_fills_what_was_left_unlabelled():
    annotations = painted((1, 0, 7))
    annotations.set_complete(1, True)
    annotations.accept(1, rows(8, 8, 0, 0))
    np.testing.assert_array_equal(annotations.slice_targets(1), rows(7, 8, 255, 255))


def test_accept_and_tick_are_one_step():
    annotations = Annotations(SHAPE)
    heard = listen(annotations)
    annotations.accept(1, rows(7, 0, 0, 0), complete=True)
    assert annotations.undo() == 1
    assert annotations.complete == frozenset()
    assert annotations.usable_slices() == ()
    assert annotations.redo() == 1
    assert annotations.is_complete(1)
    assert heard == [
        ("changed", 1), ("completed", 1, True), ("changed", 1), ("completed", 1, False),
        ("changed", 1), ("completed", 1, True),
    ]  # fmt: skip


def test_undo_leaves_a_tick_that_was_there_before():
    annotations = Annotations(SHAPE, complete=[1])
    annotations.accept(1, rows(7, 0, 0, 0), complete=True)
    annotations.undo()
    assert annotations.is_complete(1)


def test_an_empty_prediction_can_be_accepted_as_complete():
    annotations = Annotations(SHAPE)
    assert annotations.accept(1, rows(0, 0, 0, 0), complete=True) == 0
    assert annotations.is_complete(1)
    assert annotations.next_undo.index == 1
    annotations.undo()
    assert not annotations.is_complete(1)


def test_steps_survive_changes_of_slice_and_come_back_in_order():
    annotations = Annotations(SHAPE)
    for index in (4, 0, 2):
        annotations.accept(index, rows(7, 0, 0, 0))
    assert [annotations.undo() for _ in range(4)] == [2, 0, 4, None]
    assert not annotations.paint.any()
    assert [annotations.redo() for _ in range(4)] == [4, 0, 2, None]
    assert annotations.painted_slices(7) == (0, 2, 4)


def test_a_new_step_ends_redo():
    annotations = Annotations(SHAPE)
    annotations.accept(0, rows(7, 0, 0, 0))
    annotations.undo()
    annotations.accept(1, rows(7, 0, 0, 0))
    assert not annotations.can_redo
    assert annotations.redo() is None


def test_undo_keeps_what_was_painted_since():
    annotations = Annotations(SHAPE)
    annotations.accept(1, rows(7, 7, 0, 0))
    annotations.paint[1, 0] = 9
    annotations.paint[1, 3] = 9
    annotations.touched(1)
    annotations.undo()
    np.testing.assert_array_equal(annotations.paint[1], rows(9, 0, 0, 9))


def test_the_array_stays_the_same_object():
    annotations = Annotations(SHAPE)
    before = annotations.paint
    annotations.accept(1, rows(7, 0, 0, 0))
    annotations.undo()
    annotations.erase_label(7)
    assert annotations.paint is before


def test_accept_works_on_paint_of_any_memory_layout():
    paint = np.zeros((5, 4, 6), np.uint16).T
    annotations = Annotations(SHAPE, paint)
    annotations.accept(1, rows(7, 0, 8, 0))
    np.testing.assert_array_equal(paint[1], rows(7, 0, 8, 0))
    annotations.undo()
    assert not paint.any()


def test_a_prediction_of_another_shape_is_refused():
    with pytest.raises(InputError, match="segment this slice again"):
        Annotations(SHAPE).accept(0, np.zeros((5, 4), np.uint16))


# ---- erasing


def test_erasing_a_label():
    annotations = painted((1, 0, 7), (1, 1, 8), (4, 0, 7), (5, 0, 8))
    heard = listen(annotations)
    assert annotations.erase_label(7) == (1, 4)
    assert heard == [("changed", 1), ("changed", 4)]
    assert annotations.painted_slices() == (1, 5)
    assert annotations.erase_label(7) == ()


def test_undo_never_brings_an_erased_label_back():
    annotations = painted((1, 0, 7))
    before, after = rows(7, 0, 0, 0).ravel(), rows(8, 8, 7, 0).ravel()
    annotations.do(PaintStep(1, np.arange(before.size), before, after))
    annotations.accept(2, rows(7, 7, 0, 0))
    annotations.erase_label(7)
    assert annotations.undo() == 1
    np.testing.assert_array_equal(annotations.paint[1], rows(0, 0, 0, 0))
    assert not annotations.can_undo
    annotations.redo()
    np.testing.assert_array_equal(annotations.paint[1], rows(8, 8, 0, 0))


def test_filling_several_slices_is_one_step_and_keeps_paint():
    annotations = Annotations((5, 2, 2))
    annotations.paint[2] = [[BACKGROUND, 3], [0, 0]]
    annotations.touched(2)
    told = []
    annotations.changed.connect(told.append)
    everywhere = np.ones((2, 2), bool)
    masks = {3: everywhere, 2: everywhere, 4: ~everywhere}
    assert annotations.fill(1, masks, index=2, what="shapes") == (2, 3)
    assert told == [2, 3]
    assert annotations.paint[2].tolist() == [[BACKGROUND, 3], [1, 1]]
    assert annotations.next_undo is annotations.next_fill
    assert (annotations.next_undo.what, annotations.next_undo.slices) == ("shapes", (2, 3))
    assert annotations.fill(1, masks, index=2, what="again") == ()
    annotations.paint[3, 0, 0] = 3
    assert annotations.undo() == 2
    assert annotations.paint[2].tolist() == [[BACKGROUND, 3], [0, 0]]
    assert annotations.paint[3].tolist() == [[3, 0], [0, 0]], "newer paint stays"
    assert annotations.painted_slices(1) == ()
    assert annotations.next_redo.what == "shapes"
    assert annotations.redo() == 2
    assert annotations.painted_slices(1) == (2, 3)
    annotations.erase_label(1)
    assert annotations.next_undo is None


# ---- large slices, other paint, and who is told


@pytest.mark.parametrize("complete", [True, False])
def test_a_large_slice_is_frozen_as_a_small_one_is(complete, monkeypatch):
    annotations = painted((1, 0, 7), (1, 1, 9))
    annotations.set_complete(1, complete)
    (small,) = annotations.snapshot(label_ids=[7])
    monkeypatch.setattr("napari_salt.session.annotations.LARGE", 4 * 5 - 1)
    (large,) = annotations.snapshot(label_ids=[7])
    assert isinstance(large.targets, SparsePlane)
    assert (large.index, large.complete) == (small.index, small.complete) == (1, complete)
    np.testing.assert_array_equal(np.asarray(large.targets), small.targets)
    annotations.paint[1] = 7
    np.testing.assert_array_equal(np.asarray(large.targets), small.targets)


def test_other_paint_takes_the_place_of_all_that_was_there():
    annotations = painted((1, 0, 7), (2, 1, 8))
    annotations.set_complete(4, True)
    array = annotations.paint
    heard = listen(annotations)
    annotations.replaced.connect(lambda: heard.append("replaced"))
    annotations.replace({2: rows(0, 9, 0, 0), 3: rows(7, 0, 0, 0)}, [3])
    assert annotations.paint is array
    assert (annotations.painted_slices(), annotations.complete) == ((2, 3), {3})
    assert (annotations.ids(1), annotations.ids(2), annotations.ids(3)) == (set(), {9}, {7})
    np.testing.assert_array_equal(array[1], rows(0, 0, 0, 0))
    assert heard == [*(("changed", index) for index in (1, 2, 3, 4)), "replaced"]
    assert not annotations.can_undo, "no step goes back behind it"


def test_steps_are_told_when_they_are_made_and_taken_back():
    annotations = Annotations(SHAPE)
    told = []
    annotations.stepped.connect(lambda step, made: told.append((step.what, made)))
    annotations.accept(1, rows(7, 0, 0, 0), what="box mask")
    assert (annotations.can_redo, annotations.undo_fill()) == (False, 1)
    assert (annotations.can_redo, annotations.undo_fill()) == (True, None)
    annotations.redo()
    assert told == [("box mask", True), ("box mask", False), ("box mask", True)]


def test_a_stroke_that_says_nothing_is_no_step():
    annotations = Annotations(SHAPE)
    nothing = np.zeros(0, np.uint16)
    annotations.stroke(PaintStep(1, np.zeros(0, np.intp), nothing, nothing, what=STROKE))
    assert not annotations.can_undo
