"""What is remembered of the moment when two levels of a pyramid agreed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.session.agreement import CARRIED, Agreement, Since, Watch
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.session.undo import PaintStep, PaintSteps
from napari_salt.sparse_plane import SparsePlane


@pytest.fixture
def session():
    made = Session(Stack(np.zeros((4, 2, 3), np.uint8)))
    made.labels.add("cell")
    paint(made, 0, 1)
    return made


def paint(session, index, label_id):
    session.annotations.paint[index, 0] = label_id
    session.annotations.touched(index)


def carried(index, before, after, **kwargs):
    """A step that brings one pixel of paint from another level."""
    ids = (np.array([one], np.uint16) for one in (before, after))
    return PaintStep(index, np.array([5]), *ids, what=CARRIED, **kwargs)


def remembered(watch):
    before = watch.before()
    planes = {index: before.plane(index) for index in range(4)}
    return {
        index: plane.max() for index, plane in planes.items() if plane is not None and plane.any()
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda one: paint(one, 1, 1),
        lambda one: one.annotations.set_complete(1, True),
        lambda one: one.labels.rename(1, "nucleus"),
        lambda one: one.annotations.replace({}, ()),
    ],
)
def test_every_change_is_one(session, change):
    watch = Watch(session)
    assert not watch.touched
    assert not watch.since().relabelled
    change(session)
    assert watch.touched


def test_what_was_said_is_what_was_painted_or_complete(session):
    session.annotations.set_complete(2, True)
    before = Watch(session).before()
    assert set(before.usable) == {0, 2}
    assert set(before.complete) == {2}


def test_paint_that_another_level_has_brought_is_known_there_undone_and_made_again(session):
    watch = Watch(session)
    steps = (carried(0, 0, 3), carried(1, 0, 3, completed=True))
    session.annotations.do(PaintSteps(0, steps, CARRIED))
    assert remembered(watch) == {0: 3, 1: 3}
    assert set(watch.before().complete) == {1}
    session.annotations.undo()
    assert remembered(watch) == {0: 1}
    assert set(watch.before().complete) == set()
    session.annotations.redo()
    assert remembered(watch) == {0: 3, 1: 3}
    assert set(watch.before().complete) == {1}


def test_steps_of_ones_own_are_not_what_was_said(session):
    watch = Watch(session)
    session.annotations.accept(1, np.full((2, 3), 1, np.uint16))
    assert remembered(watch) == {0: 1}


def test_what_a_slice_did_not_say_then_is_not_remembered(session):
    paint(session, 1, 1)
    then = Since({0: SparsePlane((2, 3)), 2: SparsePlane.of(np.full((2, 3), 2, np.uint16))}, ())
    watch = Watch(session, then)
    assert remembered(watch) == {1: 1, 2: 2}
    assert set(watch.before().usable) == {1, 2}
    assert watch.changed == {0, 2}


def test_an_agreement_watches_a_session_only_while_it_may_change(session):
    agreed = Agreement()
    assert not agreed.touched
    agreed.rest()
    agreed.follow(session)
    watch = agreed.watch
    agreed.follow(session)
    assert agreed.watch is watch, "what was said then is not forgotten"
    agreed.rest()
    assert agreed.watch is None
    paint(session, 1, 1)
    assert not watch.touched, "nobody listens any more"
    agreed.follow(session)
    paint(session, 2, 1)
    agreed.rest()
    assert agreed.watch is not None, "it says something else now"
    assert agreed.touched


def test_an_agreement_from_a_folder_is_watched_for_good(session):
    agreed = Agreement("mark", kept=True)
    agreed.follow(session)
    agreed.rest()
    assert agreed.watch is not None


def test_no_two_moments_have_one_mark():
    assert Agreement().mark != Agreement().mark
