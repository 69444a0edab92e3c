"""Writes the open session to its folder, on a thread of its own, and again where the disk refuses. No Qt.

What has changed is copied on the main thread, so that a slow disk never holds up the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_salt.control.kept_session import (
    KeptSession,
    change_of,
    save_beside,
    save_session,
    state_of,
)
from napari_salt.errors import NapariSaltError
from napari_salt.io.session_folder import SessionFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.control.desk import Desk
    from napari_salt.io.session_store import SessionStore
    from napari_salt.session.session import Session
    from napari_salt.sparse_plane import SparsePlane

LARGEST_COPY = 128 * 1024**2
"""Bytes of paint copied at one tick; the rest waits for the next, so that the viewer stays smooth."""

TRIES = 3
"""Writes before the work of a window that closes is given up: what is under way, then the rest, twice."""

_folders: WeakKeyDictionary[Session, Path] = WeakKeyDictionary()
"""Where sessions are kept that outlive a dock: the next dock goes on in the same folder."""

_elsewhere: WeakKeyDictionary[Session, set[int]] = WeakKeyDictionary()
"""Slices of sessions that changed while another one was open; written when they are opened."""


class SessionWriter:
    """Writes what is not yet written.

    Parameters
    ----------
    desk
        Where it is said that the disk refuses, and that it takes work again.
    store
        Names new folders.
    pool
        The one thread that writes.
    changed
        Called when there is something new to show.
    """

    def __init__(
        self,
        desk: Desk,
        store: SessionStore,
        pool: ThreadPoolExecutor,
        changed: Callable[[], None],
    ) -> None:
        self._desk, self._store, self._pool, self._changed = desk, store, pool, changed

    # ---- where sessions lie

    @staticmethod
    def folder_of(session: Session) -> Path | None:
        """Where a session lies; None where it does not lie anywhere yet."""
        return _folders.get(session)

    @staticmethod
    def lies_in(session: Session, path: Path | None) -> None:
        """A session is kept there from now on; None: in a new folder when there is something to write."""
        if path is None:
            _folders.pop(session, None)
        else:
            _folders[session] = path

    @staticmethod
    def was_written(session: Session, path: Path) -> None:
        """A write begun some time ago went there; where the session lies elsewhere by now, it stays there."""
        _folders.setdefault(session, path)

    # ---- sessions that are not open

    @staticmethod
    def take_changed_elsewhere(session: Session) -> set[int]:
        """Slices that have changed while a session was not open; asked for once, when it is opened."""
        return _elsewhere.pop(session, set())

    def changed_elsewhere(self, session: Session, slices: Iterable[int]) -> None:
        """Paint of a session that is not open has changed, or whom it agrees with.

        Written now where it lies in a folder and is not much, and in any case when the session is opened.
        """
        waiting = _elsewhere.setdefault(session, set())
        waiting.update(slices)
        paint, path = session.annotations.paint, _folders.get(session)
        if path is not None and len(waiting) * paint[0].nbytes <= LARGEST_COPY:
            planes = {index: paint[index].copy() for index in waiting}
            self._pool.submit(save_beside, path, change_of(session), planes)

    # ---- the open session

    def write(
        self,
        kept: KeptSession,
        *,
        everything: bool = False,
        before: Future[SessionFolder] | None = None,
    ) -> None:
        """Hand what has changed to the writer, if that is free; behind the write ``before`` where there is one."""
        session = kept.session
        homeless = kept.folder is None and kept.predictions.waiting
        if kept.writing is not None or not (kept.something_waits or homeless):
            return
        if not everything and (kept.is_too_early or not kept.known.done()):
            return
        if kept.folder is None and not (
            session.annotations.usable_slices() or len(session.rounds) or kept.predictions.waiting
        ):
            return
        if kept.known.exception() is not None:
            return
        planes = self._copies(kept, everything)
        adapters: dict[str, Path] = {}
        agreed: dict[int, SparsePlane] = {}
        state = state_of(kept, adapters, agreed)
        folder, kept.sent, kept.changed = kept.folder, tuple(planes), False
        path = self._store.new_path(session.stack.info.name)
        kept.writing = self._pool.submit(
            save_session, folder, before, path, state, planes, adapters, agreed
        )

    def collect(self, kept: KeptSession, *, to_end: bool = False) -> None:
        """Take over what the writer has done; say once that it could not."""
        if kept.writing is None or not (to_end or kept.writing.done()):
            return
        is_told = bool(kept.retry_at) and not to_end
        refusal = self._outcome(kept)
        if refusal is not None and not is_told:
            self._tell(refusal)

    def _outcome(self, kept: KeptSession) -> Exception | None:
        """Take over what the writer has done, or, where it could not, have all of it written again later."""
        writing, kept.writing = kept.writing, None
        assert writing is not None
        try:
            kept.folder = writing.result()
        except Exception as error:  # noqa: BLE001
            # A file system can raise anything; what was sent must be sent again, whatever it was.
            return self._refused(kept, error)
        if kept.retry_at:
            kept.retry_at = 0.0
            self._desk.say("your work is saved again", "good")
            self._changed()
        self.lies_in(kept.session, kept.folder.path)
        return None

    def _refused(self, kept: KeptSession, error: Exception) -> Exception | None:
        """A write failed: the next one goes to a new folder where nothing is left of this one, and that at once.

        Returns what to tell; None where a new folder is all there is to tell, and that was told.
        """
        self.give_back(kept)
        before = kept.folder
        if before is not None and before.is_there:
            kept.try_later()
            return error
        self.lies_in(kept.session, None)
        kept.start_anew()
        if before is None:
            kept.try_later()
            return error
        before.close()
        self._desk.say(
            f"{before.path.name} was deleted or moved, so your work goes on in a new session folder.",
            "warning",
        )
        self._changed()
        return None

    def _tell(self, refusal: Exception) -> None:
        ours = isinstance(refusal, NapariSaltError)
        reason = str(refusal) if ours else f"{type(refusal).__name__}: {refusal}."
        self._desk.fail(f"Your work is not being saved: {reason}")
        self._changed()

    @staticmethod
    def give_back(kept: KeptSession) -> None:
        """Have all that was sent last written once more."""
        kept.slices.update(kept.sent)
        kept.changed = True
        kept.forget_agreed()

    def on_disk(self, kept: KeptSession, seconds: float) -> bool:
        """Write what is not yet written and wait for it, ``seconds`` a write; returns whether all is on the disk.

        What is refused is tried again at once, and told only where it is not on the disk in the end.
        """
        is_told, refusal = bool(kept.retry_at), None
        for _ in range(TRIES):
            self.write(kept, everything=True)
            if kept.writing is None:
                break
            wait([kept.writing], seconds)
            if not kept.writing.done():
                return False
            refusal = self._outcome(kept)
            if not is_told:
                kept.retry_at = 0.0
        if refusal is not None and not is_told:
            kept.try_later()
            self._tell(refusal)
        return kept.nothing_waits

    def finish(self, kept: KeptSession) -> bool:
        """Have everything on disk now; returns whether it is."""
        self.collect(kept, to_end=True)
        self.write(kept, everything=True)
        self.collect(kept, to_end=True)
        self.keep_predictions(kept)
        kept.predictions.settle()
        return kept.nothing_waits

    @staticmethod
    def keep_predictions(kept: KeptSession) -> None:
        """Hand over what was predicted, as soon as there is a folder for it and the image is known."""
        if kept.folder is not None and kept.identity is not None:
            kept.predictions.hand_over(kept.identity, kept.folder)

    @staticmethod
    def _copies(kept: KeptSession, everything: bool) -> dict[int, NDArray[np.uint16]]:
        paint = kept.session.annotations.paint
        most = len(paint) if everything else max(1, LARGEST_COPY // max(1, paint[0].nbytes))
        chosen = sorted(kept.slices)[:most]
        kept.slices.difference_update(chosen)
        return {index: paint[index].copy() for index in chosen}
