"""The parent's side: starts the child, supervises its jobs, kills what will not stop."""

from __future__ import annotations

import itertools
import pickle
import queue
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from napari_salt.engine import child
from napari_salt.engine.messages import (
    HerePlane,
    JobDone,
    JobEnded,
    JobError,
    JobReport,
    NeedPlane,
    RunJob,
    StopJob,
    ToChild,
    ToParent,
    as_plane,
    receive,
)
from napari_salt.engine.requests import Request
from napari_salt.engine.spawning import start_child
from napari_salt.engine.watchdog import Watchdog
from napari_salt.errors import JobFailed, JobStopped, NapariSaltError
from napari_salt.records import Planes
from napari_salt.regions import RegionPlanes, with_regions

POLL_SECONDS = 0.05
GRACE_SECONDS = 0.7
IDLE_SECONDS = 600.0
JOIN_SECONDS = 2.0
HANG_SECONDS = 300.0


@dataclass(eq=False)
class _Child:
    """A running child process and our end of the pipe."""

    process: SpawnProcess
    pipe: Connection

    def send(self, message: ToChild) -> None:
        self.pipe.send(message)

    def dismiss(self, seconds: float) -> None:
        """Let an idle process end by itself, which is tidier than to kill it."""
        self.pipe.close()
        self.process.join(seconds)

    def kill(self) -> None:
        """End the process; the pipe stays open for whoever is reading it."""
        self.process.kill()
        self.process.join(JOIN_SECONDS)


@dataclass(eq=False)
class _Job:
    """One submitted request; ``stop`` is set by any thread that wants it to end."""

    number: int
    request: Request
    planes: RegionPlanes | None
    stop: threading.Event = field(default_factory=threading.Event)


class _ChildLostError(Exception):
    """The child is gone; ``untouched`` when it had not answered the job at all."""

    def __init__(self, *, untouched: bool) -> None:
        super().__init__()
        self.untouched = untouched


class Engine:
    """Runs requests in a child process that stays warm between jobs.

    One job at a time. ``submit`` returns a plain generator, to be iterated in any one thread;
    ``stop`` and ``close`` may be called from any other. No torch and no Qt here.

    Parameters
    ----------
    idle_seconds
        The child ends by itself after so long without a job, which gives its memory back; None
        means never.
    grace_seconds
        How long a job that was asked to stop may take before its process is killed.
    hang_seconds
        How long a job may give no sign of life, neither a message nor CPU time, before its process is killed.
    """

    def __init__(
        self,
        *,
        idle_seconds: float | None = IDLE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._grace_seconds = grace_seconds
        self._hang_seconds = hang_seconds
        self._numbers = itertools.count(1)
        self._guard = threading.RLock()
        self._busy = threading.Lock()
        self._child: _Child | None = None
        self._job: _Job | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running child, None when there is none."""
        with self._guard:
            if self._child is None or not self._child.process.is_alive():
                return None
            return self._child.process.pid

    @property
    def busy(self) -> bool:
        """Whether a job is being supervised."""
        return self._busy.locked()

    def start(self) -> None:
        """Start the child now, where it does not run yet; ``submit`` does so by itself."""
        self._running_child()

    def submit(self, request: Request, planes: Planes | None) -> Generator[Any, None, Any]:
        """Run a request: yields its reports as they come and returns its result.

        ``planes`` is read in this process, one plane when the job asks for it, in a thread that may be left behind:
        a drive that does not answer holds nobody up who presses Stop.

        Raises
        ------
        JobStopped
            After ``stop``. What the job had saved by then is kept.
        JobFailed
            When the task raised, its process died or hung, or another job is running.
        """
        regions = None if planes is None else with_regions(planes)
        job = _Job(next(self._numbers), request, regions)
        with self._guard:
            if self.busy:
                raise JobFailed("Another job is still running; wait for it or press Stop first.")
            self._job = job
        return self._supervise(job)

    def stop(self) -> None:
        """Ask the job to stop; its generator raises ``JobStopped`` within about a second."""
        with self._guard:
            if self._job is not None:
                self._job.stop.set()

    def close(self) -> None:
        """End the child and whatever it is doing; a later ``submit`` starts a fresh one."""
        with self._guard:
            self.stop()
            if self._child is None:
                return
            if self.busy:
                # Whoever supervises the job finds the pipe at its end, and closes it.
                self._child.kill()
            else:
                self._child.dismiss(self._grace_seconds)
                self._discard(self._child)

    def _supervise(self, job: _Job) -> Generator[Any, None, Any]:
        with self._one_at_a_time():
            try:
                return (yield from self._converse(job))
            except _ChildLostError as lost:
                if not lost.untouched or job.stop.is_set():
                    raise self._how_it_ended(job) from None
            # A warm child that left between two jobs (idle, or killed) took nothing with it: once
            # more, with a fresh one.
            try:
                return (yield from self._converse(job))
            except _ChildLostError:
                raise self._how_it_ended(job) from None

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise JobFailed("Another job is still running; wait for it or press Stop first.")
        try:
            yield
        finally:
            self._busy.release()

    def _converse(self, job: _Job) -> Generator[Any, None, Any]:
        """Talk with one child until the job ends in one way or the other."""
        warm = self.pid is not None
        running = self._running_child()
        answered = ended = False
        try:
            running.send(
                RunJob(job.number, job.request, None if job.planes is None else job.planes.info)
            )
            dog = Watchdog(running.process.pid or 0, self._hang_seconds)
            while not job.stop.is_set():
                if not running.pipe.poll(POLL_SECONDS):
                    if dog.hangs():
                        raise self._hung(job)
                    continue
                dog.heard()
                message = receive(running.pipe)
                if message.job != job.number:
                    continue
                answered = True
                if isinstance(message, NeedPlane):
                    plane = _plane_unless_stopped(job, message)
                    if plane is not None:
                        running.send(plane)
                    dog.heard()
                elif isinstance(message, JobReport):
                    yield message.report
                else:
                    ended = True
                    return _result(message)
            ended = True
            yield from self._wind_down(running, job)
            raise JobStopped("Stopped.")
        except (EOFError, OSError):
            ended = True
            self._discard(running)
            raise _ChildLostError(untouched=warm and not answered) from None
        except pickle.UnpicklingError as error:
            raise JobFailed(
                f"The engine sent what a viewer must not load ({error}); please report this."
            ) from error
        finally:
            if not ended:
                # The reader went away in the middle: nobody wants the rest.
                self._wind_down(running, job)

    def _wind_down(self, running: _Child, job: _Job) -> list[Any]:
        """Ask the child to stop, kill it when it does not; returns its last reports."""
        late: list[Any] = []
        deadline = time.monotonic() + self._grace_seconds
        try:
            running.send(StopJob(job.number))
            while (left := deadline - time.monotonic()) > 0:
                if not running.pipe.poll(left):
                    break
                message = receive(running.pipe)
                if isinstance(message, JobReport) and message.job == job.number:
                    late.append(message.report)
                if isinstance(message, JobEnded | JobDone | JobError) and message.job == job.number:
                    return late
        except (EOFError, OSError, pickle.UnpicklingError):
            pass
        running.kill()
        self._discard(running)
        return late

    def _running_child(self) -> _Child:
        with self._guard:
            if self._child is not None and not self._child.process.is_alive():
                self._discard(self._child)
            if self._child is None:
                self._child = _Child(*start_child(child.main, self._idle_seconds))
            return self._child

    def _discard(self, gone: _Child) -> None:
        with self._guard:
            gone.kill()
            gone.pipe.close()
            if self._child is gone:
                self._child = None

    def _hung(self, job: _Job) -> JobFailed:
        return JobFailed(
            f"The engine gave no sign of life for {self._hang_seconds:g} seconds and was ended; your paint is safe: "
            f"press {job.request.title} again."
        )

    def _how_it_ended(self, job: _Job) -> NapariSaltError:
        if job.stop.is_set():
            return JobStopped("Stopped.")
        return JobFailed(
            "The engine stopped unexpectedly (out of memory?); your paint is safe: press "
            f"{job.request.title} again."
        )


def _plane_unless_stopped(job: _Job, need: NeedPlane) -> HerePlane | None:
    """The plane or part, read beside this thread; None when a stop comes first, however long the read takes."""
    answer: queue.SimpleQueue[HerePlane] = queue.SimpleQueue()
    read = threading.Thread(
        target=lambda: answer.put(_plane(job, need)), name="napari-salt planes", daemon=True
    )
    read.start()
    while not job.stop.is_set():
        try:
            return answer.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
    return None


def _plane(job: _Job, need: NeedPlane) -> HerePlane:
    """The plane or part that the child asked for, or the sentence that it will fail with."""
    if job.planes is None:
        return HerePlane(job.number, None, "This job was started without an image.")
    try:
        if need.part is None:
            return HerePlane(job.number, as_plane(job.planes.plane(need.index)))
        return HerePlane(job.number, as_plane(job.planes.region(need.index, *need.part)))
    except NapariSaltError as error:
        return HerePlane(job.number, None, str(error))
    except Exception as error:  # noqa: BLE001
        # A lazy array can raise anything, and must cost this job only.
        text = " ".join(str(error).split())
        return HerePlane(
            job.number,
            None,
            f"Slice {need.index} of the image could not be read ({type(error).__name__}: {text}); "
            "check that its file is still there.",
        )


def _result(message: ToParent) -> Any:
    """What the ending says: the result, or the error to raise."""
    if isinstance(message, JobDone):
        return message.result
    if isinstance(message, JobEnded):
        raise JobStopped("Stopped.")
    assert isinstance(message, JobError)
    error = JobFailed(message.sentence)
    if message.details:
        error.add_note(f"In the engine:\n{message.details}")
    raise error
