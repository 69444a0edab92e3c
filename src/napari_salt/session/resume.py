"""Bring work that was kept into an open session, in place: the viewer goes on showing the same arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from napari_salt.session.rounds import Rounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.records import FitSettings, Label, Round
    from napari_salt.session.session import Session


def resume(
    session: Session,
    *,
    labels: Iterable[Label],
    next_id: int,
    planes: Mapping[int, NDArray[np.uint16]],
    complete: Iterable[int],
    rounds: Iterable[Round],
    active: int | None,
    adapter_path: str | None,
    skipped: Iterable[int],
    settings: FitSettings,
    changed: Iterable[int],
) -> None:
    """Replace what a session holds; ``planes`` are ``(Y, X)`` uint16 by slice, the others have no paint.

    ``changed`` are slices that the newest round has not seen as they are now.
    What can be undone is forgotten: it was about other paint.
    """
    session.labels.replace(labels, next_id=next_id)
    session.annotations.replace(planes, complete)
    session.rounds = Rounds(rounds, active)
    session.changed_since_round(changed)
    session.settings = settings
    session.clear_skipped()
    for index in skipped:
        session.skip(index)
    if active is not None:
        session.use_round()
    else:
        session.use_adapter(adapter_path)
