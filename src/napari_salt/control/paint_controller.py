"""Labels, strokes, ticks and accepted predictions: everything said about pixels by hand. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.job_controller import JobController, warm_up
from napari_salt.engine.requests import WarmUpRequest
from napari_salt.errors import InputError
from napari_salt.session.undo import STROKE
from napari_salt.session.unnoticed import notice
from napari_salt.views import pick_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.control.desk import Desk
    from napari_salt.records import Color
    from napari_salt.session.session import Session
    from napari_salt.session.undo import Step


class PaintController:
    """Acts on the labels and annotations of the open session, and on the brush."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk, self._jobs = desk, jobs
        self._view, self._link = desk.view, desk.link
        self._warmed = False

    def session_opened(self) -> None:
        """Another session is open: dress the viewer in its labels."""
        self.labels_changed()

    # ---- labels

    def add_label(self, name: str) -> None:
        """Add a label and take it up with the brush; paint of no label that the brush has now is its."""
        session = self._desk.session
        if session is None:
            raise InputError("Open an image first (File ▸ Open…), then name its labels.")
        label = session.labels.add(name, label_id=self._nameless(session))
        self.select_label(label.label_id)

    def _nameless(self, session: Session) -> int | None:
        """The id in the brush, where it has painted and never was that of a label; None otherwise."""
        brush, strays = self._link.brush_label(), session.annotations.stray_ids(session.labels.ids)
        return brush if brush in strays and brush >= session.labels.next_id else None

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
            "Delete the label",  # on a button an ampersand of its name would be no letter
        ):
            return
        session.labels.remove(label_id)
        self._link.refresh_paint()

    def select_label(self, label_id: int) -> None:
        """Paint with this label from now on."""
        self._desk.selected = label_id
        self._link.select_label(label_id, brush=not self._desk.assisting)

    def take_up(self, label_id: int | None, *, brush: bool) -> None:
        """Go on with a label of another session, where it is here too; ``brush`` as in `ViewerLink.select_label`."""
        if label_id in {row.label_id for row in self._desk.rows()}:
            assert label_id is not None
            self._desk.selected = label_id
            self._link.select_label(label_id, brush=brush)

    def work_is_back(self) -> None:
        """Kept work has taken the place of what was here: a label of it is in hand, as one that was just named is."""
        labels = [row.label_id for row in self._desk.rows() if not row.fixed]
        selected = self._desk.selected
        if labels:
            self.select_label(selected if selected in labels else labels[0])

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

    def repainted(self) -> None:
        """Paint has come that nobody has told of; a script that writes into the array mostly fills many slices."""
        if self._desk.session is not None:
            notice(self._desk.session.annotations)

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
            self._link.refresh_paint()
            self._desk.say(f"prediction of slice {index} accepted; now correct it", "good")
        else:
            self._desk.say(f"the prediction adds nothing to your paint of slice {index}")

    def take_mask(self, index: int, mask: NDArray[np.bool_], label_id: int) -> None:
        """Give a mask ``(Y, X)`` a label where nothing is painted yet, as one step."""
        if self._desk.session is None:
            return
        annotations = self._desk.session.annotations
        name = next((row.name for row in self._desk.rows() if row.label_id == label_id), "")
        if annotations.fill(label_id, {index: mask}, index=index, what="box mask"):
            self._link.refresh_paint()
            self._desk.say(f"mask taken as “{name}”; Ctrl+Z takes it back", "good")
            self._warm_up()
        else:
            self._desk.say(f"the mask adds nothing to your paint of slice {index}")

    def undo_accept(self) -> None:
        """Take back what was accepted or filled in last, wherever the viewer is now."""
        if self._desk.session is not None:
            annotations = self._desk.session.annotations
            step = annotations.next_fill
            annotations.undo_fill()
            self._after_undo(step, "taken back")

    def undo(self) -> None:
        """Undo what came last, a brush stroke or a fill, on whatever slice."""
        if self._desk.session is not None:
            annotations = self._desk.session.annotations
            step = annotations.next_undo
            annotations.undo()
            self._after_undo(step, "taken back")

    def redo(self) -> None:
        """Redo what was undone last."""
        if self._desk.session is not None:
            annotations = self._desk.session.annotations
            step = annotations.next_redo
            annotations.redo()
            self._after_undo(step, "made again")

    def stroke_made(self, step: Step) -> None:
        """A brush stroke was finished."""
        if self._desk.session is not None:
            self._desk.session.annotations.stroke(step)

    def _after_undo(self, step: Step | None, done: str) -> None:
        if step is None:
            self._desk.say("nothing to take back" if done == "taken back" else "nothing to redo")
            self._desk.refused = self._desk.status
            return
        seen = step.what == STROKE and step.slices == (self._link.current_slice(),)
        self._link.go_to(step.index)
        self._link.refresh_paint()
        if not seen:
            self._desk.say(f"{step.what} on {wording.slices(step.slices)} {done}")

    # ---- the layer

    def layer_lost(self) -> None:
        """The paint layer was removed by the user; the paint itself is still here."""
        session = self._desk.session
        if session is None:
            return
        painted = len(session.annotations.painted_slices())
        kept = f"; your paint on {wording.count(painted, 'slice')} is kept" if painted else ""
        self._desk.say(
            f"The paint layer was removed{kept}.",
            "warning",
            "Bring the paint layer back",
            self._bring_layer_back,
        )

    def _bring_layer_back(self) -> None:
        if self._desk.session is not None:
            self._link.show_paint(self._desk.session)
            self.labels_changed()
            self._desk.say("the paint layer is back", "good")

    def _warm_up(self) -> None:
        """Load weights as soon as somebody paints: Adapt then starts at once."""
        if not self._warmed and self._desk.session is not None:
            self._warmed = True
            session = self._desk.session
            self._jobs.start(warm_up(WarmUpRequest(session.settings), session.stack))
