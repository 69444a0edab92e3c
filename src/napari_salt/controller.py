"""The session between the dock, the viewer and the engine. No Qt: views are abstract.

Wishes of the view and signals of the viewer come in; sessions change; `refresh` works out frozen
states and hands the view only those that differ from what it shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_salt import wording
from napari_salt.desk import IDLE, Desk
from napari_salt.engine.requests import WarmUpRequest
from napari_salt.errors import InputError, NapariSaltError
from napari_salt.files_controller import FilesController
from napari_salt.job_controller import JobController, warm_up
from napari_salt.loop_controller import LoopController
from napari_salt.session.readiness import JobState, readiness
from napari_salt.session.session import Session
from napari_salt.undo_order import UndoOrder
from napari_salt.views import ImageState, SliceState, StatusState, pick_rows

if TYPE_CHECKING:
    from napari_salt.engine.requests import JobRunner
    from napari_salt.records import Color, FitSettings
    from napari_salt.session.readiness import Readiness
    from napari_salt.viewer_link import ViewerLink
    from napari_salt.views import DockView


class Controller:
    """Everything the dock does, without the dock."""

    def __init__(self, view: DockView, link: ViewerLink, runner: JobRunner) -> None:
        self.desk = Desk(view, link)
        self.jobs = JobController(runner, self.refresh)
        self.loop = LoopController(self.desk, self.jobs)
        self.files = FilesController(self.desk, self.jobs)
        self._view, self._link = view, link
        self._undo_order = UndoOrder()
        self._shown: dict[str, object] = {}
        """What the view shows; entries are taken out when a widget may have run ahead of it."""
        self._slots: list[tuple[Any, Callable[..., None]]] = []
        self._closed = False
        self._warmed = False
        self._connect()
        self.images_changed()

    # ---- images

    def images_changed(self) -> None:
        """The viewer's images were added to, removed or renamed; start with one if none is open."""
        if self.desk.session is None:
            key = self._link.images.active()
            if key is not None:
                self.open_image(key)
        self.refresh()

    def choose_image(self, key: str) -> None:
        """Open another image; a running job is stopped after asking."""
        same = self.desk.place is not None and key == self.desk.place.key
        if same or self._may_leave():
            self.desk.status = IDLE
            self.open_image(key)
        self._shown.pop("image")

    def choose_axis(self, axis: int) -> None:
        """Count slices along another axis of the image; a running job is stopped after asking."""
        place = self.desk.place
        if place is not None and self._may_leave():
            self.desk.status = IDLE
            self.open_image(place.key, axis)
        self._shown.pop("image")

    def open_image(self, key: str, axis: int | None = None) -> None:
        """Open an image as a stack, with the session it had, or a new one with the same labels."""
        place = self._link.images.place(key, axis)
        if place == self.desk.place:
            return
        before = self.desk.session
        session = self._link.session_of(place)
        if session is None:
            session = Session(self._link.images.open_stack(place))
            for label in before.labels if before is not None else ():
                session.labels.add(label.name, label.color, label_id=label.label_id)
            if before is not None:
                session.settings = before.settings
        self._leave_session()
        self.desk.session, self.desk.place = session, place
        self._link.attach(place, session)
        self._hear_session(session)
        self._view.set_settings(session.settings)
        self._labels_changed()
        self.loop.forget_suggestion()

    def image_lost(self, key: str, name: str) -> None:
        """The image in use was removed from the viewer."""
        place = self.desk.place
        if place is None or place.key != key:
            return
        busy = self.jobs.busy
        painted = len(self.desk.session.annotations.painted_slices()) if self.desk.session else 0
        self._leave_session()
        self._link.detach(hide=False)
        sentence = f"The image “{name}” was removed from the viewer"
        sentence += ", so its job was stopped." if busy else "."
        if painted:
            sentence += f" Its paint on {wording.count(painted, 'slice')} stays in its own layer."
        self.desk.say(sentence, "warning")
        self.refresh()

    def paint_lost(self) -> None:
        """The paint layer was removed by the user; the paint itself is still here."""
        session = self.desk.session
        if session is None:
            return
        painted = wording.count(len(session.annotations.painted_slices()), "slice")
        self.desk.say(
            f"The paint layer was removed; your paint on {painted} is kept.",
            "warning",
            "Bring the paint layer back",
            self._bring_paint_back,
        )
        self.refresh()

    def _bring_paint_back(self) -> None:
        if self.desk.session is not None:
            self._link.show_paint(self.desk.session)
            self._labels_changed()
            self.desk.say("the paint layer is back", "good")

    def _may_leave(self) -> bool:
        job = self.jobs.job
        if job is None:
            return True
        return self._view.confirm(
            "A job is running on this image. What it has so far is kept; the rest is not computed.",
            "Stop it and go on",
        )

    def _leave_session(self) -> None:
        if self.desk.session is not None:
            self._forget(self.desk.session)
        self.jobs.abandon()
        self.desk.session = self.desk.place = self.desk.selected = None
        self._undo_order = UndoOrder()

    # ---- labels

    def add_label(self, name: str) -> None:
        """Add a label and take it up with the brush."""
        if self.desk.session is None:
            raise InputError("Open an image first (File ▸ Open…), then name its labels.")
        label = self.desk.session.labels.add(name)
        self.select_label(label.label_id)

    def rename_label(self, label_id: int, name: str) -> None:
        """Give a label another name."""
        if self.desk.session is not None:
            self.desk.session.labels.rename(label_id, name)

    def recolour_label(self, label_id: int, color: Color) -> None:
        """Give a label another colour."""
        if self.desk.session is not None:
            self.desk.session.labels.recolour(label_id, color)

    def remove_label(self, label_id: int) -> None:
        """Delete a label with its paint; asks where there is paint to lose."""
        session = self.desk.session
        if session is None:
            return
        painted = session.annotations.painted_slices(label_id)
        name = session.labels[label_id].name
        if painted and not self._view.confirm(
            f"Delete “{name}” and its paint on {wording.count(len(painted), 'slice')}? "
            "This cannot be undone.",
            f"Delete “{name}”",
        ):
            return
        session.labels.remove(label_id)
        self._link.refresh_paint()

    def select_label(self, label_id: int) -> None:
        """Paint with this label from now on."""
        self.desk.selected = label_id
        self._link.select_label(label_id, brush=True)
        self.refresh()

    def label_picked(self, label_id: int) -> None:
        """The viewer's own controls have chosen another label."""
        known = {row.label_id for row in self.desk.rows()}
        self.desk.selected = label_id if label_id in known else None
        self.refresh()

    def label_key(self, place: int) -> None:
        """A key asks for the label at a place of the table."""
        label_id = pick_rows(self.desk.rows(), place)
        if label_id is not None:
            self.select_label(label_id)

    def _labels_changed(self) -> None:
        rows = self.desk.rows()
        self._link.set_labels(rows)
        if rows and self.desk.selected not in {row.label_id for row in rows}:
            self.desk.selected = rows[0].label_id
            self._link.select_label(rows[0].label_id, brush=False)
        self.refresh()

    # ---- paint

    def painted(self, slices: tuple[int, ...]) -> None:
        """Paint of these slices may have changed."""
        if self.desk.session is not None:
            for index in slices:
                self.desk.session.annotations.touched(index)
            self._warm_up()
        self.refresh()

    def set_complete(self, complete: bool) -> None:
        """Say that what is unpainted on the slice on screen is background, or take that back."""
        index = self._link.current_slice()
        if self.desk.session is not None and index is not None:
            self.desk.session.annotations.set_complete(index, complete)
        self._shown.pop("slice")
        self.refresh()

    def accept(self) -> None:
        """Copy the prediction of the slice on screen into paint, as one step."""
        index, predictions = self._link.current_slice(), self._link.predictions()
        if self.desk.session is None or index is None or predictions is None:
            return
        annotations = self.desk.session.annotations
        if annotations.accept(index, predictions[index], self.desk.session.labels.ids):
            self._undo_order.did("accept")
            self._link.refresh_paint()
            self.desk.say(f"prediction of slice {index} accepted; now correct it", "good")
        else:
            self.desk.say(f"the prediction adds nothing to your paint of slice {index}")
        self.refresh()

    def undo_accept(self) -> None:
        """Take the last accepted prediction back, wherever the viewer is now."""
        self._undo_order.undo_accept()
        self._undo_accept()

    def undo(self) -> None:
        """Undo what came last: a brush stroke or an accepted prediction."""
        if self._undo_order.undo() == "accept":
            self._undo_accept()
        else:
            self._link.undo_stroke()

    def redo(self) -> None:
        """Redo what was undone last."""
        if self._undo_order.redo() == "accept":
            self._redo_accept()
        else:
            self._link.redo_stroke()

    def stroke_made(self) -> None:
        """A brush stroke was finished."""
        self._undo_order.did("stroke")

    def slice_changed(self) -> None:
        """Another slice is on screen; the viewer has forgotten the strokes of the one before."""
        self._undo_order.forget_strokes()
        self.refresh()

    def _undo_accept(self) -> None:
        if self.desk.session is not None:
            self._after_undo(self.desk.session.annotations.undo(), "taken back")

    def _redo_accept(self) -> None:
        if self.desk.session is not None:
            self._after_undo(self.desk.session.annotations.redo(), "accepted again")

    def _after_undo(self, index: int | None, what: str) -> None:
        if index is not None:
            self._link.go_to(index)
            self._link.refresh_paint()
            self.desk.say(f"prediction of slice {index} {what}")
        self.refresh()

    # ---- settings and display

    def set_settings(self, settings: FitSettings) -> None:
        """Use other settings for the next fit."""
        if self.desk.session is not None:
            self.desk.session.settings = settings

    def set_then_segment(self, then_segment: bool) -> None:
        """Whether the whole stack is segmented after Adapt."""
        self.desk.then_segment = then_segment

    def take_offer(self) -> None:
        """Follow the way out that the status line offers."""
        if self.desk.offer is not None:
            self.desk.offer()

    def _warm_up(self) -> None:
        """Load weights as soon as somebody paints: Adapt then starts at once."""
        if not self._warmed and self.desk.session is not None:
            self._warmed = True
            session = self.desk.session
            self.jobs.start(warm_up(WarmUpRequest(session.settings), session.stack))

    # ---- showing

    def refresh(self) -> None:
        """Show what has changed since the last time."""
        if self._closed:
            return
        desk, progress = self.desk, self.jobs.progress()
        index = self._link.current_slice()
        self._show("image", self._image_state())
        self._show("labels", desk.rows())
        self._show("selected_label", desk.selected)
        self._show("slice", self._slice_state(index))
        self._show("progress", progress)
        self._show("curve", self.jobs.curve)
        self._show("rounds", self.loop.rounds())
        self._show("score", self._score())
        self._show("display", self._link.display())
        self._show("suggestion", self.loop.suggestion)
        self._show("readiness", self._readiness(index))
        busy = StatusState(progress.text) if progress.busy else desk.status
        self._show("status", desk.status if desk.status.offer else busy)

    def close(self) -> None:
        """Stop the engine and let go of view and viewer."""
        if self._closed:
            return
        self._closed = True
        if self.desk.session is not None:
            self._forget(self.desk.session)
        for signal, slot in self._slots:
            signal.disconnect(slot)
        self._slots.clear()
        self.jobs.close()
        self._link.close()

    def _show(self, name: str, state: object) -> None:
        if name not in self._shown or self._shown[name] != state:
            self._shown[name] = state
            getattr(self._view, f"set_{name}")(state)

    def _image_state(self) -> ImageState:
        place, session = self.desk.place, self.desk.session
        entries = self._link.images.entries()
        if place is None or session is None:
            return ImageState(entries)
        axes = self._link.images.axes(place.key)
        facts = wording.facts(session.stack.info)
        return ImageState(entries, place.key, facts, axes, place.geometry.slice_axis)

    def _slice_state(self, index: int | None) -> SliceState:
        session = self.desk.session
        if session is None:
            return SliceState()
        complete = index is not None and session.annotations.is_complete(index)
        return SliceState(index, session.stack.info.shape[0], complete)

    def _score(self) -> str:
        session = self.desk.session
        return "" if session is None else wording.score(session.rounds.active, list(session.rounds))

    def _readiness(self, index: int | None) -> Readiness:
        job = self.jobs.job
        if job is None:
            return readiness(self.desk.session, JobState(), index)
        if job.kind == "adapt":
            return readiness(self.desk.session, JobState("adapt", job.stopping), index)
        ready = readiness(self.desk.session, JobState("segment", job.stopping), index)
        # A new round makes the masks that are being computed out of date: no need to wait for them.
        return replace(ready, adapt=readiness(self.desk.session, JobState(), index).adapt)

    # ---- wiring

    def _connect(self) -> None:
        wishes, viewer = self._view.wishes, self._link.signals
        loop, files = self.loop, self.files
        for signal, act in (
            (wishes.image_chosen, self.choose_image),
            (wishes.axis_chosen, self.choose_axis),
            (wishes.label_added, self.add_label),
            (wishes.label_renamed, self.rename_label),
            (wishes.label_recoloured, self.recolour_label),
            (wishes.label_removed, self.remove_label),
            (wishes.label_selected, self.select_label),
            (wishes.complete_set, self.set_complete),
            (wishes.accept, self.accept),
            (wishes.undo_accept, self.undo_accept),
            (wishes.adapt, loop.adapt),
            (wishes.stop, self.jobs.stop),
            (wishes.then_segment_set, self.set_then_segment),
            (wishes.restore_round, loop.restore),
            (wishes.segment_slice, loop.segment_slice),
            (wishes.segment_all, loop.segment_all),
            (wishes.prediction_shown, lambda shown: self._link.set_shown("prediction", shown)),
            (wishes.prediction_opacity, self._link.set_opacity),
            (wishes.uncertainty_shown, lambda shown: self._link.set_shown("uncertainty", shown)),
            (wishes.next_slice, loop.next_slice),
            (wishes.skip_slice, loop.skip_slice),
            (wishes.export_masks, files.export_masks),
            (wishes.export_adapter, files.export_adapter),
            (wishes.load_adapter, files.load_adapter),
            (wishes.settings_changed, self.set_settings),
            (wishes.offer_taken, self.take_offer),
            (viewer.images_changed, self.images_changed),
            (viewer.image_lost, self.image_lost),
            (viewer.paint_lost, self.paint_lost),
            (viewer.slice_changed, self.slice_changed),
            (viewer.display_changed, self.refresh),
            (viewer.painted, self.painted),
            (viewer.stroke_made, self.stroke_made),
            (viewer.label_picked, self.label_picked),
            (viewer.label_key_pressed, self.label_key),
            (viewer.undo_pressed, self.undo),
            (viewer.redo_pressed, self.redo),
        ):
            self._hear(signal, act)

    def _hear(self, signal: Any, act: Callable[..., None]) -> None:
        """Do ``act`` when a wish comes; an error that is ours becomes a sentence on screen."""

        def slot(*args: Any) -> None:
            try:
                act(*args)
            except NapariSaltError as error:
                self.desk.fail(str(error))
            self.refresh()

        signal.connect(slot, check_nargs=False)
        self._slots.append((signal, slot))

    def _hear_session(self, session: Session) -> None:
        session.labels.changed.connect(self._labels_changed)
        session.annotations.changed.connect(self._annotations_changed)
        session.annotations.completed.connect(self._annotations_changed)

    def _forget(self, session: Session) -> None:
        session.labels.changed.disconnect(self._labels_changed)
        session.annotations.changed.disconnect(self._annotations_changed)
        session.annotations.completed.disconnect(self._annotations_changed)

    def _annotations_changed(self, index: int) -> None:
        self.refresh()
