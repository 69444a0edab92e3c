"""The session between the dock, the viewer and the engine. No Qt: views are abstract.

Wishes of the view and signals of the viewer come in; sessions change; `refresh` works out frozen
states and hands the view only those that differ from what it shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control import telling
from napari_salt.control.arrivals_controller import ArrivalsController
from napari_salt.control.assist_controller import AssistController
from napari_salt.control.compare_controller import CompareController
from napari_salt.control.desk import Desk
from napari_salt.control.export_controller import ExportController
from napari_salt.control.files_controller import FilesController
from napari_salt.control.fill_controller import FillController
from napari_salt.control.image_controller import ImageController
from napari_salt.control.intensity_controller import IntensityController
from napari_salt.control.job_controller import JobController
from napari_salt.control.key_controller import KeyController
from napari_salt.control.level_controller import LevelController
from napari_salt.control.look_ahead_controller import LookAheadController
from napari_salt.control.loop_controller import LoopController
from napari_salt.control.paint_controller import PaintController
from napari_salt.control.saving_controller import SavingController
from napari_salt.control.score_controller import ScoreController
from napari_salt.control.shown import Shown
from napari_salt.control.slices_controller import SlicesController
from napari_salt.control.slots import Slots
from napari_salt.control.wiring import wired
from napari_salt.io.session_store import SessionStore
from napari_salt.session.facts import JobKind, JobState, Offers
from napari_salt.session.readiness import readiness
from napari_salt.views import ImageNote, ImageState, LevelEntry, SliceState

if TYPE_CHECKING:
    from napari_salt.engine.requests import JobRunner
    from napari_salt.records import FitSettings
    from napari_salt.session.readiness import Readiness
    from napari_salt.session.session import Session
    from napari_salt.viewer_link import ViewerLink
    from napari_salt.views import DockView


class Controller:
    """Everything the dock does, without the dock."""

    def __init__(
        self,
        view: DockView,
        link: ViewerLink,
        runner: JobRunner,
        store: SessionStore | None = None,
        assist_runner: Callable[[], JobRunner] | None = None,
    ) -> None:
        self.desk = Desk(view, link)
        self.jobs = JobController(runner, self.refresh)
        self.paint = PaintController(self.desk, self.jobs)
        self.exports = ExportController(self.desk, self.refresh)
        self.saving = SavingController(
            self.desk,
            store or SessionStore(),
            changed=self.refresh,
            bring_image=lambda state, folder: self.images.bring(state, folder),
        )
        self.levels = LevelController(self.desk, self.saving.changed_elsewhere)
        self.images = ImageController(
            self.desk,
            self.jobs,
            self.paint,
            self.levels,
            leave=self._leave_session,
            opened=self._session_opened,
        )
        self.scores = ScoreController(self.desk, self.jobs)
        self.loop = LoopController(self.desk, self.jobs, self.saving, self.scores)
        self.files = FilesController(self.desk, self.jobs)
        self.fill = FillController(self.desk)
        self.keys = KeyController(self.desk, lambda: self._readiness(link.current_slice()))
        self.arrivals = ArrivalsController(
            self.desk,
            self.jobs,
            self.files,
            self.images.choose,
            self._leave_session,
            self._ready,
            self.saving,
        )
        self.assist = AssistController(
            self.desk, self.paint, assist_runner, self.refresh, lambda: self.jobs.busy
        )
        self.slices = SlicesController(self.desk)
        self.ahead = LookAheadController(self.desk, self.jobs, lambda: self.exports.busy)
        self.compare = CompareController(self.desk, self.jobs)
        self.intensities = IntensityController(self.desk, self.refresh)
        self._view, self._link = view, link
        self._shown = Shown(view)
        self._slots = Slots(self.desk.fail, self.refresh)
        self._slots.hear(wired(self, self._shown))
        self._closed = False
        self.keys.start()
        self.images_changed()

    # ---- sessions

    def images_changed(self) -> None:
        """The viewer's images were added to, removed or renamed; start with one if none is open."""
        self.images.images_changed()
        self.compare.layers_changed()
        self.refresh()

    def pixels_replaced(self) -> None:
        """The image shows another array; where that is another stack, it is opened anew."""
        place = self.desk.place
        self.arrivals.pixels_replaced()
        self.images.open_again(place)

    def _session_opened(self, session: Session) -> None:
        self._hear_session(session)
        self.desk.went_on()
        self._view.set_settings(session.settings)
        self.paint.session_opened()
        self.saving.opened(session)
        self.levels.opened()
        self.refresh()

    def _leave_session(self) -> None:
        self.compare.end()
        self.levels.left()
        if self.desk.session is not None:
            self._forget(self.desk.session)
        self.assist.session_left()
        self.saving.left()
        self.loop.forget_suggestion()
        self.jobs.abandon()
        self.desk.withdraw()
        self.desk.session = self.desk.place = self.desk.selected = None

    def stop(self) -> None:
        """Stop what the progress line shows."""
        if self.exports.busy:
            self.exports.stop()
        else:
            self.jobs.stop()

    # ---- settings and display

    def set_settings(self, settings: FitSettings) -> None:
        """Use other settings for the next fit."""
        if self.desk.session is not None:
            self.desk.session.settings = settings

    def set_then_segment(self, then_segment: bool) -> None:
        """Whether the whole stack is segmented after Adapt."""
        self.desk.then_segment = then_segment

    def set_looking_ahead(self, looking_ahead: bool) -> None:
        """Whether slices are looked at in pauses, before anybody asks."""
        self.desk.looking_ahead = looking_ahead

    def set_full_resolution(self, full_resolution: bool) -> None:
        """Whether masks of a coarser level are exported on the grid of the finest."""
        self.desk.full_resolution = full_resolution

    def take_offer(self) -> None:
        """Follow the way out that the status line offers."""
        if self.desk.offer is not None:
            self.desk.offer()

    # ---- showing

    def refresh(self) -> None:
        """Show what has changed since the last time."""
        if self._closed:
            return
        self.assist.follow()
        desk = self.desk
        progress = self.exports.progress() if self.exports.busy else self.jobs.progress()
        index, show = self._link.current_slice(), self._shown.show
        show("keys", self._link.keys())
        show("image", self._image_state(index))
        show("labels", desk.rows())
        show("selected_label", desk.selected)
        show("slice", self._slice_state(index))
        show("progress", progress)
        show("curve", telling.curve(desk.session, self.jobs))
        show("rounds", self.loop.rounds())
        show("score", telling.score(desk.session))
        show("display", self._link.display())
        show("suggestion", self.loop.suggestion)
        show("assist", self.assist.state())
        show("coverage", self.slices.coverage(index, self.loop.suggestion.slices))
        show("comparison", self.compare.state)
        show("intensity", self.intensities.state())
        show("readiness", self._readiness(index))
        ahead, unsaved = self.ahead.text(), self.saving.is_refused
        status = telling.status(desk.status, self.jobs, progress, ahead, unsaved=unsaved)
        show("status", status)

    def tick(self) -> None:
        """Once a second: keep on disk what has changed, show what was measured, and how far jobs and exports are."""
        self.saving.tick()
        self.jobs.tick()
        self.intensities.tick()
        self.exports.tick()
        self.scores.tick()
        self.ahead.tick()
        self.files.tick(resting=self.ahead.resting())

    def may_close(self) -> bool:
        """Whether the window may go: all work is on the disk, or the user gives up what is not."""
        return self._closed or self.saving.may_close()

    def close(self) -> None:
        """Stop the engine and let go of view and viewer."""
        if self._closed:
            return
        self._closed = True
        self.levels.left()
        if self.desk.session is not None:
            self._forget(self.desk.session)
        self._slots.close()
        self.assist.close()
        self.exports.close()
        self.saving.close()
        self.intensities.close()
        self.jobs.close()
        self._link.close()

    def _image_state(self, index: int | None) -> ImageState:
        place, session = self.desk.place, self.desk.session
        entries = self._link.images.entries()
        if place is None or session is None:
            return ImageState(entries)
        axes = self._link.images.axes(place.key)
        position = wording.position(self._link.images.position(place))
        facts = " · ".join(x for x in (wording.facts(session.stack.info), position) if x)
        note = self.arrivals.note(index)
        if not note.offer:
            hint = self.intensities.hint()
            note = ImageNote(" · ".join(text for text in (note.text, hint) if text))
        shapes = self._link.images.levels(place)
        levels = tuple(LevelEntry(at, wording.level(shapes, at)) for at in range(len(shapes)))
        return ImageState(
            entries, place.key, facts, axes, place.geometry.slice_axis, note, levels, place.level
        )

    def _slice_state(self, index: int | None) -> SliceState:
        session = self.desk.session
        if session is None:
            return SliceState()
        complete = index is not None and session.annotations.is_complete(index)
        count = session.stack.info.shape[0]
        return SliceState(index, count, complete, self._link.shows_volume())

    def _ready(self) -> Readiness:
        return self._readiness(self._link.current_slice())

    def _readiness(self, index: int | None) -> Readiness:
        state, desk = self._job_state(), self.desk
        offers = Offers(self.arrivals.work_here(), self.saving.offers_work)
        suggested = self.loop.suggestion.index
        return readiness(desk.session, state, index, desk.selected, suggested, offers)

    def _job_state(self) -> JobState:
        job = self.jobs.job
        if self.exports.busy:
            return JobState("export", self.exports.stopping)
        if job is None:
            return JobState()
        kind: JobKind = "segment" if job.kind == "warm up" or job.kind == "look ahead" else job.kind
        return JobState(kind, job.stopping)

    # ---- wiring

    def _hear_session(self, session: Session) -> None:
        self.slices.hear(session)
        session.labels.changed.connect(self._labels_changed)
        session.resumed.connect(self.paint.work_is_back)
        session.labels.removed.connect(self.compare.end)  # it would go on showing that label
        session.labels.removed.connect(self.loop.suggest_anew)
        session.labels.renamed.connect(self.loop.suggest_anew)
        session.annotations.changed.connect(self._annotations_changed)
        session.annotations.completed.connect(self._annotations_changed)

    def _forget(self, session: Session) -> None:
        self.slices.forget()
        session.labels.changed.disconnect(self._labels_changed)
        session.resumed.disconnect(self.paint.work_is_back)
        session.labels.removed.disconnect(self.compare.end)
        session.labels.removed.disconnect(self.loop.suggest_anew)
        session.labels.renamed.disconnect(self.loop.suggest_anew)
        session.annotations.changed.disconnect(self._annotations_changed)
        session.annotations.completed.disconnect(self._annotations_changed)

    def _labels_changed(self) -> None:
        self.desk.went_on()
        self.paint.labels_changed()
        self.refresh()

    def _annotations_changed(self, index: int) -> None:
        self.desk.went_on()
        self.ahead.stirred()
        if not self._slots.acting:  # whoever acts shows it all when done, once
            self.refresh()
