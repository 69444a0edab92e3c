"""However a job ends, it ends: nothing stays in "adapting", and whoever waits has their turn."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from napari_salt.control.job_controller import PAUSE, Job, JobController, warm_up
from napari_salt.engine.requests import SegmentRequest, WarmUpRequest
from napari_salt.errors import JobFailed
from napari_salt.records import FitSettings, StepReport
from napari_salt.session.stack import Stack

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
