"""A job that gives no sign of life is ended; one that works is not, however long it says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from engine_helpers import Call, CountingPlanes

from napari_salt.engine.engine import HANG_SECONDS, Engine
from napari_salt.engine.tasks import finish
from napari_salt.engine.watchdog import CHECKS, Watchdog
from napari_salt.errors import JobFailed, JobStopped

LIMIT = 2.0
"""Seconds; a busy machine may well give a process nothing to do for half of one."""


@pytest.fixture
def hasty():
    engine = Engine(hang_seconds=LIMIT)
    yield engine
    engine.close()


def test_the_limit_is_generous():
    assert HANG_SECONDS >= 120


def test_a_job_that_hangs_is_ended_with_a_sentence_and_the_next_one_works(hasty):
    job = hasty.submit(Call("hangs"), None)
    next(job)
    child = hasty.pid
    with pytest.raises(JobFailed, match=r"no sign of life for 2 seconds .* press Adapt again"):
        finish(job)
    assert hasty.pid is None
    assert finish(hasty.submit(Call("count_up"), None))[1] == 3
    assert hasty.pid != child


@pytest.mark.skipif(sys.platform == "win32", reason="stops by signal")
def test_a_process_that_was_halted_is_one_that_hangs(hasty):
    job = hasty.submit(Call("for_ever"), None)
    next(job)
    os.kill(hasty.pid, signal.SIGSTOP)
    with pytest.raises(JobFailed, match="no sign of life"):
        finish(job)


def test_a_long_step_without_a_word_is_no_hang(hasty):
    """Three times the limit, without a message; the CPU time shows that it works."""
    assert finish(hasty.submit(Call("computes", count=6), None))[1] == 6


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

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = threading.Event(), threading.Event()

    def plane(self, index: int) -> np.ndarray:
        self.asked.set()
        self.answers.wait(60)
        return super().plane(index)


def test_a_drive_that_does_not_answer_holds_nobody_up_who_stops(hasty):
    planes = SilentDrive()
    job = hasty.submit(Call("sum_planes"), planes)

    def stop():
        planes.asked.wait(60)
        hasty.stop()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(JobStopped):
        finish(job)
    assert finish(hasty.submit(Call("sum_planes"), CountingPlanes()))[1] == 96
    planes.answers.set()


def test_a_drive_that_takes_long_is_no_hang_of_the_engine(hasty):
    planes = SilentDrive()
    threading.Timer(2 * LIMIT, planes.answers.set).start()
    assert finish(hasty.submit(Call("sum_planes"), planes))[1] == 96
