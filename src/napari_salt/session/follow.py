"""What one session has learned of labels comes along to the next: another time point, another image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_salt.session.session import Session


def follow(session: Session, before: Session, *, same_image: bool) -> None:
    """Give a session the labels of the one that was open ``before``, and its adapter on the ``same_image``.

    Labels that were named here stay as they are, and what was deleted here does not come back; a session of another
    image with labels of its own keeps to them. Rounds of its own, or an adapter loaded here, stay in use.
    """
    if not same_image and (len(session.labels) or session.annotations.usable_slices()):
        return
    if not _goes_with(session, before):
        return
    labels, first = session.labels, session.labels.next_id
    new = [label for label in before.labels if label.label_id >= first]
    # the adapter that comes along knows deleted labels by their ids: no other label may get these
    labels.replace([*labels, *new], next_id=max(first, before.labels.next_id))
    came_along = {None, *(round_.adapter_path for round_ in before.rounds)}
    if same_image and not len(session.rounds) and session.adapter_path in came_along:
        path = before.adapter_path
        if path is not None and path != session.adapter_path:
            session.use_adapter(path)


def _goes_with(session: Session, before: Session) -> bool:
    """Whether ids and names mean the same in both, as far as they are used."""
    if session.annotations.stray_ids(session.labels.ids):
        return False
    theirs = before.labels
    return all(
        label.label_id not in theirs or theirs[label.label_id].name == label.name
        for label in session.labels
    ) and all(
        (mine := session.labels.by_name(label.name)) is None or mine.label_id == label.label_id
        for label in theirs
    )
