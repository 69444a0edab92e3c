"""Work that its own folder refuses is written whole to the next best place. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.control.kept_session import save_session, state_of
from napari_salt.errors import NapariSaltError
from napari_salt.io.rescue_folders import may_be_emptied

if TYPE_CHECKING:
    from napari_salt.control.kept_session import KeptSession
    from napari_salt.io.session_folder import SessionFolder
    from napari_salt.io.session_store import SessionStore
    from napari_salt.session.session import Session
    from napari_salt.sparse_plane import SparsePlane

NOWHERE = "Your work cannot be saved, there or anywhere else; free some space, or choose Save session and another disk."


@dataclass(frozen=True, eq=False)
class Left:
    """A session that was let go of while its last write was under way."""

    kept: KeptSession
    last: Future[SessionFolder]


class Rescuer:
    """Sees to sessions that their folder refuses: the open one when asked, and those that were let go of.

    Parameters
    ----------
    store
        Knows the other places.
    moved
        Told where a session lies from now on.
    written
        Told where the last write of a session went that was let go of.
    """

    def __init__(
        self,
        store: SessionStore,
        moved: Callable[[Session, Path], None],
        written: Callable[[Session, Path], None],
    ) -> None:
        self._store, self._moved, self._written = store, moved, written
        self.left: list[Left] = []

    def rescue(self, kept: KeptSession, tell: Callable[[str], None]) -> bool:
        """Write a session to the next best place, from where it goes on, and say so; False where there is none."""
        if kept.known.exception() is not None:
            return False
        folder = self._first_that_takes_it(kept)
        if folder is None:
            return False
        if kept.folder is not None and (kept.writing is None or kept.writing.done()):
            kept.folder.close()
        kept.folder, kept.writing = folder, None
        self._moved(kept.session, folder.path)
        tell(where_it_went(folder.path))
        return True

    def last_write(self, session: Session) -> Future[SessionFolder] | None:
        """The last write of a session that was let go of; None where none was under way when last looked after."""
        writes = (one.last for one in reversed(self.left) if one.kept.session is session)
        return next(writes, None)

    def look_after(
        self, open_one: KeptSession | None, tell: Callable[[str], None], seconds: float = 0.0
    ) -> None:
        """Take note of where sessions lie that were let go of.

        Those are rescued whose last write has failed, or does not end within ``seconds``.
        """
        waiting, self.left = self.left, []
        for one in waiting:
            wait([one.last], seconds)
            if not one.last.done() and not seconds:
                self.left.append(one)
            elif not one.last.done() or one.last.exception() is not None:
                self._after_refusal(one.kept, open_one, tell)
            else:
                self._written(one.kept.session, one.last.result().path)

    def _after_refusal(
        self, left: KeptSession, open_one: KeptSession | None, tell: Callable[[str], None]
    ) -> None:
        if open_one is not None and open_one.session is left.session:
            open_one.write_again()  # it is back, and is saved as the open one
        elif not self.rescue(left, tell):
            tell(NOWHERE)
        elif left.folder is not None:
            left.folder.close()

    def _first_that_takes_it(self, kept: KeptSession) -> SessionFolder | None:
        for path in self._store.other_paths(kept.session.stack.info.name):
            try:
                return write_whole(kept, path)
            except (NapariSaltError, OSError):
                continue
        return None


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
    agreed: dict[int, SparsePlane] = {}
    state = state_of(fresh, adapters, agreed)
    folder = save_session(None, None, path, state, planes, adapters, agreed)
    kept.slices.clear()
    kept.mark, kept.agreed = fresh.mark, fresh.agreed
    kept.changed, kept.retry_at, kept.ticked = False, 0.0, fresh.ticked
    return folder


def where_it_went(path: Path) -> str:
    """A sentence for the user."""
    hurry = ", which may be emptied" if may_be_emptied(path) else ""
    return (
        f"Your work could not be saved where it belongs, so it was put into {path.parent}{hurry}; open this image "
        "again, and it is offered to you."
    )
