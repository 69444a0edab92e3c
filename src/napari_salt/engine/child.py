"""The child process: runs one job after the other until the pipe closes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from numpy.typing import NDArray

from napari_salt.engine.manners import be_a_good_child
from napari_salt.engine.messages import (
    HerePlane,
    JobDone,
    JobEnded,
    JobError,
    JobReport,
    NeedPlane,
    RunJob,
    StopJob,
)
from napari_salt.engine.tasks import run_task
from napari_salt.errors import JobStopped, NapariSaltError, UnreadableSlice
from napari_salt.memory_use import used_up
from napari_salt.records import StackInfo
from napari_salt.scratch import handing_over


def main(pipe: Connection, idle_seconds: float | None) -> None:
    """Body of the child process; ``idle_seconds`` without a job end it, None means never."""
    be_a_good_child()
    while pipe.poll(idle_seconds):
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, RunJob):
            _run(pipe, message)
        # A stop or a plane that comes between jobs belongs to a job that has ended.


class RemotePlanes:
    """Planes that are asked for from the parent, one message each."""

    def __init__(self, pipe: Connection, job: int, info: StackInfo) -> None:
        self._pipe = pipe
        self._job = job
        self.info = info

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index``; ``JobStopped`` when a stop comes instead, ``UnreadableSlice`` when it cannot be read."""
        return self._ask(NeedPlane(self._job, index))

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of slice ``index``, as ``plane``; nothing else crosses the pipe."""
        return self._ask(NeedPlane(self._job, index, (rows, columns)))

    def _ask(self, need: NeedPlane) -> NDArray[Any]:
        self._pipe.send(need)
        while True:
            message = self._pipe.recv()
            if message.job != self._job:
                continue
            if isinstance(message, StopJob):
                raise JobStopped("Stopped.")
            if isinstance(message, HerePlane):
                if message.plane is None:
                    raise UnreadableSlice(message.problem, need.index)
                return message.plane


def _run(pipe: Connection, order: RunJob) -> None:
    """Run one job and send how it ended; nothing that a task raises ends this process."""
    ending: JobDone | JobEnded | JobError
    planes = None if order.info is None else RemotePlanes(pipe, order.job, order.info)
    try:
        task = run_task(order.request, planes)
        ending = _drain(pipe, order.job, task)
    except JobStopped:
        ending = JobEnded(order.job)
    except (EOFError, BrokenPipeError):
        # The parent is gone, and with it everybody who could want this job.
        sys.exit(0)
    except Exception as error:  # noqa: BLE001
        # The edge of the process: whatever a library raises must reach the user.
        ours = isinstance(error, NapariSaltError)
        details = "" if ours else "".join(traceback.format_exception(error))
        ending = JobError(order.job, sentence_for(error, order.request.title), details)
    with suppress(BrokenPipeError):  # nobody is left to be told
        pipe.send(ending)


def _drain(pipe: Connection, job: int, task: Generator[Any, None, Any]) -> JobDone | JobEnded:
    """Send each report on; between two of them look whether a stop has come."""
    try:
        while True:
            if _stop_has_come(pipe, job):
                return JobEnded(job)
            try:
                report = next(task)
            except StopIteration as end:
                return JobDone(job, end.value)
            # None only says that a stop may come now.
            if report is not None:
                with handing_over():
                    pipe.send(JobReport(job, report))
    finally:
        task.close()


def _stop_has_come(pipe: Connection, job: int) -> bool:
    while pipe.poll(0):
        message = pipe.recv()
        if isinstance(message, StopJob) and message.job == job:
            return True
    return False


def sentence_for(error: Exception, title: str) -> str:
    """One sentence for the screen: the error's own where it is ours, a plain one else.

    ``title`` is the word of the button to press again.
    """
    if isinstance(error, NapariSaltError):
        return str(error)
    again = f"your paint is safe; press {title} again"
    owner = used_up(error)
    if owner == "graphics card":
        return (
            "The graphics card ran out of memory; close other programs that use it or choose the "
            f"device cpu under Advanced: {again}."
        )
    if owner == "computer":
        return f"The computer ran out of memory; close other programs: {again}."
    text = " ".join(str(error).split())
    short = text if len(text) <= 200 else text[:197] + "..."
    return f"The job failed unexpectedly ({type(error).__name__}: {short}); {again}."
