"""Reports of a share of work done."""

from __future__ import annotations

import time

import pytest

from generators import run
from napari_salt.model import progress
from napari_salt.model.fine_tune import TuneReport
from napari_salt.model.progress import reports, reports_until, step_report


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)

    def work(self, shares, seconds=1.0):
        for share in shares:
            self.now += seconds
            yield share
        return "done"


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_shares_become_hundredths_and_time_left(clock):
    outcome, told = run(reports("scoring", clock.work([0.0, 0.5, 1.0]), "looking"))
    assert outcome == "done"
    assert [one.step for one in told] == [0, 50, 100]
    assert {(one.phase, one.total, one.message) for one in told} == {("scoring", 100, "looking")}
    assert [one.seconds_left for one in told] == [None, 2.0, 0.0]


def test_work_ends_at_its_deadline(clock):
    deadline = time.monotonic() + 2.5
    outcome, told = run(reports_until(deadline, "scoring", clock.work([0.1, 0.2, 0.3, 0.4])))
    assert (len(told), outcome) == (2, None)
    outcome, told = run(reports_until(time.monotonic() + 2.5, "scoring", clock.work([0.5, 1.0])))
    assert (len(told), outcome) == (2, "done")


def test_steps_tell_the_time_that_the_others_will_take(clock):
    began = time.monotonic()
    first = step_report(TuneReport(0, 8, None), began, "drawing")
    assert (first.step, first.total, first.loss, first.seconds_left) == (0, 8, None, None)
    clock.now += 6
    later = step_report(TuneReport(2, 8, 0.25), began, "drawing")
    assert (later.phase, later.step, later.total, later.loss) == ("adapting", 2, 8, 0.25)
    assert later.seconds_left == pytest.approx(18)
    assert step_report(TuneReport(0, 0, None), began, "").seconds_left is None, "no step fits in"
