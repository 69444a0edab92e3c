"""The loop: adapt, segment, suggest the next slice, restore a round. No Qt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.job_controller import Job, JobController
from napari_salt.control.present_labels import only_present
from napari_salt.control.rounds_folder import ADAPTER_SUFFIX, rounds_folder
from napari_salt.engine.requests import AdaptRequest, AdaptResult, SegmentRequest, SegmentResult
from napari_salt.errors import OutputError
from napari_salt.model.adapter_info import read_info
from napari_salt.records import SlicePrediction
from napari_salt.scale.requests import ClusterSegmentRequest
from napari_salt.scale.settings import ClusterSettings
from napari_salt.views import RoundRow, SuggestionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_salt.control.desk import Desk
    from napari_salt.control.saving_controller import SavingController
    from napari_salt.control.score_controller import ScoreController
    from napari_salt.engine.requests import Report, Result
    from napari_salt.session.session import Session


LOOK_AHEAD = 3
"""Slices suggested at once: the next one, and where it would go on from there."""


class LoopController:
    """Turns the session into requests, and reports into predictions, rounds and suggestions."""

    def __init__(
        self,
        desk: Desk,
        jobs: JobController,
        saving: SavingController,
        scores: ScoreController,
    ) -> None:
        self._desk = desk
        self._saving = saving
        self._scores = scores
        self._jobs = jobs
        self.suggestion = SuggestionState()

    # ---- adapt

    def adapt(self) -> None:
        """Fit a new adapter to a frozen copy of the paint; painting can go on meanwhile.

        A running segmentation is given up: its masks would be out of date.
        """
        session = self._desk.session
        if session is None:
            return
        settings = session.settings
        number = session.rounds.next_number
        request = AdaptRequest(
            annotated=session.snapshot(),
            labels=tuple(session.labels),
            # what other stacks need is fitted when the adapter is saved: nobody waits for that here
            settings=replace(settings, other_stacks=False),
            out=rounds_folder() / f"{id(session):x}-{number}{ADAPTER_SUFFIX}",
            init=self._warm_start(session),
            preview=self._desk.link.current_slice(),
            score_later=True,
        )
        self._jobs.abandon()
        self._desk.say("adapting")
        job = self._job("adapt", request, session, self._adapted(session, number, request))
        job.on_stopped = lambda: self._adapt_stopped(session, number, job)
        job.on_failed = lambda sentence: self._adapt_failed(session, job, sentence)
        self._start(job)

    def _start(self, job: Job) -> None:
        """Start a job; what its first mask needs comes while the engine begins, and before somebody paints."""
        self._jobs.start(job)
        if self._jobs.busy:
            self._desk.link.prepare_prediction()

    @staticmethod
    def _warm_start(session: Session) -> Path | None:
        """The adapter in use, where the settings still mean the same kind of network."""
        if session.adapter_path is None:
            return None
        info, settings = read_info(Path(session.adapter_path)), session.settings
        same = (info.kind, info.backbone, info.intensity_choice) == (
            settings.kind,
            settings.backbone,
            settings.intensity,
        )
        return Path(session.adapter_path) if same else None

    def _adapted(
        self, session: Session, number: int, request: AdaptRequest
    ) -> Callable[[Result], None]:
        def done(result: Result) -> None:
            if not isinstance(result, AdaptResult):
                return
            record = result.record
            round_ = session.add_round(record, result.adapter_path, result.size_bytes)
            if result.score_waits:
                self._scores.later(session, round_, request)
            else:
                self._scores.forget()
            session.clear_skipped()
            self._say_done(
                f"round {number} done in {wording.duration(record.seconds)}", result.left_out
            )
            if self._desk.then_segment:
                self.segment_all()
            else:
                self._desk.link.drop_empty_prediction()

        return done

    def _say_done(self, text: str, left_out: tuple[int, ...]) -> None:
        """Say that something is done, and what could not be read of the image meanwhile."""
        told = wording.noted(text, wording.left_out(left_out))
        self._desk.say(told, "warning" if left_out else "good")

    def _adapt_stopped(self, session: Session, number: int, job: Job) -> None:
        self._desk.link.drop_empty_prediction()
        kept = self._keep_first_fit(session, job)
        self._desk.say(f"round {number} stopped; {kept}" if kept else f"round {number} stopped")

    def _adapt_failed(self, session: Session, job: Job, sentence: str) -> None:
        self._desk.link.drop_empty_prediction()
        kept = self._keep_first_fit(session, job)
        self._desk.fail(f"{sentence} {kept.capitalize()}." if kept else sentence)

    @staticmethod
    def _keep_first_fit(session: Session, job: Job) -> str:
        """Use what a job has saved before it ended early, unless there is an adapter already."""
        if session.adapter_path is not None:
            return "the adapter of the round before is still in use"
        if job.saved is None:
            return ""
        session.use_adapter(job.saved.path)
        return "its first fit is kept"

    def restore(self, number: int) -> None:
        """Make an earlier round's adapter the one to segment with and to go on from."""
        session = self._desk.session
        if session is None:
            return
        session.restore_round(number)
        self._desk.say(f"round {number} restored; segment again to see its masks", "good")
        if self._desk.then_segment and not self._jobs.occupied:
            self.segment_all()

    # ---- segment

    def segment_slice(self) -> None:
        """Predict the slice on screen."""
        index = self._desk.link.current_slice()
        if index is not None:
            self._segment((index,))

    def segment_all(self) -> None:
        """Predict every slice: the one on screen first, then its neighbours outwards.

        Slices that this adapter has predicted already, before a stop or a crash, are not predicted again.
        """
        session = self._desk.session
        if session is not None:
            count = session.stack.info.shape[0]
            start = self._desk.link.current_slice()
            order = outwards(count, count // 2 if start is None else start)
            fresh = frozenset(session.fresh_slices())
            self._segment(tuple(index for index in order if index not in fresh) or order)

    def _segment(self, slices: tuple[int, ...]) -> None:
        session = self._desk.session
        if session is None or session.adapter_path is None:
            return
        request = self._segment_request(session, Path(session.adapter_path), slices)
        job = self._job("segment", request, session, lambda result: self._segmented(result, job))
        job.on_stopped = lambda: self._segment_stopped(job)
        self._start(job)

    def _segment_request(
        self, session: Session, adapter: Path, slices: tuple[int, ...]
    ) -> SegmentRequest:
        """On this computer, or on the cluster of the settings where it is worth the way."""
        settings = session.settings
        if not settings.cluster or len(slices) == 1:
            several = len(slices) > 1
            return SegmentRequest(adapter, slices, device=settings.device, leave_out=several)
        cluster = ClusterSettings(settings.cluster)
        cluster.check()
        return ClusterSegmentRequest(
            adapter,
            slices,
            device=settings.device,
            store=self._saving.exchange_folder(),
            image=session.stack.info.origin.path,
            level=session.stack.info.origin.level,
            cluster=cluster,
            show=True,
        )

    def _segmented(self, result: Result, job: Job) -> None:
        self._desk.link.draw_predictions()
        self.suggest()
        assert isinstance(job.request, SegmentRequest)
        left_out = result.left_out if isinstance(result, SegmentResult) else ()
        done = len(set(job.request.slices).difference(left_out))
        text = f"{wording.count(done, 'slice')} segmented"
        self._say_done(wording.noted(text, job.note), left_out)

    def _segment_stopped(self, job: Job) -> None:
        self._desk.link.drop_empty_prediction()
        self._desk.link.draw_predictions()
        self.suggest()
        self._desk.say(f"stopped; {wording.count(job.predicted, 'slice')} segmented")

    def _job(
        self,
        kind: str,
        request: AdaptRequest | SegmentRequest,
        session: Session,
        done: Callable[[Result], None],
    ) -> Job:
        return Job(
            "adapt" if kind == "adapt" else "segment",
            request,
            session.stack,
            on_report=lambda report: self._on_report(session, request, report),
            on_done=done,
            on_failed=self._failed,
            on_stopped=lambda: None,
        )

    def _failed(self, sentence: str) -> None:
        self._desk.link.drop_empty_prediction()
        self._desk.fail(sentence)

    def _on_report(
        self, session: Session, request: AdaptRequest | SegmentRequest, report: Report
    ) -> None:
        try:
            self._take(session, request, report)
        except OutputError as error:
            if isinstance(request, SegmentRequest):
                raise OutputError(f"{error} Your paint and the masks so far are kept.") from error
            self._desk.fail(f"The first look cannot be shown: {error}")  # no reason to stop fitting

    def _take(
        self, session: Session, request: AdaptRequest | SegmentRequest, report: Report
    ) -> None:
        """Show and keep a predicted slice; raises OutputError when the disk is full."""
        if not isinstance(report, SlicePrediction):
            return
        prediction = only_present(report, session.labels.ids)
        self._desk.link.write_prediction(prediction)
        session.add_prediction(prediction.summary, provisional=prediction.provisional)
        if isinstance(request, SegmentRequest):
            self._saving.predicted(session, prediction, request.adapter)

    # ---- suggest

    def next_slice(self) -> None:
        """Go to the slice where a correction helps most."""
        self.suggest()
        if self.suggestion.index is not None:
            self._desk.link.go_to(self.suggestion.index)

    def skip_slice(self) -> None:
        """Keep the slice on screen out of this round's suggestions, and go to another."""
        index = self._desk.link.current_slice()
        if self._desk.session is not None and index is not None:
            self._desk.session.skip(index)
            self.next_slice()

    def suggest(self) -> None:
        """Look for the slice to correct next, or say why there is none."""
        session = self._desk.session
        found = [] if session is None else session.suggest(LOOK_AHEAD)
        if found:
            later = tuple(one.index for one in found[1:])
            self.suggestion = SuggestionState(found[0].index, found[0].reason, later)
        else:
            none_left = "every slice is painted or skipped, or shows nothing"
            self.suggestion = SuggestionState(None, none_left)

    def suggest_anew(self) -> None:
        """A label was renamed or deleted: the reason of what is suggested may name it, or be it."""
        session = self._desk.session
        if session is None or self.suggestion.index is None:
            return
        if len(session.labels):
            self.suggest()
        else:
            self.forget_suggestion()

    def forget_suggestion(self) -> None:
        """What was suggested means nothing any more, in another stack for one."""
        self.suggestion = SuggestionState()

    def rounds(self) -> tuple[RoundRow, ...]:
        """The rounds list, ready to show."""
        session = self._desk.session
        if session is None:
            return ()
        active = session.rounds.active
        return tuple(
            RoundRow(
                round_.number,
                len(round_.record.slices),
                wording.dice_change(round_.record),
                wording.duration(round_.record.seconds),
                wording.size(round_.size_bytes),
                wording.round_detail(round_),
                active is not None and active.number == round_.number,
            )
            for round_ in session.rounds
        )


def outwards(count: int, start: int) -> tuple[int, ...]:
    """All of ``range(count)``: ``start`` first, then its neighbours, near before far."""
    return tuple(sorted(range(count), key=lambda index: (abs(index - start), index < start)))
