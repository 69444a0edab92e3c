"""Labels, strokes, ticks and accepted predictions: everything said about pixels by hand. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.engine.requests import WarmUpRequest
from napari_salt.errors import InputError
from napari_salt.job_controller import JobController, warm_up
from napari_salt.undo_order import UndoOrder
from napari_salt.views import pick_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.desk import Desk
    from napari_salt.records import Color


class PaintController:
    """Acts on the labels and annotations of the open session, and on the brush."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk, self._jobs = desk, jobs
        self._view, self._link = desk.view, desk.link
        self._undo_order = UndoOrder()
        self._warmed = False

    def session_opened(self) -> None:
        """Another session is open: steps of the one before cannot be undone here."""
        self._undo_order = UndoOrder()
        self.labels_changed()

    # ---- labels

    def add_label(self, name: str) -> None:
        """Add a label and take it up with the brush."""
        if self._desk.session is None:
            raise InputError("Open an image first (File ▸ Open…), then name its labels.")
        label = self._desk.session.labels.add(name)
        self.select_label(label.label_id)

    def rename_label(self, label_id: int, name: str) -> None:
        """Give a label another name."""
        if self._desk.session is not None:
            self._desk.session.labels.rename(label_id, name)

    def recolour_label(self, label_id: int, color: Color) -> None:
        """Give a label another colour."""
        if self._desk.session is not None:
            self._desk.session.labels.recolour(label_id, color)

    def remove_label(self, label_id: int) -> None:
        """Delete a label with its paint; asks where there is paint to lose."""
        session = self._desk.session
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
        self._desk.selected = label_id
        self._link.select_label(label_id, brush=not self._desk.assisting)

    def label_picked(self, label_id: int) -> None:
        """The viewer's own controls have chosen another label."""
        known = {row.label_id for row in self._desk.rows()}
        self._desk.selected = label_id if label_id in known else None

    def label_key(self, place: int) -> None:
        """A key asks for the label at a place of the table."""
        label_id = pick_rows(self._desk.rows(), place)
        if label_id is not None:
            self.select_label(label_id)

    def labels_changed(self) -> None:
        """Bring the table's names and colours to the layers; something is always selected."""
        rows = self._desk.rows()
        self._link.set_labels(rows)
        if rows and self._desk.selected not in {row.label_id for row in rows}:
            self._desk.selected = rows[0].label_id
            self._link.select_label(rows[0].label_id, brush=False)

    # ---- paint

    def painted(self, slices: tuple[int, ...]) -> None:
        """Paint of these slices may have changed."""
        if self._desk.session is not None:
            for index in slices:
                self._desk.session.annotations.touched(index)
            self._warm_up()

    def set_complete(self, complete: bool) -> None:
        """Say that what is unpainted on the slice on screen is background, or take that back."""
        index = self._link.current_slice()
        if self._desk.session is not None and index is not None:
            self._desk.session.annotations.set_complete(index, complete)

    def accept(self) -> None:
        """Copy the prediction of the slice on screen into paint and call the slice complete, as one step.

        Whoever accepts a prediction says that the rest of the slice is background, too.
        """
        index, predictions = self._link.current_slice(), self._link.predictions()
        if self._desk.session is None or index is None or predictions is None:
            return
        annotations = self._desk.session.annotations
        ticked = not annotations.is_complete(index)
        ids = self._desk.session.labels.ids
        if annotations.accept(index, predictions[index], ids, complete=True) or ticked:
            self._undo_order.did("accept")
            self._link.refresh_paint()
            self._desk.say(f"prediction of slice {index} accepted; now correct it", "good")
        else:
            self._desk.say(f"the prediction adds nothing to your paint of slice {index}")

    def take_mask(self, index: int, mask: NDArray[np.bool_], label_id: int) -> None:
        """Give a mask ``(Y, X)`` a label where nothing else is painted, as one step."""
        if self._desk.session is None:
            return
        name = next((row.name for row in self._desk.rows() if row.label_id == label_id), "")
        if self._desk.session.annotations.take_mask(index, mask, label_id):
            self._undo_order.did("accept")
            self._link.refresh_paint()
            self._desk.say(f"mask taken as “{name}”; Ctrl+Z takes it back", "good")
            self._warm_up()
        else:
            self._desk.say("the mask adds nothing to your paint there")

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

    def _undo_accept(self) -> None:
        if self._desk.session is not None:
            self._after_undo(self._desk.session.annotations.undo(), "taken back")

    def _redo_accept(self) -> None:
        if self._desk.session is not None:
            self._after_undo(self._desk.session.annotations.redo(), "accepted again")

    def _after_undo(self, index: int | None, what: str) -> None:
        if index is not None:
            self._link.go_to(index)
            self._link.refresh_paint()
            self._desk.say(f"prediction of slice {index} {what}")

    def _warm_up(self) -> None:
        """Load weights as soon as somebody paints: Adapt then starts at once."""
        if not self._warmed and self._desk.session is not None:
            self._warmed = True
            session = self._desk.session
            self._jobs.start(warm_up(WarmUpRequest(session.settings), session.stack))
