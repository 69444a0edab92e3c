"""A job that gives no sign of life is ended; one that works is not, however long it says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from engine_helpers import Call, CountingPlanes

from napari_salt.engine import watchdog
from napari_salt.engine.engine import HANG_SECONDS, POLL_SECONDS
from napari_salt.engine.tasks import finish
from napari_salt.engine.watchdog import CHECKS, Watchdog
from napari_salt.errors import JobFailed, JobStopped

SHORT = 2.0
"""Seconds of a limit that is meant to be reached."""


class Clock:
    """The watchdog's time. It stands still, so that a busy machine makes no hang, until a test lets it pass.

    Then every look at it is a check: ``CHECKS`` of them without a sign of life are the whole limit.
    """

    def __init__(self) -> None:
        self.now, self.step = 0.0, 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def passes(self) -> None:
        self.step = HANG_SECONDS / CHECKS

    def stands(self) -> None:
        self.step = 0.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


def test_the_limit_is_generous():
    assert HANG_SECONDS >= 120


def test_a_job_that_hangs_is_ended_with_a_sentence_and_the_next_one_works(engine):
    """In real time; the limit is short only while a hang is what must come, sooner or later."""
    assert finish(engine.submit(Call("count_up"), None))[1] == 3
    child, engine._hang_seconds = engine.pid, SHORT
    with pytest.raises(JobFailed, match=r"no sign of life for 2 seconds .* press Adapt again"):
        finish(engine.submit(Call("hangs"), None))
    assert engine.pid is None
    engine._hang_seconds = HANG_SECONDS
    assert finish(engine.submit(Call("count_up"), None))[1] == 3
    assert engine.pid != child


@pytest.mark.skipif(sys.platform == "win32", reason="stops by signal")
def test_a_process_that_was_halted_is_one_that_hangs(engine, clock):
    job = engine.submit(Call("for_ever"), None)
    next(job)
    os.kill(engine.pid, signal.SIGSTOP)
    clock.passes()
    with pytest.raises(JobFailed, match="no sign of life"):
        finish(job)


def test_a_long_step_without_a_word_is_no_hang(engine, monkeypatch):
    """Three times the limit, without a message; the CPU time shows that it works.

    The child's own CPU time is the clock, so that it works as much between two checks as on a machine of its own.
    """
    engine._hang_seconds = 1.0
    spent = SimpleNamespace(monotonic=lambda: watchdog._cpu_seconds(engine.pid))
    monkeypatch.setattr(watchdog, "time", spent)
    assert finish(engine.submit(Call("computes", count=3), None))[1] == 3


def test_a_computer_that_slept_has_not_hung(monkeypatch):
    """However much time passes at once, it is one check of many."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as waiting:
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now)
        dog = Watchdog(waiting.pid, 10.0)
        for _ in range(CHECKS):  # until it has started and waits
            now += 2.0
            dog.hangs()
        dog.heard()
        now += 9999.0
        assert not dog.hangs()
        waiting.kill()


class SilentDrive(CountingPlanes):
    """Planes on a drive that does not answer until it is told to."""

    def __init__(self, when_asked=lambda: None) -> None:
        super().__init__()
        self.asked, self.answers = threading.Event(), threading.Event()
        self._when_asked = when_asked

    def plane(self, index: int) -> np.ndarray:
        if not self.asked.is_set():
            self.asked.set()
            self._when_asked()
        self.answers.wait(60)
        return super().plane(index)


def test_a_drive_that_does_not_answer_holds_nobody_up_who_stops(engine):
    planes = SilentDrive()
    job = engine.submit(Call("sum_planes"), planes)

    def stop():
        planes.asked.wait(60)
        engine.stop()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(JobStopped):
        finish(job)
    assert finish(engine.submit(Call("sum_planes"), CountingPlanes()))[1] == 96
    planes.answers.set()


def test_a_drive_that_takes_long_is_no_hang_of_the_engine(engine, clock):
    """While it is silent, every look at the clock would be a check; twice as many of them as make a hang."""

    def silent():
        clock.passes()
        threading.Timer(2 * CHECKS * POLL_SECONDS, answers).start()

    def answers():
        clock.stands()
        planes.answers.set()

    planes = SilentDrive(silent)
    assert finish(engine.submit(Call("sum_planes"), planes))[1] == 96
