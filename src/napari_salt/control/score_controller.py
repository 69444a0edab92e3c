"""Scores of rounds whose masks did not wait for them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.job_controller import Job
from napari_salt.engine.requests import ScoreRequest, ScoreResult

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.control.job_controller import JobController
    from napari_salt.engine.requests import AdaptRequest, Result
    from napari_salt.records import Round
    from napari_salt.session.session import Session


@dataclass(frozen=True, eq=False)
class _Unscored:
    """The newest round, and what it was fitted to."""

    session: Session
    round: Round
    request: AdaptRequest

    @property
    def is_there(self) -> bool:
        """Whether the session has this round still: kept work may have taken the place of all rounds."""
        same = (one for one in self.session.rounds if one.number == self.round.number)
        return any(one.adapter_path == self.round.adapter_path for one in same)


class ScoreController:
    """Scores the newest round as soon as nothing else is asked of the engine; any other job comes first."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk, self._jobs = desk, jobs
        self._waiting: _Unscored | None = None

    def later(self, session: Session, round_: Round, request: AdaptRequest) -> None:
        """Score a round that ``request`` has made when there is time; an older one that still waits stays without."""
        self._waiting = _Unscored(session, round_, request)

    def forget(self) -> None:
        """The newest round has its score."""
        self._waiting = None

    def tick(self) -> None:
        """Once a second: score what waits, if nothing else runs."""
        unscored = self._waiting
        if unscored is None or self._jobs.busy:
            return
        self._waiting = None
        if unscored.session is self._desk.session and unscored.is_there:
            self._score(unscored)

    def _score(self, unscored: _Unscored) -> None:
        session, number = unscored.session, unscored.round.number
        request = ScoreRequest(
            Path(unscored.round.adapter_path),
            unscored.request.annotated,
            unscored.request.settings,
        )

        def done(result: Result) -> None:
            if isinstance(result, ScoreResult) and unscored.is_there:
                session.score_round(number, result.record)
                self._desk.say(
                    f"round {number}: held-out Dice {wording.dice(result.record)}", "good"
                )

        def stopped() -> None:
            if not job.gave_way:
                self._desk.say(f"stopped; round {number} stays without a score")
            elif self._waiting is None:
                self._waiting = unscored

        def failed(sentence: str) -> None:  # nobody has asked for it
            self._desk.say(f"{sentence} Round {number} stays without a score.", "warning")

        job = Job(
            "score",
            request,
            session.stack,
            on_report=lambda report: None,
            on_done=done,
            on_failed=failed,
            on_stopped=stopped,
        )
        self._jobs.start(job)
