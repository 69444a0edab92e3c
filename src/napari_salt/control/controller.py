"""The session between the dock, the viewer and the engine. No Qt: views are abstract.

Wishes of the view and signals of the viewer come in; sessions change; `refresh` works out frozen
states and hands the view only those that differ from what it shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
from napari_salt.control.slices_controller import SlicesController
from napari_salt.errors import NapariSaltError
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
        self._shown: dict[str, object] = {}
        """What the view shows; entries are taken out when a widget may have run ahead of it."""
        self._slots: list[tuple[Any, Callable[..., None]]] = []
        self._closed = False
        self._acting = 0
        self._connect()
        self.keys.start()
        self.images_changed()

    # ---- sessions

    def images_changed(self) -> None:
        """The viewer's images were added to, removed or renamed; start with one if none is open."""
        self.images.images_changed()
        self.compare.layers_changed()
        self.refresh()

    def _pixels_replaced(self) -> None:
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

    def _stop(self) -> None:
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
        index = self._link.current_slice()
        self._show("keys", self._link.keys())
        self._show("image", self._image_state(index))
        self._show("labels", desk.rows())
        self._show("selected_label", desk.selected)
        self._show("slice", self._slice_state(index))
        self._show("progress", progress)
        self._show("curve", telling.curve(desk.session, self.jobs))
        self._show("rounds", self.loop.rounds())
        self._show("score", telling.score(desk.session))
        self._show("display", self._link.display())
        self._show("suggestion", self.loop.suggestion)
        self._show("assist", self.assist.state())
        self._show("coverage", self.slices.coverage(index, self.loop.suggestion.slices))
        self._show("comparison", self.compare.state)
        self._show("intensity", self.intensities.state())
        self._show("readiness", self._readiness(index))
        ahead, unsaved = self.ahead.text(), self.saving.is_refused
        status = telling.status(desk.status, self.jobs, progress, ahead, unsaved=unsaved)
        self._show("status", status)

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
        for signal, slot in self._slots:
            signal.disconnect(slot)
        self._slots.clear()
        self.assist.close()
        self.exports.close()
        self.saving.close()
        self.intensities.close()
        self.jobs.close()
        self._link.close()

    def _show(self, name: str, state: object) -> None:
        if name not in self._shown or self._shown[name] != state:
            self._shown[name] = state
            getattr(self._view, f"set_{name}")(state)

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

    def _connect(self) -> None:
        wishes, viewer = self._view.wishes, self._link.signals
        images, paint, loop = self.images, self.paint, self.loop
        files, arrivals = self.files, self.arrivals
        for signal, act in (
            (wishes.image_chosen, self._then_show("image", images.choose)),
            (wishes.axis_chosen, self._then_show("image", images.choose_axis)),
            (wishes.level_chosen, self._then_show("image", images.choose_level)),
            (wishes.full_resolution_set, self.set_full_resolution),
            (wishes.image_offer_taken, arrivals.take_offer),
            (wishes.label_added, self._in_table(paint.add_label)),
            (wishes.label_renamed, self._in_table(paint.rename_label)),
            (wishes.label_recoloured, self._in_table(paint.recolour_label)),
            (wishes.label_removed, self._in_table(paint.remove_label)),
            (wishes.label_selected, paint.select_label),
            (wishes.complete_set, self._then_show("slice", paint.set_complete)),
            (wishes.accept, paint.accept),
            (wishes.accept_label, self.fill.accept_label),
            (wishes.propagate, self.fill.propagate),
            (wishes.interpolate, self.fill.interpolate),
            (wishes.undo_accept, paint.undo_accept),
            (wishes.adapt, loop.adapt),
            (wishes.stop, self._stop),
            (wishes.then_segment_set, self.set_then_segment),
            (wishes.looking_ahead_set, self.set_looking_ahead),
            (wishes.restore_round, loop.restore),
            (wishes.segment_slice, loop.segment_slice),
            (wishes.segment_all, loop.segment_all),
            (wishes.prediction_shown, lambda shown: self._link.set_shown("prediction", shown)),
            (wishes.prediction_opacity, self._link.set_opacity),
            (wishes.uncertainty_shown, lambda shown: self._link.set_shown("uncertainty", shown)),
            (wishes.next_slice, loop.next_slice),
            (wishes.skip_slice, loop.skip_slice),
            (wishes.export_masks, self.exports.export_masks),
            (wishes.export_objects, self.exports.export_objects),
            (wishes.export_table, self.exports.export_table),
            (wishes.export_adapter, files.export_adapter),
            (wishes.load_adapter, files.load_adapter),
            (wishes.save_session, self.saving.save_as),
            (wishes.open_session, self.saving.open_session),
            (wishes.settings_changed, self.set_settings),
            (wishes.show_like_this, self.intensities.show_like_this),
            (wishes.offer_taken, self.take_offer),
            (wishes.go_to_slice, self.slices.go_to),
            (wishes.slices_wanted, self.slices.show_table),
            (wishes.export_slices, self.slices.export),
            (wishes.prediction_outlined, self._link.set_outline),
            (wishes.compare_rounds, self.compare.compare),
            (wishes.comparison_ended, self.compare.end),
            (viewer.images_changed, self.images_changed),
            (viewer.image_lost, images.lost),
            (viewer.image_changed, arrivals.image_changed),
            (viewer.pixels_replaced, self._pixels_replaced),
            (viewer.adapter_dropped, arrivals.adapter_dropped),
            (viewer.session_dropped, arrivals.session_dropped),
            (viewer.paint_lost, paint.layer_lost),
            (viewer.slice_changed, _only_refresh),
            (viewer.display_changed, self.refresh),
            (viewer.painted, paint.painted),
            (viewer.stroke_made, paint.stroke_made),
            (viewer.label_picked, paint.label_picked),
            (viewer.label_key_pressed, paint.label_key),
            (viewer.key_pressed, self.keys.pressed),
            (viewer.keys_changed, self.keys.changed),
            (viewer.undo_pressed, paint.undo),
            (viewer.redo_pressed, paint.redo),
        ):
            self._hear(signal, act)
        for signal, act in self.assist.slots():
            self._hear(signal, act)

    def _then_show(self, name: str, act: Callable[..., None]) -> Callable[..., None]:
        """``act``, after which a state is shown whether or not it has changed: the widget has run ahead of it."""

        def acted(*args: Any) -> None:
            try:
                act(*args)
            finally:
                self._shown.pop(name, None)

        return acted

    def _in_table(self, act: Callable[..., None]) -> Callable[..., None]:
        """``act`` on the label table; what that refuses is said until labels or paint change."""

        def acted(*args: Any) -> None:
            try:
                act(*args)
            except NapariSaltError as error:
                self.desk.refuse(str(error))

        return acted

    def _hear(self, signal: Any, act: Callable[..., None]) -> None:
        """Do ``act`` when a wish comes; an error that is ours becomes a sentence on screen."""

        def slot(*args: Any) -> None:
            self._acting += 1
            try:
                act(*args)
            except NapariSaltError as error:
                self.desk.fail(str(error))
            finally:
                self._acting -= 1
            self.refresh()

        signal.connect(slot, check_nargs=False)
        self._slots.append((signal, slot))

    def _hear_session(self, session: Session) -> None:
        self.slices.hear(session)
        session.labels.changed.connect(self._labels_changed)
        session.labels.removed.connect(self.compare.end)  # it would go on showing that label
        session.labels.removed.connect(self.loop.suggest_anew)
        session.labels.renamed.connect(self.loop.suggest_anew)
        session.annotations.changed.connect(self._annotations_changed)
        session.annotations.completed.connect(self._annotations_changed)

    def _forget(self, session: Session) -> None:
        self.slices.forget()
        session.labels.changed.disconnect(self._labels_changed)
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
        if not self._acting:  # whoever acts shows it all when done, once
            self.refresh()


def _only_refresh() -> None:
    """Nothing to do but to show what is now: every wish is followed by that anyway."""
