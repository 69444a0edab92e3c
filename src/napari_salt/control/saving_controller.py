"""Keeps the open session on disk while the user works, and offers earlier work on the same stack. No Qt.

The dock calls `SavingController.tick` every second. What has changed since the last time is copied there, on the main
thread, and written by one thread of its own, so that a slow disk never holds up the viewer.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_salt import wording
from napari_salt.control.kept_session import (
    KeptSession,
    change_of,
    close_folder,
    look_up,
    save_beside,
    save_session,
    state_of,
)
from napari_salt.control.kept_work import open_work
from napari_salt.control.prediction_keeper import PredictionKeeper
from napari_salt.control.rescue import NOWHERE, Left, Rescuer, write_whole
from napari_salt.errors import InputError, NapariSaltError, OutputError
from napari_salt.io.file_names import safe_file_name
from napari_salt.io.session_copy import kept_state
from napari_salt.io.session_folder import SUFFIX, SessionFolder, check_folder
from napari_salt.io.session_state import SessionState
from napari_salt.io.zarr_threads import start_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.control.desk import Desk
    from napari_salt.io.session_store import Found, SessionStore
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session
    from napari_salt.sparse_plane import SparsePlane

LARGEST_COPY = 128 * 1024**2
"""Bytes of paint copied at one tick; the rest waits for the next, so that the viewer stays smooth."""
RETRY = 10.0
"""Seconds before writing is tried again after the disk refused."""
LAST_WAIT = 10.0
"""Seconds that closing waits for the last write."""

CLOSE = "Close and lose it"

_folders: WeakKeyDictionary[Session, Path] = WeakKeyDictionary()
"""Where sessions are kept that outlive a dock: the next dock goes on in the same folder."""

_elsewhere: WeakKeyDictionary[Session, set[int]] = WeakKeyDictionary()
"""Slices of sessions that changed while another one was open; written when they are opened."""


class SavingController:
    """Follows the open session.

    Parameters
    ----------
    desk
        What the controllers share.
    store
        Where sessions are kept without being asked.
    changed
        Called when there is something new to show.
    bring_image
        Looks for the image of a session from a folder, and opens it where it is found.
    """

    def __init__(
        self,
        desk: Desk,
        store: SessionStore,
        *,
        changed: Callable[[], None],
        bring_image: Callable[[SessionState, Path], None] = lambda state, path: None,
    ) -> None:
        self._desk = desk
        self._store = store
        self._changed = changed
        self._bring_image = bring_image
        start_threads()  # what is open when Python ends must be saved then
        self._pool = ThreadPoolExecutor(1, "napari-salt saving")
        self._mask_pool = ThreadPoolExecutor(1, "napari-salt masks")
        self._kept: KeptSession | None = None
        self._rescuer = Rescuer(store, _folders.__setitem__)

    # ---- following a session

    def opened(self, session: Session) -> None:
        """Keep this session from now on."""
        self.left()
        known = self._look_up(session)
        keeper = PredictionKeeper(self._desk, session, self._mask_pool)
        kept = self._kept = KeptSession(session, known, keeper)
        path = _folders.get(session)
        changed = _elsewhere.pop(session, set())
        if path is not None and path.is_dir():
            kept.asked = True
            kept.slices.update(changed)
            kept.changed = True  # of all levels of an image the newest is offered first
            kept.writing = self._pool.submit(SessionFolder.open_folder, path)
        elif session.annotations.usable_slices():
            kept.slices.update(session.annotations.painted_slices())
            kept.changed = True
        for signal, slot in kept.signals():
            signal.connect(slot)

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

    def left(self) -> Future[None] | None:
        """Let go of the session after writing what is not yet written, in the background; None: nothing was open."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        for signal, slot in kept.signals():
            signal.disconnect(slot)
        before = kept.writing
        if before is not None and not before.done():
            kept.slices.update(kept.sent)  # should that write fail, the next one has its slices
            kept.changed = True
            kept.forget_agreed()
        else:
            self._collect(kept)
            before = None
        kept.writing = None
        self._write(kept, everything=True, before=before)
        last = kept.writing or before
        if last is not None:
            self._rescuer.left.append(Left(kept, last))
        if kept.known.done() and kept.known.exception() is None:
            kept.predictions.hand_over(kept.known.result()[0], kept.folder, last)
        return self._pool.submit(close_folder, last, kept.folder, kept.predictions.keeping)

    def tick(self) -> None:
        """Collect what the writer has done, offer earlier work, and hand over what has changed."""
        self._rescuer.look_after(self._kept, self._desk.fail)
        kept = self._kept
        if kept is None:
            return
        self._collect(kept)
        self._offer(kept)
        self._write(kept)
        self._keep_predictions(kept)
        if kept.predictions.tick():
            self._changed()

    def predicted(self, session: Session, prediction: SlicePrediction, adapter: Path) -> None:
        """Keep a slice that an adapter has segmented, in the session's label ids."""
        kept = self._kept
        if kept is not None and kept.session is session and not prediction.provisional:
            kept.predictions.add(prediction, adapter)
            self._keep_predictions(kept)

    def exchange_folder(self) -> Path:
        """A path that nothing has yet, beside the session, for what the workers of a cluster hand over."""
        kept = self._kept
        beside = (
            self._store.folder if kept is None or kept.folder is None else kept.folder.path.parent
        )
        return beside / f".segment-{secrets.token_hex(4)}"

    def may_close(self) -> bool:
        """Have all work on the disk before the window goes; the user decides where no disk takes it."""
        tell = self._desk.view.announce
        self._rescuer.look_after(self._kept, tell, LAST_WAIT)
        kept = self._kept
        if kept is None or self._on_disk(kept) or self._rescuer.rescue(kept, tell):
            return True
        return self._desk.view.confirm(f"{NOWHERE} Close now and lose what is not saved?", CLOSE)

    def close(self) -> None:
        """Write the rest, elsewhere if need be, and wait for it, but not for ever."""
        tell, kept, rescued = self._desk.fail, self._kept, False
        if kept is not None and not self._on_disk(kept):
            rescued = self._rescuer.rescue(kept, tell)
            if not rescued:
                tell(NOWHERE)
        last = self.left()
        self._rescuer.look_after(self._kept, tell, LAST_WAIT)
        if last is not None:
            wait([last], LAST_WAIT)
        if kept is not None and rescued:
            close_folder(None, kept.folder)  # the writing thread may never come to it
        self._pool.shutdown(wait=False)
        self._mask_pool.shutdown(wait=False)

    # ---- asked for by the user

    def save_as(self) -> None:
        """Copy the session to a folder of the user's choice and go on there."""
        kept = self._kept
        if kept is None:
            return
        name = safe_file_name(kept.session.stack.info.name, "session") + SUFFIX
        path = self._desk.view.ask_save("Save session", name, f"Session (*{SUFFIX})")
        if path is None:
            return
        path = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
        whole = self._finish(kept)
        if not (kept.session.annotations.usable_slices() or len(kept.session.rounds)):
            raise InputError("There is nothing to save yet; paint a slice first.")
        before = kept.folder
        if before is not None and whole:
            before.copy_to(path)
            kept.folder = SessionFolder.open_folder(path)
        else:
            kept.folder = write_whole(kept, path)
        if before is not None:
            before.close()
        _folders[kept.session] = path
        self._desk.say(f"session saved to {path.name}; it is kept up to date there", "good")

    def open_session(self) -> None:
        """Go on with a session from a folder of the user's choice."""
        path = self._desk.view.ask_folder("Open session")
        if path is not None:
            self.go_on(path)

    def go_on(self, path: Path) -> None:
        """Bring the work in a session folder onto its image, and keep it there from now on.

        A folder that another window has open, or that cannot be written, is read as it is now; what is done from now
        on is kept apart from it.

        Raises
        ------
        InputError
            No session, a damaged one, or one whose image is not found; nothing was changed.
        """
        kept = self._kept
        if (
            kept is not None
            and kept.folder is not None
            and kept.folder.path.resolve() == path.resolve()
        ):
            self._desk.say(f"{path.name} is the session that is open here")
            return
        kept = self._with_its_image(path)
        path = self._store.bring_home(path)
        work = open_work(path)
        try:
            state = work.state
            if not self._may_replace(kept.session):
                work.close()
                return
            if not self._finish(kept) and kept.session.annotations.usable_slices():
                raise OutputError(
                    "What you have painted on this image cannot be saved, so the session was not opened; save it "
                    "elsewhere first (Save session)."
                )
        except BaseException:
            work.close()
            raise
        if kept.folder is not None:
            kept.folder.close()
        missing = work.onto(kept.session)
        kept.folder, kept.asked = work.folder, True
        kept.slices.clear()
        kept.changed, kept.ticked = False, frozenset(state.complete)
        kept.is_agreed()
        if work.folder is None:
            kept.start_anew()
            _folders.pop(kept.session, None)
        else:
            _folders[kept.session] = path
        self._desk.view.set_settings(kept.session.settings)
        kept.predictions.bring_back(path, state.identity)
        kept.session.resumed.emit()
        self._desk.link.refresh_paint()
        self._tell_back(state, work.apart, missing)

    def _with_its_image(self, path: Path) -> KeptSession:
        """See that the image of a session is the one that is open."""
        check_folder(path)
        state = kept_state(path)
        if not self._is_of(state):
            self._bring_image(state, path)
        kept = self._kept
        if kept is None or not self._is_of(state):
            theirs = f"“{state.stack.name}” ({wording.facts(state.stack)})"
            open_one = "no image is open"
            if kept is not None:
                info = kept.session.stack.info
                open_one = f"“{info.name}”, which is open, {wording.difference(info, state.stack)}"
            raise InputError(
                f"This session belongs to {theirs}, and {open_one}; open that image first, then the session."
            )
        return kept

    def _is_of(self, state: SessionState) -> bool:
        """Whether a session is of the image that is open; one that is not honest about its shape is of none."""
        kept = self._kept
        if kept is None or kept.session.stack.info.shape != state.stack.shape:
            return False
        return bool(kept.known.result()[0] == state.identity)

    def _tell_back(self, state: SessionState, apart: str, missing: str) -> None:
        parts = [_contents(len(state.painted), len(state.rounds)), apart, missing]
        text = f"your work is back: {'; '.join(part for part in parts if part)}"
        self._desk.say(text, "warning" if apart or missing else "good")

    def _may_replace(self, session: Session) -> bool:
        painted = len(session.annotations.usable_slices())
        return not painted or self._desk.view.confirm(
            f"The paint on {wording.count(painted, 'slice')} of this image is put aside (it stays saved). "
            "Open the session in its place?",
            "Open the session",
        )

    # ---- inside

    def _collect(self, kept: KeptSession, *, to_end: bool = False) -> None:
        """Take over what the writer has done; say once that it could not."""
        if kept.writing is None or not (to_end or kept.writing.done()):
            return
        writing, kept.writing = kept.writing, None
        try:
            kept.folder = writing.result()
        except Exception as error:  # noqa: BLE001
            # A file system can raise anything; what was sent must be sent again, whatever it was.
            self._refused(kept, error, tell=to_end or not kept.retry_at)
            return
        if kept.retry_at:
            kept.retry_at = 0.0
            self._desk.say("your work is saved again", "good")
            self._changed()
        _folders[kept.session] = kept.folder.path

    def _refused(self, kept: KeptSession, error: Exception, *, tell: bool) -> None:
        """A write failed: all of it is written again later, in a new folder where nothing is left of this one."""
        kept.slices.update(kept.sent)
        kept.changed = True
        kept.forget_agreed()
        if tell:
            ours = isinstance(error, NapariSaltError)
            reason = str(error) if ours else f"{type(error).__name__}: {error}."
            self._desk.fail(f"Your work is not being saved: {reason}")
            self._changed()
        kept.retry_at = time.monotonic() + RETRY
        if kept.folder is not None and kept.folder.is_there:
            return
        if kept.folder is not None:
            kept.folder.close()
        _folders.pop(kept.session, None)
        kept.start_anew()

    def _look_up(self, session: Session) -> Future[tuple[str, list[Found]]]:
        """Earlier work on the stack of a session, or on another level of its image."""
        place = self._desk.place
        others = [] if place is None else self._desk.link.images.other_levels(place)
        return self._pool.submit(look_up, session.stack, others, self._store)

    def _offer(self, kept: KeptSession) -> None:
        """Earlier work on this stack, once, as soon as it is known."""
        if kept.asked or not kept.known.done():
            return
        if kept.known.exception() is not None:
            self._look_again(kept)
            return
        kept.asked = True
        found = self._not_open(kept)
        if not found:
            return
        best = found[0]
        same = best.state.stack.shape == kept.session.stack.info.shape
        level = "" if same else f" at {wording.plane_size(best.state.stack.shape)}"
        self._desk.say(
            f"Restore your work on “{kept.session.stack.info.name or 'this image'}”{level}? "
            f"{_contents(best.slices, len(best.state.rounds), best.predicted)}",
            "plain",
            "Restore",
            lambda: self.go_on(best.path),
        )
        self._changed()

    def _not_open(self, kept: KeptSession) -> list[Found]:
        """Kept work; only at this level once there is work at another one, which comes along by itself."""
        place, found = self._desk.place, kept.known.result()[1]
        others = [] if place is None else self._desk.link.sessions_at_other_levels(place)
        if not any(one.annotations.usable_slices() for one in others):
            return found
        shape = kept.session.stack.info.shape
        return [one for one in found if one.state.stack.shape == shape]

    def _look_again(self, kept: KeptSession) -> None:
        """The image could not be read, so nobody knows which it is: say so once, and try again now and then."""
        now = time.monotonic()
        if now < kept.retry_at:
            return
        if kept.retry_at:
            kept.known = self._look_up(kept.session)
        else:
            self._desk.fail("This image cannot be read, so your work on it is not being saved.")
            self._changed()
        kept.retry_at = now + RETRY

    def _write(
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
        if not everything and (time.monotonic() < kept.retry_at or not kept.known.done()):
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

    @staticmethod
    def _copies(kept: KeptSession, everything: bool) -> dict[int, NDArray[np.uint16]]:
        paint = kept.session.annotations.paint
        most = len(paint) if everything else max(1, LARGEST_COPY // max(1, paint[0].nbytes))
        chosen = sorted(kept.slices)[:most]
        kept.slices.difference_update(chosen)
        return {index: paint[index].copy() for index in chosen}

    def _on_disk(self, kept: KeptSession) -> bool:
        """Write what is not yet written and wait for it, but not for ever; returns whether all is on the disk."""
        for _ in range(2):  # what is under way, then the rest
            self._write(kept, everything=True)
            if kept.writing is not None:
                wait([kept.writing], LAST_WAIT)
            if kept.writing is not None and not kept.writing.done():
                return False
            self._collect(kept)
        return kept.nothing_waits

    def _finish(self, kept: KeptSession) -> bool:
        """Have everything on disk now; returns whether it is."""
        self._collect(kept, to_end=True)
        self._write(kept, everything=True)
        self._collect(kept, to_end=True)
        self._keep_predictions(kept)
        kept.predictions.settle()
        return kept.nothing_waits

    @staticmethod
    def _keep_predictions(kept: KeptSession) -> None:
        """Hand over what was predicted, as soon as there is a folder for it."""
        if kept.folder is not None:
            kept.predictions.hand_over(kept.known.result()[0], kept.folder)


def _contents(slices: int, rounds: int, predicted: int = 0) -> str:
    text = f"{wording.count(slices, 'slice')}, {wording.count(rounds, 'round')}"
    return f"{text}, masks of {wording.count(predicted, 'slice')}" if predicted else text
