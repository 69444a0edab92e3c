"""Paint of one level at another one: nearest, never lost, exact on the way back, and only what has changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_salt.records import BACKGROUND
from napari_salt.session.agreement import CARRIED, Watch
from napari_salt.session.level_grid import LevelGrid, Said
from napari_salt.session.levels import bring_all, bring_changes
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.session.undo import STROKE, PaintStep

EIGHT = np.ones((3, 3))


def session(shape, step=(1, 1, 1)):
    """A session on a level whose voxels are ``step`` voxels of the finest long."""
    made = Session(Stack(np.broadcast_to(np.uint8(0), shape), spacing=step))
    made.labels.add("cell")
    made.labels.add("axon")
    return made


def fine_and_coarse(shape=(3, 16, 16), step=(1, 4, 4)):
    coarse = tuple(-(-length // one) for length, one in zip(shape, step, strict=True))
    return session(shape), session(coarse, step)


def paint(one, index, where, label_id=1):
    one.annotations.paint[index][where] = label_id
    one.annotations.touched(index)


def planes(one):
    return one.annotations.paint.copy()


# ---- down


def test_a_coarse_pixel_shows_what_is_in_its_middle():
    fine, coarse = fine_and_coarse()
    paint(fine, 1, np.s_[0:8, 0:8])
    paint(fine, 1, np.s_[8:16, 0:7], 2)
    paint(fine, 1, np.s_[0:3, 12:16], BACKGROUND)
    brought = bring_all(fine, coarse)
    assert brought.slices == (1,)
    expected = np.zeros((4, 4), np.uint16)
    expected[:2, :2], expected[2:, :2], expected[0, 3] = 1, 2, BACKGROUND
    np.testing.assert_array_equal(coarse.annotations.paint[1], expected)
    assert coarse.annotations.painted_slices() == (1,)


def test_strokes_too_thin_to_meet_a_middle_are_still_strokes():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[4, 0:16])
    paint(fine, 0, np.s_[15, 15], 2)
    bring_all(fine, coarse)
    assert coarse.annotations.paint[0, 1].tolist() == [1, 1, 1, 1]
    assert coarse.annotations.paint[0, 3, 3] == 2
    assert np.count_nonzero(coarse.annotations.paint) == 5


def test_a_speck_inside_another_label_takes_one_of_its_pixels():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[:], BACKGROUND)
    paint(fine, 0, np.s_[8:10, 7:9])
    bring_all(fine, coarse)
    assert np.count_nonzero(coarse.annotations.paint[0] == 1) == 1
    assert coarse.annotations.paint[0, 2, 1] == 1 or coarse.annotations.paint[0, 2, 2] == 1


def test_a_region_is_not_taken_away_to_show_another():
    fine, coarse = fine_and_coarse((1, 4, 4))
    paint(fine, 0, np.s_[:])
    paint(fine, 0, np.s_[0, 0], 2)
    bring_all(fine, coarse)
    assert coarse.annotations.paint[0].tolist() == [[1]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99)
)
def test_no_painted_region_is_lost_where_there_is_room(height, width, down, right, seed):
    """Regions that lie apart by more than a coarse pixel cannot be in each other's way."""
    random = np.random.default_rng(seed)
    fine, coarse = fine_and_coarse((1, height, width), (1, down, right))
    plane = np.zeros((height, width), np.uint16)
    for row in range(0, height, 2 * down + 1):
        for column in range(0, width, 2 * right + 1):
            size = random.integers(0, 2 * down), random.integers(0, 2 * right)
            label_id = int(random.integers(0, 3))
            plane[row : row + min(size[0], down), column : column + min(size[1], right)] = label_id
    paint(fine, 0, np.s_[:], 0)
    fine.annotations.paint[0] = plane
    fine.annotations.touched(0)
    bring_all(fine, coarse)
    enlarged = LevelGrid(coarse.stack.info, fine.stack.info)
    back = enlarged.seen(Said.by(coarse.annotations), 0, enlarged.whole)
    for label_id in (1, 2):
        regions, count = ndimage.label(plane == label_id, EIGHT)
        for region in range(1, count + 1):
            grown = ndimage.binary_dilation(regions == region, EIGHT, max(down, right))
            assert (back[grown] == label_id).any()
    for label_id in set(np.unique(coarse.annotations.paint)) - {0}:
        assert (plane == label_id).any(), "nothing is invented"


# ---- up, and back


def test_a_fine_pixel_shows_the_coarse_one_that_it_lies_in():
    fine, coarse = fine_and_coarse((2, 15, 14))
    paint(coarse, 1, np.s_[1:3, 3])
    assert bring_all(coarse, fine).slices == (1,)
    expected = np.zeros((15, 14), np.uint16)
    expected[4:12, 12:] = 1
    np.testing.assert_array_equal(fine.annotations.paint[1], expected)


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((3, 16, 16), (1, 4, 4)),
        ((3, 47, 31), (1, 2, 2)),
        ((5, 30, 30), (1, 1.43, 1.43)),
        ((12, 32, 20), (4, 2, 2)),
        ((9, 27, 27), (3, 1, 3)),
        ((1, 11, 7), (1, 16, 16)),
    ],
)
def test_there_and_back_changes_nothing(shape, step):
    random = np.random.default_rng(0)
    fine = session(shape)
    few = tuple(max(round(length / one), 1) for length, one in zip(shape, step, strict=True))
    for index in range(0, shape[0], 2):
        fine.annotations.paint[index] = random.choice([0, 1, 2, BACKGROUND], shape[1:])
        fine.annotations.touched(index)
    fine.annotations.set_complete(shape[0] - 1, True)
    coarse, kept = session(few, step), planes(fine)
    bring_all(fine, coarse)
    at_coarse = planes(coarse)
    watch = Watch(coarse)
    for index in range(few[0]):
        coarse.annotations.touched(index)
    assert bring_changes(coarse, watch, fine).slices == ()
    np.testing.assert_array_equal(planes(fine), kept)
    other = session(shape)
    bring_all(coarse, other)
    again = session(few, step)
    bring_all(other, again)
    np.testing.assert_array_equal(planes(again), at_coarse)


def test_only_pixels_that_changed_are_changed_at_the_other_level():
    fine, coarse = fine_and_coarse()
    paint(fine, 1, np.s_[1:7, 1:6])
    paint(fine, 2, np.s_[3, 3:9], 2)
    bring_all(fine, coarse)
    kept, watch = planes(fine), Watch(coarse)
    paint(coarse, 1, np.s_[3, 3], 2)
    paint(coarse, 1, np.s_[0, 0], 0)
    assert bring_changes(coarse, watch, fine).slices == (1,)
    kept[1, 12:, 12:] = 2
    kept[1, :4, :4] = 0
    np.testing.assert_array_equal(planes(fine), kept)


def test_what_came_along_is_one_step_to_take_back():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[0:9, 0:9])
    paint(fine, 2, np.s_[0:9, 0:9])
    fine.annotations.set_complete(2, True)
    bring_all(fine, coarse)
    assert coarse.annotations.next_undo.what == CARRIED
    assert coarse.annotations.is_complete(2)
    coarse.annotations.undo()
    assert coarse.annotations.usable_slices() == ()
    coarse.annotations.redo()
    assert coarse.annotations.usable_slices() == (0, 2)
    assert coarse.annotations.complete == {2}


def test_taking_it_back_takes_nothing_from_where_it_came():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[0:9, 0:9])
    fine.annotations.set_complete(0, True)
    bring_all(fine, coarse)
    kept, watch = planes(fine), Watch(coarse)
    coarse.annotations.undo()
    assert bring_changes(coarse, watch, fine).slices == ()
    paint(coarse, 0, np.s_[3, 3], 2)
    watch.changed.add(0)
    assert bring_changes(coarse, watch, fine).slices == (0,)
    kept[0, 12:, 12:] = 2
    np.testing.assert_array_equal(planes(fine), kept)
    assert fine.annotations.complete == {0}


def test_taking_back_what_was_brought_on_top_of_ones_own_paint():
    fine, coarse = fine_and_coarse()
    paint(coarse, 1, np.s_[0, 0])
    bring_all(coarse, fine)
    watch = Watch(fine)
    paint(fine, 1, np.s_[8:16, 8:16], 2)
    bring_changes(fine, watch, coarse)
    watch.close()
    watch = Watch(coarse)
    coarse.annotations.undo()
    assert np.count_nonzero(coarse.annotations.paint) == 1
    assert bring_changes(coarse, watch, fine).slices == ()
    assert np.count_nonzero(fine.annotations.paint == 2) == 64
    coarse.annotations.redo()
    assert bring_changes(coarse, watch, fine).slices == ()


def test_strokes_of_the_viewer_are_changes_too():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[0:9, 0:9])
    bring_all(fine, coarse)
    watch = Watch(coarse)
    before = np.array([1], np.uint16)
    coarse.annotations.paint[0, 0, 0] = 2
    coarse.annotations.stroke(
        PaintStep(0, np.array([0]), before, np.array([2], np.uint16), what=STROKE)
    )
    coarse.annotations.touched(0)
    bring_changes(coarse, watch, fine)
    assert (fine.annotations.paint[0, :4, :4] == 2).all()
    assert fine.annotations.paint[0, 4, 4] == 1


# ---- slices and ticks


def test_a_level_with_fewer_slices_shows_those_in_the_middle_and_what_only_others_say():
    fine, coarse = fine_and_coarse((8, 8, 8), (4, 2, 2))
    paint(fine, 2, np.s_[0:4, :])
    paint(fine, 1, np.s_[:], 2)
    bring_all(fine, coarse)
    assert coarse.annotations.painted_slices() == (0,)
    assert (coarse.annotations.paint[0, :2] == 1).all()
    assert (coarse.annotations.paint[0, 2:] == 2).all()


def test_ticks_come_along():
    fine, coarse = fine_and_coarse((8, 8, 8), (4, 2, 2))
    for index in (0, 3):
        paint(fine, index, np.s_[0:4, :])
        fine.annotations.set_complete(index, True)
    paint(fine, 5, np.s_[0:4, :])
    fine.annotations.set_complete(6, True)
    bring_all(fine, coarse)
    assert coarse.annotations.complete == {0}, "of the second some is painted and not complete"
    watch = Watch(coarse)
    coarse.annotations.set_complete(0, False)
    coarse.annotations.set_complete(1, True)
    bring_changes(coarse, watch, fine)
    assert fine.annotations.complete == {4, 5, 6, 7}


# ---- levels that have not agreed yet


def test_paint_that_is_there_already_stays():
    fine, coarse = fine_and_coarse()
    paint(fine, 1, np.s_[0:8, 0:8])
    paint(coarse, 1, np.s_[1, :], 2)
    paint(coarse, 2, np.s_[0, 0], 2)
    assert bring_all(coarse, fine).slices == (1, 2)
    assert (fine.annotations.paint[1, 0:8, 0:8] == 1).all()
    assert (fine.annotations.paint[1, 4:8, 8:] == 2).all()
    assert (fine.annotations.paint[2, :4, :4] == 2).all()


def test_finer_paint_that_a_coarse_one_was_made_of_gets_no_coarse_rim():
    fine, coarse = fine_and_coarse()
    paint(fine, 1, np.s_[1:7, 2:13])
    bring_all(fine, coarse)
    kept = planes(fine)
    paint(coarse, 1, np.s_[3, 3], 2)
    bring_all(coarse, fine)
    kept[1, 12:, 12:] = 2
    np.testing.assert_array_equal(planes(fine), kept)


def test_a_tick_is_not_brought_to_a_slice_that_says_something_else():
    fine, coarse = fine_and_coarse()
    paint(fine, 1, np.s_[0, 0])
    coarse.annotations.set_complete(1, True)
    coarse.annotations.set_complete(2, True)
    bring_all(coarse, fine)
    assert fine.annotations.complete == {2}


def test_a_tick_that_was_taken_back_there_is_not_brought_again():
    fine, coarse = fine_and_coarse()
    paint(coarse, 1, np.s_[0, 0])
    coarse.annotations.set_complete(1, True)
    bring_all(coarse, fine)
    watch = Watch(coarse)
    fine.annotations.set_complete(1, False)
    paint(coarse, 1, np.s_[3, 3], 2)
    assert bring_changes(coarse, watch, fine).slices == (1,)
    assert fine.annotations.paint[1, 13, 13] == 2
    assert fine.annotations.complete == set()


# ---- labels


def test_names_colours_and_removals_of_labels_come_along():
    fine, coarse = fine_and_coarse()
    paint(fine, 0, np.s_[0:9, 0:9])
    paint(fine, 1, np.s_[0:9, 0:9], 2)
    bring_all(fine, coarse)
    watch = Watch(coarse)
    coarse.labels.rename(1, "nucleus")
    coarse.labels.remove(2)
    new = coarse.labels.add("rim")
    paint(coarse, 2, np.s_[:], new.label_id)
    bring_changes(coarse, watch, fine)
    assert tuple(fine.labels) == tuple(coarse.labels)
    assert fine.labels.next_id == coarse.labels.next_id
    assert fine.annotations.painted_slices() == (0, 2)


def test_labels_of_levels_that_have_not_agreed_meet_by_name():
    fine, coarse = fine_and_coarse()
    coarse.labels.remove(1)
    other = coarse.labels.add("cell")
    third = coarse.labels.add("rim")
    paint(fine, 0, np.s_[:])
    assert fine.labels.add("Rim").label_id == other.label_id
    paint(fine, 1, np.s_[:], other.label_id)
    fine.labels.add("void")
    paint(fine, 2, np.s_[:], 4)
    assert not bring_all(fine, coarse).same_ids
    assert (coarse.annotations.paint[0] == other.label_id).all()
    assert (coarse.annotations.paint[1] == third.label_id).all()
    assert (coarse.annotations.paint[2] == coarse.labels.by_name("void").label_id).all()


# ---- what is remembered


def test_a_watch_tells_of_other_work_and_stops_when_closed():
    one = session((3, 8, 8))
    watch = Watch(one)
    paint(one, 1, np.s_[0, 0])
    one.annotations.set_complete(2, True)
    assert watch.changed == {1, 2}
    assert not watch.replaced
    one.annotations.replace({}, ())
    assert watch.replaced
    watch.close()
    paint(one, 0, np.s_[0, 0])
    assert 0 not in watch.changed


def test_a_watch_goes_on_with_what_another_one_has_kept():
    fine, coarse = fine_and_coarse((2, 16, 16))
    paint(fine, 0, np.s_[0:8, 0:8])
    paint(fine, 1, np.s_[8:16, 8:16], 2)
    fine.annotations.set_complete(1, True)
    bring_all(fine, coarse)
    first = Watch(fine)
    paint(fine, 0, np.s_[0:4, :], 0)
    fine.annotations.set_complete(1, False)
    fine.labels.rename(1, "nucleus")
    since = first.since()
    assert set(since.planes) == {0, 1}
    first.close()
    again = Watch(fine, since)
    assert (again.changed, again.relabelled) == ({0, 1}, True)
    assert again.since().planes[0] is since.planes[0]
    bring_changes(fine, again, coarse)
    expected = np.zeros((2, 4, 4), np.uint16)
    expected[0, 1, :2], expected[1, 2:, 2:] = 1, 2
    np.testing.assert_array_equal(coarse.annotations.paint, expected)
    assert coarse.annotations.complete == set()
    assert [label.name for label in coarse.labels] == ["nucleus", "axon"]


def test_a_watch_that_is_alone_counts_paint_from_another_level_as_a_change():
    fine, coarse = fine_and_coarse((1, 16, 16))
    watch = Watch(fine)
    watch.alone = True
    paint(coarse, 0, np.s_[1, 1])
    bring_all(coarse, fine)
    assert watch.changed == {0}
    assert watch.since().planes[0].ids() == {0}
