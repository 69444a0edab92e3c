"""However a job ends, it ends: nothing stays in "adapting", and whoever waits has their turn."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from napari_salt.control.job_controller import PAUSE, Job, JobController, warm_up
from napari_salt.engine.requests import SegmentRequest, WarmUpRequest
from napari_salt.errors import JobFailed, OutputError
from napari_salt.records import FitSettings, SlicePrediction, SliceSummary, StepReport
from napari_salt.session.stack import Stack
from napari_salt.views import CurveState, ProgressState
from played_runner import PlayedRunner

PLANES = Stack(np.zeros((2, 4, 4), np.uint8))


class Runner:
    """Keeps the callbacks of the one job that runs; refuses when told to."""

    def __init__(self) -> None:
        self.calls: dict[str, Callable[..., None]] = {}
        self.refuses, self.submitted = False, 0

    def submit(self, request, planes, **calls):
        if self.refuses:
            raise JobFailed("Another job is still running; wait for it or press Stop first.")
        self.calls, self.submitted = calls, self.submitted + 1
        return self.submitted


def a_job(said: list[str], on_done: Callable[[object], None] = lambda result: None) -> Job:
    return Job(
        "segment",
        SegmentRequest(__file__, (0,)),
        PLANES,
        on_report=lambda report: None,
        on_done=on_done,
        on_failed=said.append,
        on_stopped=lambda: None,
    )


def test_a_job_that_is_refused_has_failed_and_does_not_seem_to_run():
    runner, said, refreshed = Runner(), [], []
    jobs = JobController(runner, lambda: refreshed.append(jobs.busy))
    runner.refuses = True
    jobs.start(a_job(said))
    assert said == [
        "The job could not be started: Another job is still running; wait for it or press Stop first."
    ]
    assert not jobs.busy
    assert refreshed[-1] is False
    runner.refuses = False
    jobs.start(a_job(said))
    assert jobs.busy


def test_reports_faster_than_anybody_reads_are_shown_together(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    runner, shown = Runner(), []
    jobs = JobController(runner, lambda: shown.append(jobs.progress().done))
    jobs.start(a_job([]))
    shown.clear()
    for step in range(1, 9):
        runner.calls["on_report"](StepReport("segmenting", step, 9))
        now[0] += PAUSE / 4
    assert shown == [1, 5]
    jobs.tick()
    assert shown == [1, 5, 8]
    jobs.tick()
    assert shown == [1, 5, 8]
    runner.calls["on_report"](StepReport("scoring", 3, 9))
    assert shown == [1, 5, 8, 3], "another phase is shown at once"


def test_what_goes_wrong_in_telling_ends_the_job_and_holds_up_nobody():
    runner, said, refreshed = Runner(), [], []
    jobs = JobController(runner, lambda: refreshed.append(jobs.busy))

    def layer_is_gone(result):
        raise RuntimeError("wrapped object has been deleted")

    jobs.start(a_job(said, layer_is_gone))
    with pytest.raises(RuntimeError, match="deleted"):
        runner.calls["on_done"](None)
    assert not jobs.busy
    assert refreshed[-1] is False


def test_a_waiting_job_starts_though_the_one_before_told_badly():
    runner, said = Runner(), []
    jobs = JobController(runner, lambda: None)
    first = warm_up(WarmUpRequest(FitSettings()), PLANES)

    def broken(result):
        raise RuntimeError("x")

    first.on_done = broken
    jobs.start(first)
    jobs.start(a_job(said))
    assert runner.submitted == 1
    with pytest.raises(RuntimeError):
        runner.calls["on_done"](None)
    assert runner.submitted == 2
    assert jobs.busy


def started(kind="segment", slices=(0, 1), **kwargs):
    """A job that runs on a played runner, and what is said of its end."""
    runner, said = PlayedRunner(), []
    jobs = JobController(runner, lambda: None)
    job = Job(
        kind,
        SegmentRequest(__file__, slices),
        PLANES,
        on_report=kwargs.pop("on_report", lambda report: None),
        on_done=lambda result: said.append("done"),
        on_failed=said.append,
        on_stopped=lambda: said.append("stopped"),
        **kwargs,
    )
    jobs.start(job)
    return jobs, runner, said


def predicted(index):
    nothing = np.zeros((4, 4), np.uint8)
    return SlicePrediction(index, nothing, nothing.astype(np.float16), SliceSummary(index, 0.5))


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        (StepReport("loading", 1, 3), ProgressState(True, "loading weights…", 1, 0)),
        (StepReport("first fit", 1, 3), ProgressState(True, "first fit…", 1, 0)),
        (StepReport("scoring", 1, 3), ProgressState(True, "scoring 1/3", 1, 3)),
        (StepReport("segmenting", 0, 3), ProgressState(True, "segmenting 0/3", 0, 3)),
    ],
)
def test_how_far_a_job_is(report, shown):
    jobs, runner, _ = started()
    assert jobs.progress() == ProgressState(True, "starting…")
    runner.report(report)
    assert jobs.progress() == shown
    runner.end()
    assert jobs.progress() == ProgressState()


def test_slices_that_are_segmented_are_counted_and_what_is_unusual_is_told(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    jobs, runner, _ = started(slices=(0, 1, 2, 3))
    runner.report(StepReport("segmenting", 0, 4, message="on the CPU"))
    now[0] = 6.0
    runner.report(predicted(0), predicted(1), StepReport("segmenting", 2, 4))
    assert jobs.progress() == ProgressState(True, "segmenting 2/4 (6 s left) · on the CPU", 2, 4)


def test_a_job_with_words_of_its_own_says_them_once_it_is_loaded():
    jobs, runner, _ = started(doing="comparing")
    runner.report(StepReport("loading", 0, 1))
    assert jobs.progress().text == "loading weights…"
    runner.report(StepReport("segmenting", 0, 2))
    assert jobs.progress() == ProgressState(True, "comparing…")


def test_the_curve_follows_the_fit():
    jobs, runner, _ = started("adapt")
    runner.report(
        StepReport("scoring", 1, 9, held_out_dice=0.5, held_out_by_label=(("cell", 0.5),)),
        StepReport("adapting", 1, 4, loss=0.9),
        StepReport("adapting", 2, 4, loss=0.7, held_out_dice=0.6),
        StepReport("scoring", 2, 9, loss=0.1),
    )
    curve = CurveState(((1, 0.9), (2, 0.7)), ((2, 0.6),), 4, (("cell", 0.5),))
    assert jobs.curve == curve
    runner.report(StepReport("scoring", 3, 9, held_out_by_label=(("cell", 0.7),)))
    assert jobs.curve.live == (("cell", 0.7),)


def test_what_cannot_be_taken_ends_the_job_with_the_reason():
    tried = []

    def full(report):
        tried.append(report)
        raise OutputError("The disk is full.")

    jobs, runner, said = started(on_report=full)
    runner.report(predicted(0))
    assert runner.stops == 1
    assert jobs.progress().text == "stopping…"
    runner.report(predicted(1))
    assert len(tried) == runner.stops == 1
    runner.end("on_stopped")
    assert said == ["The disk is full."]


def test_stop_is_for_what_the_user_knows_of():
    runner = PlayedRunner()
    jobs = JobController(runner, lambda: None)
    jobs.stop()
    jobs.start(warm_up(WarmUpRequest(FitSettings()), PLANES))
    jobs.stop()
    assert (runner.stops, jobs.busy, jobs.running) == (0, False, True)
    jobs, runner, said = started()
    jobs.stop()
    assert (runner.stops, jobs.job.stopping) == (1, True)
    runner.end("on_stopped")
    assert said == ["stopped"]
