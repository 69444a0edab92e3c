"""What the dock tells of the work: the status line, the score, the curves. No Qt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.curves import label_curves
from napari_salt.control.desk import IDLE
from napari_salt.session.plateau import gain_hint
from napari_salt.views import CurveState, StatusState

if TYPE_CHECKING:
    from napari_salt.control.job_controller import JobController
    from napari_salt.session.session import Session
    from napari_salt.views import NoticeLevel, ProgressState


UNSAVED = "Your work is not being saved"
"""Stays on the status line as long as it is so."""


def status(
    said: StatusState, jobs: JobController, progress: ProgressState, ahead: str, *, unsaved: bool
) -> StatusState:
    """What is going on now; a way out that is offered stays beside it until it is taken.

    ``ahead`` says what is done that nobody asked for, where there is nothing else to say. That work is ``unsaved`` is
    told beside whatever else there is.
    """
    shown = _going_on(said, jobs, progress, ahead)
    if not unsaved or "not being saved" in shown.text:
        return shown
    level: NoticeLevel = "error" if shown.level == "error" else "warning"
    text = f"{UNSAVED}." if shown == IDLE else f"{shown.text}\n{UNSAVED}."
    return replace(shown, text=text, level=level)


def _going_on(
    said: StatusState, jobs: JobController, progress: ProgressState, ahead: str
) -> StatusState:
    if progress.busy:
        return (
            replace(said, text=f"{progress.text}\n{said.text}")
            if said.offer
            else StatusState(progress.text)
        )
    if said != IDLE:
        return said
    return StatusState("loading weights…" if jobs.warming else ahead or IDLE.text)


def score(session: Session | None) -> str:
    """Held-out score of the active round, and whether more slices still help."""
    if session is None:
        return ""
    words = wording.score(session.rounds.active, list(session.rounds))
    return "\n".join(text for text in (words, gain_hint(session.rounds)) if text)


def curve(session: Session | None, jobs: JobController) -> CurveState:
    """The running or last fit, and the Dice of each label over the rounds."""
    found = jobs.curve
    if session is None:
        return found
    live = found.live if jobs.job is not None and jobs.job.kind == "adapt" else ()
    return replace(found, labels=label_curves(session.labels, list(session.rounds), live))
