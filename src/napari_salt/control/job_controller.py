"""One job at a time, seen from the dock: what runs, how far it is, and who is told. No Qt.

Whatever still comes from a job that nobody waits for any more is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_salt import wording
from napari_salt.engine.requests import AdapterSaved, AdaptRequest, SegmentRequest, WarmUpRequest
from napari_salt.errors import NapariSaltError
from napari_salt.records import SlicePrediction, StepReport
from napari_salt.views import CurveState, ProgressState

if TYPE_CHECKING:
    from napari_salt.engine.requests import JobRunner, Report, Request, Result
    from napari_salt.records import Planes

JobKind = Literal["warm up", "look ahead", "adapt", "score", "extend", "segment", "compare"]

PAUSE = 0.5
"""Seconds between two showings of how far a job is, unless it has come to another phase: reports come faster than
anybody reads, and each one has the whole window drawn anew."""


@dataclass
class Job:
    """A running job: its request, what it has said so far, and whom to tell."""

    kind: JobKind
    request: Request
    planes: Planes
    on_report: Callable[[Report], None]
    on_done: Callable[[Result], None]
    on_failed: Callable[[str], None]
    on_stopped: Callable[[], None]
    doing: str = ""
    """What the job does, in words; empty where its reports say it."""
    number: int = 0
    started: float = field(default_factory=time.monotonic)
    step: StepReport | None = None
    predicted: int = 0
    saved: AdapterSaved | None = None
    stopping: bool = False
    abandoned: bool = False
    gave_way: bool = False
    """Whether it was stopped for another job."""
    note: str = ""
    """What a segmentation does otherwise than usual, in words."""
    problem: str = ""
    """Why what it reports cannot be taken, which ends it; empty while all is well."""

    @property
    def quiet(self) -> bool:
        """Whether nobody waits for this job: it warms up or looks ahead, or its image is gone."""
        return self.kind in ("warm up", "look ahead") or self.abandoned

    @property
    def gives_way(self) -> bool:
        """Whether any other job that somebody waits for comes first."""
        return self.kind in ("score", "extend")

    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.started


class JobController:
    """Starts and stops jobs on a runner, follows their reports, keeps the curve of the last fit."""

    def __init__(self, runner: JobRunner, changed: Callable[[], None]) -> None:
        self._runner = runner
        self._changed = changed
        self._job: Job | None = None
        self._waiting: Job | None = None
        self._shown_at = -PAUSE
        self._unshown = False
        """Whether a report has come since the last showing."""
        self.curve = CurveState()

    @property
    def job(self) -> Job | None:
        """The job that the user knows of; warming up and looking ahead are none."""
        job = self._waiting or self._job
        return None if job is None or job.quiet else job

    @property
    def busy(self) -> bool:
        """Whether a job that the user knows of runs or waits."""
        return self.job is not None

    @property
    def occupied(self) -> bool:
        """Whether another job would have to wait for one that the user knows of, and that does not give way."""
        return self.job is not None and not self.job.gives_way

    @property
    def running(self) -> bool:
        """Whether any job runs, also one that nobody waits for."""
        return self._job is not None

    def start(self, job: Job) -> None:
        """Start a job; it waits while the engine warms up, looks ahead, or ends an abandoned job.

        A job that gives way is stopped for it.
        """
        if self._job is not None:
            self._waiting = self._waiting if job.quiet else job
            if self._job.gives_way and not job.quiet:
                self._job.stopping = self._job.gave_way = True
                self._runner.stop()
        else:
            self._submit(job)
        self._changed()

    def stop(self) -> None:
        """Ask the running job to stop; a waiting one is dropped at once."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.on_stopped()
        elif self._job is not None and not self._job.quiet:
            self._job.stopping = True
            self._runner.stop()
        self._changed()

    def abandon(self) -> None:
        """Stop whatever runs and want nothing from it any more; one that gives way hears that it did."""
        self._waiting = None
        if self._job is not None and not self._job.quiet:
            self._job.stopping = self._job.gave_way = True
            self._job.abandoned = not self._job.gives_way
            self._runner.stop()
        self.curve = CurveState()
        self._changed()

    def close(self) -> None:
        """Stop whatever runs and end the engine."""
        self._waiting = self._job = None
        self._runner.close()

    def tick(self) -> None:
        """Show a report that has waited; called once a second."""
        if self._unshown:
            self._show_reports()

    def progress(self) -> ProgressState:
        """Progress of the job that the user knows of."""
        job = self.job
        if job is None:
            return ProgressState()
        if job.stopping:
            return ProgressState(True, "stopping…")
        if job is self._waiting:
            return ProgressState(True, "loading weights…" if self.warming else "starting…")
        if job.doing and job.step is not None and job.step.phase != "loading":
            return ProgressState(True, f"{job.doing}…")
        if isinstance(job.request, SegmentRequest) and job.predicted:
            return self._segmenting(job, len(job.request.slices))
        if job.step is None:
            return ProgressState(True, "starting…")
        step = job.step
        total = step.total if step.phase not in ("loading", "first fit") else 0
        return ProgressState(True, wording.report(step), step.step, total)

    @property
    def warming(self) -> bool:
        """Whether weights are being loaded ahead of time, which is no job of the user's."""
        return self._job is not None and self._job.kind == "warm up"

    @staticmethod
    def _segmenting(job: Job, total: int) -> ProgressState:
        left = job.seconds() / job.predicted * (total - job.predicted)
        text = wording.progress("segmenting", job.predicted, total, left)
        text = wording.noted(text, job.note)
        return ProgressState(True, text, job.predicted, total)

    def _submit(self, job: Job) -> None:
        self._job = job
        job.started = time.monotonic()
        if isinstance(job.request, AdaptRequest):
            self.curve = CurveState()
        try:
            job.number = self._runner.submit(
                job.request,
                job.planes,
                on_report=lambda report: self._on_report(job, report),
                on_done=lambda result: self._on_end(job, lambda: job.on_done(result)),
                on_failed=lambda sentence: self._on_end(job, lambda: job.on_failed(sentence)),
                on_stopped=lambda: self._on_end(job, job.on_stopped),
            )
        except (NapariSaltError, OSError) as error:  # no process could be started, for one
            sentence = f"The job could not be started: {error}"
            self._on_end(job, lambda: job.on_failed(sentence))

    def _on_report(self, job: Job, report: Report) -> None:
        if job is not self._job or job.abandoned:
            return
        another = False
        if isinstance(report, StepReport):
            another = job.step is None or job.step.phase != report.phase
            job.step = report
            if report.phase == "segmenting" and report.message:
                job.note = report.message
            self._follow(report)
        elif isinstance(report, AdapterSaved):
            job.saved = report
        elif isinstance(report, SlicePrediction):
            job.predicted += 1
        if not job.problem:
            try:
                job.on_report(report)
            except NapariSaltError as error:  # the disk is full, for one
                job.problem, job.stopping = str(error), True
                another = True
                self._runner.stop()
        self._unshown = True
        if another or time.monotonic() >= self._shown_at + PAUSE:
            self._show_reports()

    def _show_reports(self) -> None:
        self._unshown, self._shown_at = False, time.monotonic()
        self._changed()

    def _follow(self, step: StepReport) -> None:
        """Extend the curve: losses of the joint fit, held-out Dice wherever it is told."""
        losses, dice, live = self.curve.losses, self.curve.dice, self.curve.live
        if step.phase == "adapting" and step.loss is not None:
            losses = (*losses, (step.step, step.loss))
        if step.held_out_dice is not None and step.phase == "adapting":
            dice = (*dice, (step.step, step.held_out_dice))
        total = step.total if step.phase == "adapting" else self.curve.total
        self.curve = CurveState(losses, dice, total, step.held_out_by_label or live)

    def _on_end(self, job: Job, tell: Callable[[], None]) -> None:
        if job is not self._job:
            return
        self._job = None
        waiting, self._waiting = self._waiting, None
        try:
            if job.problem and not job.abandoned:
                job.on_failed(job.problem)
            elif not job.abandoned:
                tell()
        except NapariSaltError as error:
            job.on_failed(str(error))
        finally:  # whatever became of its end, the job is over, and the dock says so
            if waiting is not None and self._job is None:
                self._submit(waiting)
            self._changed()


def warm_up(request: WarmUpRequest, planes: Planes) -> Job:
    """A job that loads libraries and weights; its failure shows up at Adapt."""
    return Job(
        "warm up",
        request,
        planes,
        on_report=lambda report: None,
        on_done=lambda result: None,
        on_failed=lambda sentence: None,
        on_stopped=lambda: None,
    )
