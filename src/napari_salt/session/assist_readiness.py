"""Whether a box can be drawn now, and if not, why: a pure function of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt.session.readiness import Action

if TYPE_CHECKING:
    from napari_salt.session.session import Session


def assist_action(
    session: Session | None, selected: int | None, index: int | None, *, flat: bool
) -> Action:
    """Of the box tool: ``selected`` label id, ``index`` of the slice on screen (None: outside).

    ``flat``: the viewer shows one slice, neither the volume nor a cut through all of them.
    """
    if session is None:
        return Action(False, "Open or choose an image first.")
    if not len(session.labels):
        return Action(False, "Add a label first.")
    if selected is None:
        return Action(False, "Choose a label in the table first.")
    if not flat:
        return Action(
            False,
            "Boxes are drawn on one slice; switch the viewer to 2-D, or roll its axes, until it shows one as it lies.",
        )
    if index is None:
        return Action(False, "Go back to a slice of the image.")
    return Action()
