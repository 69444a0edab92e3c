"""Slices are looked at in pauses only, painted ones first, and never in anybody's way."""

from __future__ import annotations

import gc
import time
import weakref
from unittest.mock import create_autospec

import numpy as np
import pytest

from napari_salt.control.desk import Desk
from napari_salt.control.job_controller import Job, JobController
from napari_salt.control.look_ahead_controller import LONGEST, PAUSE, LookAheadController
from napari_salt.engine.requests import LookAheadRequest, LookAheadResult, SegmentRequest
from napari_salt.records import FitSettings
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView
from played_runner import PlayedRunner

SHAPE = (6, 8, 8)


class Bench:
    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.desk = Desk(
            create_autospec(DockView, instance=True), create_autospec(ViewerLink, instance=True)
        )
        self.desk.link.current_slice.return_value = 2
        self.desk.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
        self.desk.session.labels.add("cell")
        self.runner = PlayedRunner()
        self.jobs = JobController(self.runner, lambda: None)
        self.busy = False
        self.ahead = LookAheadController(self.desk, self.jobs, lambda: self.busy)

    @property
    def annotations(self):
        return self.desk.session.annotations

    def paint(self, index, *, complete=False):
        self.annotations.fill(1, {index: np.ones(SHAPE[1:], bool)}, index=index, what="test")
        self.annotations.set_complete(index, complete)

    def wait(self, seconds=PAUSE + 0.1):
        """Ticks come once a second, in a pause as well."""
        self.ahead.tick()
        self.now += seconds
        self.ahead.tick()

    def look(self, zoom=None, frame=0, room=True):
        """The engine answers; what it was asked."""
        request = self.runner.requests[-1]
        assert isinstance(request, LookAheadRequest)
        self.runner.end("on_done", LookAheadResult(zoom, frame, room))
        return request

    def look_at_all(self, **answer):
        """Indices in the order in which they are looked at."""
        seen = []
        while self.runner.calls is not None:
            seen.append(self.look(**answer).index)
            self.wait(1)
        return seen


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


def test_nothing_is_looked_at_before_there_is_paint(bench):
    bench.wait()
    assert bench.runner.requests == []
    assert bench.ahead.text() == ""


def test_painted_slices_come_first_then_the_others_from_the_one_on_screen_outwards(bench):
    bench.paint(5)
    bench.paint(0)
    bench.wait()
    assert bench.look_at_all() == [0, 5, 2, 3, 1, 4]
    bench.wait()
    assert bench.runner.calls is None, "all is seen"
    assert bench.ahead.text() == ""


def test_only_painted_slices_where_the_cache_does_not_hold_the_stack(bench):
    bench.paint(5)
    bench.wait()
    assert bench.look_at_all(room=False) == [5]
    bench.paint(3)
    bench.wait()
    assert bench.look_at_all(room=False) == [3]


def test_only_painted_slices_where_a_cluster_segments(bench):
    bench.desk.session.settings = FitSettings(cluster="tls://somewhere:8786")
    bench.paint(5)
    bench.wait()
    assert bench.look_at_all() == [5]


def test_it_says_how_far_it_is(bench):
    bench.paint(5)
    bench.wait()
    bench.look()
    assert bench.ahead.text() == "looking ahead in pauses: 1 of 6 slices"
    bench.desk.looking_ahead = False
    assert bench.ahead.text() == "", "turned off"
    bench.desk.looking_ahead, bench.desk.assisting = True, True
    assert bench.ahead.text() == "", "the box tool is on"


def test_strokes_and_scrolling_are_waited_out(bench):
    bench.paint(5)
    bench.ahead.tick()
    for where in (3, 4, 5):
        bench.now += PAUSE - 0.5
        bench.ahead.stirred()
        bench.ahead.tick()
        bench.now += PAUSE - 0.5
        bench.desk.link.current_slice.return_value = where
        bench.ahead.tick()
    assert bench.runner.requests == []
    bench.wait()
    assert len(bench.runner.requests) == 1


@pytest.mark.parametrize("what", ["turned off", "box tool", "export", "no image"])
def test_not_while_something_else_goes_on(bench, what):
    bench.paint(5)
    session = bench.desk.session
    bench.desk.looking_ahead = what != "turned off"
    bench.desk.assisting = what == "box tool"
    bench.busy = what == "export"
    bench.desk.session = None if what == "no image" else session
    bench.wait()
    assert bench.runner.requests == []
    bench.desk.looking_ahead, bench.desk.assisting, bench.busy = True, False, False
    bench.desk.session = session
    bench.wait()
    assert len(bench.runner.requests) == 1


def job(said):
    return Job(
        "segment",
        SegmentRequest("a", (1,)),
        None,
        on_report=lambda report: None,
        on_done=lambda result: said.append("done"),
        on_failed=said.append,
        on_stopped=lambda: None,
    )


def test_a_job_starts_when_the_look_is_over_and_nothing_is_killed_for_it(bench):
    said = []
    bench.paint(5)
    bench.wait()
    assert not bench.jobs.busy, "a look is no job of the user's"
    bench.jobs.start(job(said))
    assert bench.jobs.busy
    assert bench.jobs.progress().text == "starting…"
    assert bench.runner.stops == 0
    bench.look()
    assert isinstance(bench.runner.requests[-1], SegmentRequest)
    bench.wait()
    assert len(bench.runner.requests) == 2, "no look while a job runs"
    bench.runner.end("on_done", None)
    assert said == ["done"]
    bench.wait()
    assert bench.runner.requests[-1].index == 2


def test_complete_slices_travel_only_when_the_framing_may_change(bench):
    bench.paint(5, complete=True)
    bench.paint(1)
    bench.wait()
    first = bench.look(zoom=0.5)
    assert [one.index for one in first.painted] == [5]
    bench.wait()
    second = bench.look(zoom=0.5)
    assert (second.painted, second.zoom) == ((), 0.5)
    bench.paint(1, complete=True)
    bench.wait()
    third = bench.look(zoom=0.5)
    assert [one.index for one in third.painted] == [1, 5]


def test_another_framing_begins_anew(bench):
    bench.paint(5, complete=True)
    bench.wait()
    assert bench.look_at_all() == [5, 2, 3, 1, 4, 0]
    bench.paint(4, complete=True)
    bench.wait()
    assert len(bench.runner.requests[-1].painted) == 2
    assert bench.look_at_all(zoom=0.7) == [4, 5, 2, 3, 1, 0]
    bench.paint(3, complete=True)
    bench.wait()
    assert bench.look_at_all(zoom=0.7) == [3], "framed as before"
    bench.desk.session.settings = FitSettings(backbone="other")
    bench.wait()
    assert len(bench.runner.requests[-1].painted) == 3
    assert len(bench.look_at_all()) == 6


def test_a_slice_of_many_frames_takes_several_looks(bench):
    bench.paint(5)
    bench.wait()
    bench.look(frame=3)
    bench.wait()
    request = bench.look(frame=0)
    assert (request.index, request.frame) == (5, 3)
    bench.wait()
    request = bench.look()
    assert (request.index, request.frame) == (2, 0)


def test_a_look_that_fails_is_not_tried_again_on_this_image(bench):
    bench.paint(5)
    bench.wait()
    bench.runner.end("on_failed", "The engine stopped unexpectedly.")
    bench.wait()
    assert len(bench.runner.requests) == 1
    assert bench.ahead.text() == ""
    bench.desk.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
    bench.paint(1)
    bench.wait()
    assert len(bench.runner.requests) == 2


def test_where_a_look_takes_long_nobody_is_made_to_wait_for_another(bench):
    bench.paint(5)
    bench.wait()
    slow = LookAheadResult(None, 0, room=True, seconds=LONGEST + 1)
    bench.runner.end("on_done", slow)
    bench.wait()
    assert len(bench.runner.requests) == 1
    assert bench.ahead.text() == ""


def test_an_answer_about_an_image_that_was_left_counts_for_nothing(bench):
    bench.paint(5)
    bench.wait()
    late = bench.runner.calls
    bench.runner.calls = bench.jobs._job = None
    bench.desk.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
    bench.paint(5)
    bench.wait()
    late["on_done"](LookAheadResult(0.5, 0, room=True))
    assert bench.look().index == 5
    bench.wait()
    assert bench.runner.requests[-1].zoom is None


def test_an_image_that_was_left_is_not_kept_in_memory(bench):
    bench.paint(5)
    bench.wait()
    bench.look()
    gone = weakref.ref(bench.desk.session.stack)
    bench.desk.session = None
    bench.runner.requests.clear()
    gc.collect()
    assert gone() is None


def test_slices_too_large_to_be_read_whole_are_left_alone(bench):
    bench.desk.session = Session(Stack(np.broadcast_to(np.uint8(0), (1, 4096, 4096))))
    bench.annotations.set_complete(0, True)
    bench.wait()
    assert bench.runner.requests == []


def test_it_rests_when_nothing_is_left_to_look_at_in_a_pause(bench):
    assert not bench.ahead.resting()
    bench.paint(2)
    bench.wait()
    assert not bench.ahead.resting()  # it looks
    bench.look(room=False)
    bench.wait()
    assert bench.ahead.resting()
    bench.ahead.stirred()
    assert not bench.ahead.resting()
    bench.now += PAUSE
    bench.desk.assisting = True
    assert not bench.ahead.resting()
    bench.desk.assisting = False
    assert bench.ahead.resting()


def test_without_looks_every_pause_is_a_rest(bench):
    bench.desk.looking_ahead = False
    bench.paint(2)
    bench.wait()
    assert bench.ahead.resting()


def test_what_was_segmented_is_not_looked_at_again(bench, monkeypatch):
    bench.paint(2)
    bench.wait()
    bench.look()
    monkeypatch.setattr(type(bench.desk.session), "fresh_slices", lambda self: frozenset(range(5)))
    bench.wait()
    assert bench.runner.requests[-1].index == 5
