"""Work that its own folder refuses is written whole to the next best place. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.control.kept_session import save_session, state_of
from napari_salt.errors import NapariSaltError
from napari_salt.io.rescue_folders import may_be_emptied

if TYPE_CHECKING:
    from napari_salt.control.kept_session import KeptSession
    from napari_salt.io.session_folder import SessionFolder


def write_whole(kept: KeptSession, path: Path) -> SessionFolder:
    """A new folder with all of a session that is in memory; from now on there is nothing that it lacks.

    Raises
    ------
    OutputError
        ``path`` exists or cannot be written; nothing of it is left.
    """
    fresh = replace(kept, slices=set())
    fresh.start_anew()
    paint = kept.session.annotations.paint
    planes = {index: paint[index] for index in sorted(fresh.slices)}
    fresh.slices.clear()
    adapters: dict[str, Path] = {}
    folder = save_session(None, None, path, state_of(fresh, adapters), planes, adapters)
    kept.slices.clear()
    kept.changed, kept.retry_at, kept.ticked = False, 0.0, fresh.ticked
    return folder


def rescue(kept: KeptSession, paths: Iterable[Path]) -> SessionFolder | None:
    """`write_whole` to the first path that takes it; None where none does."""
    for path in paths:
        try:
            return write_whole(kept, path)
        except (NapariSaltError, OSError):
            continue
    return None


def where_it_went(path: Path) -> str:
    """A sentence for the user."""
    hurry = ", which may be emptied" if may_be_emptied(path) else ""
    return (
        f"Your work could not be saved where it belongs, so it was put into {path.parent}{hurry}; open this image "
        "again, and it is offered to you."
    )


NOWHERE = "Your work cannot be saved, there or anywhere else; free some space, or choose Save session and another disk."
