"""Labelling faster than by brush: one label of a prediction, the neighbour's masks, shapes between. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_salt import wording
from napari_salt.records import BACKGROUND
from napari_salt.session.interpolate import interpolate, nearest_painted, painted_around

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.session.session import Session


class FillController:
    """Fills unlabelled pixels from what is there already; each fill is one step to take back.

    None of them ticks a slice as complete: the user has not looked at the rest of it yet.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._link = desk, desk.link

    def accept_label(self) -> None:
        """Copy the selected label's prediction of the slice on screen into paint."""
        session, index, predictions = self._desk.session, self._here(), self._link.predictions()
        label_id = self._selected()
        if session is None or index is None or predictions is None or label_id is None:
            return
        name = session.labels[label_id].name
        what = f"prediction of “{name}”"
        if not (predictions[index] == label_id).any():
            self._desk.say(f"“{name}” is not predicted on slice {index}")
        elif session.annotations.accept(index, predictions[index], (label_id,), what=what):
            self._done(f"“{name}” of slice {index} accepted; now correct it")
        else:
            self._desk.say(
                f"the prediction of “{name}” adds nothing to your paint of slice {index}"
            )

    def propagate(self) -> None:
        """Copy the masks of the nearest painted slice into the one on screen, as a start."""
        session, index = self._desk.session, self._here()
        if session is None or index is None:
            return
        annotations, ids = session.annotations, session.labels.ids
        source = nearest_painted(annotations, ids, index)
        if source is None:
            return
        masks = annotations.paint[source].copy()
        if annotations.accept(index, masks, (*ids, BACKGROUND), what="copied masks"):
            self._done(f"masks of slice {source} copied to slice {index}; now correct them")
        else:
            self._desk.say(f"slice {source} adds nothing to your paint of slice {index}")

    def interpolate(self) -> None:
        """Fill the selected label in between the painted slices around the one on screen.

        Slices that are ticked complete say already where the label is, and are left alone.
        """
        session, index, label_id = self._desk.session, self._here(), self._selected()
        if session is None or index is None or label_id is None:
            return
        annotations = session.annotations
        around = painted_around(annotations, label_id, index)
        if around is None:
            return
        name, (before, after) = session.labels[label_id].name, around
        first, last = (annotations.paint[at] == label_id for at in around)
        spacing = session.stack.info.spacing[1:]
        shapes = interpolate(first, last, after - before - 1, (spacing[0], spacing[1]), name=name)
        masks: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]] = {
            at: mask
            for at, mask in enumerate(shapes, before + 1)
            if not annotations.is_complete(at)
        }
        what = f"interpolation of “{name}”"
        filled = annotations.fill(label_id, masks, index=index, what=what)
        if filled:
            count = wording.count(len(filled), "slice")
            self._done(
                f"“{name}” filled in on {count} between {before} and {after}; now correct it"
            )
        else:
            self._desk.say(f"nothing to fill in between slices {before} and {after}")

    def _done(self, sentence: str) -> None:
        self._link.refresh_paint()
        self._desk.say(sentence, "good")

    def _here(self) -> int | None:
        return self._link.current_slice()

    def _selected(self) -> int | None:
        """The selected label; None for background, which is nothing to find."""
        session: Session | None = self._desk.session
        label_id = self._desk.selected
        return label_id if session is not None and label_id in session.labels else None
