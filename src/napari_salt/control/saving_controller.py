"""Keeps the open session on disk while the user works, and offers earlier work on the same stack. No Qt.

The dock calls `SavingController.tick` every second, and what has changed since the last time is written then.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.earlier_work import EarlierWork
from napari_salt.control.kept_session import KeptSession, close_folder, open_behind
from napari_salt.control.kept_work import contents, open_work
from napari_salt.control.prediction_keeper import PredictionKeeper
from napari_salt.control.rescue import NOWHERE, Left, Rescuer, write_whole
from napari_salt.control.session_writer import SessionWriter
from napari_salt.errors import InputError, OutputError
from napari_salt.io.session_copy import kept_state
from napari_salt.io.session_folder import SUFFIX, SessionFolder, check_folder
from napari_salt.io.session_state import SessionState
from napari_salt.io.zarr_threads import start_threads

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.io.session_store import SessionStore
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session

LAST_WAIT = 10.0
"""Seconds that closing waits for the last write."""

CLOSE = "Close and lose it"


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
        self._writer = SessionWriter(desk, store, self._pool, changed)
        self._earlier = EarlierWork(desk, store, self._pool, self.go_on, changed)
        self._rescuer = Rescuer(store, self._writer.lies_in, self._writer.was_written)
        self.changed_elsewhere = self._writer.changed_elsewhere

    # ---- following a session

    def opened(self, session: Session) -> None:
        """Keep this session from now on."""
        self.left()
        known = self._earlier.look_up(session)
        keeper = PredictionKeeper(self._desk, session, self._mask_pool)
        kept = self._kept = KeptSession(session, known, keeper)
        path, last = self._writer.folder_of(session), self._rescuer.last_write(session)
        changed = self._writer.take_changed_elsewhere(session)
        if path is not None and path.is_dir():
            kept.asked = True
            kept.slices.update(changed)
            kept.changed = True  # of all levels of an image the newest is offered first
            kept.writing = self._pool.submit(SessionFolder.open_folder, path)
        elif session.annotations.usable_slices():
            kept.slices.update(session.annotations.painted_slices())
            kept.changed = True
            if last is not None:  # its first folder is only now being made
                kept.asked = True
                kept.writing = self._pool.submit(open_behind, last)
        for signal, slot in kept.signals():
            signal.connect(slot)

    def left(self) -> Future[None] | None:
        """Let go of the session after writing what is not yet written, in the background; None: nothing was open."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        for signal, slot in kept.signals():
            signal.disconnect(slot)
        before = kept.writing
        if before is not None and not before.done():
            self._writer.give_back(kept)  # should that write fail, the next one has its slices
        else:
            self._writer.collect(kept)
            before = None
        kept.writing = None
        self._writer.write(kept, everything=True, before=before)
        last = kept.writing or before
        if last is not None:
            self._rescuer.left.append(Left(kept, last))
        if kept.identity is not None:
            kept.predictions.hand_over(kept.identity, kept.folder, last)
        return self._pool.submit(close_folder, last, kept.folder, kept.predictions.keeping)

    @property
    def is_refused(self) -> bool:
        """Whether the work on the open stack cannot be written now."""
        return self._kept is not None and bool(self._kept.retry_at)

    @property
    def offers_work(self) -> bool:
        """Whether earlier work on the open stack is on offer now."""
        return self._earlier.offered

    def tick(self) -> None:
        """Collect what the writer has done, offer earlier work, and hand over what has changed."""
        self._rescuer.look_after(self._kept, self._desk.fail)
        kept = self._kept
        if kept is None:
            return
        self._writer.collect(kept)
        self._earlier.offer(kept)
        self._writer.write(kept)
        self._writer.keep_predictions(kept)
        if kept.predictions.tick():
            self._changed()

    def pixels_replaced(self) -> None:
        """The image of the open session shows other pixels: the work on it is found again by those, too."""
        kept = self._kept
        if kept is None:
            return
        kept.predictions.pixels_replaced()
        kept.before = kept.identity or kept.before
        kept.known.cancel()
        kept.known = self._earlier.look_up(kept.session, kept.before)
        kept.changed = True
        if not kept.is_begun:
            kept.asked = False  # there may be earlier work on these

    def predicted(self, session: Session, prediction: SlicePrediction, adapter: Path) -> None:
        """Keep a slice that an adapter has segmented, in the session's label ids."""
        kept = self._kept
        if kept is not None and kept.session is session and not prediction.provisional:
            kept.predictions.add(prediction, adapter)
            self._writer.keep_predictions(kept)

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
        if (
            kept is None
            or self._writer.on_disk(kept, LAST_WAIT)
            or self._rescuer.rescue(kept, tell)
        ):
            return True
        return self._desk.view.confirm(f"{NOWHERE} Close now and lose what is not saved?", CLOSE)

    def close(self) -> None:
        """Write the rest, elsewhere if need be, and wait for it, but not for ever."""
        tell, kept, rescued = self._desk.fail, self._kept, False
        if kept is not None and not self._writer.on_disk(kept, LAST_WAIT):
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
        name = self._desk.file_name("session") + SUFFIX
        path = self._desk.view.ask_save("Save session", name, f"Session (*{SUFFIX})")
        if path is None:
            return
        path = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
        whole = self._writer.finish(kept)
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
        self._writer.lies_in(kept.session, path)
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
        if self._lies_in(path):
            self._desk.say(f"{path.name} is the session that is open here")
            return
        kept = self._with_its_image(path)
        if self._lies_in(path):  # it has come back with its image
            self._desk.say(f"{path.name} is open with its image again", "good")
            return
        path = self._store.bring_home(path)
        work = open_work(path)
        try:
            state = work.state
            if not self._may_replace(kept.session):
                work.close()
                return
            if not self._writer.finish(kept) and kept.session.annotations.usable_slices():
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
        kept.changed = not self._is_of(state)  # then the folder is to say so
        kept.ticked = frozenset(state.complete)
        kept.is_agreed()
        if work.folder is None:
            kept.start_anew()
        self._writer.lies_in(kept.session, None if work.folder is None else path)
        self._desk.view.set_settings(kept.session.settings)
        kept.predictions.bring_back(path, kept.known.result()[0])
        kept.session.resumed.emit()
        self._desk.link.refresh_paint()
        self._tell_back(state, work.apart, missing)

    def _lies_in(self, path: Path) -> bool:
        """Whether the open session is kept in that folder."""
        kept = self._kept
        folder = None if kept is None else self._writer.folder_of(kept.session)
        return folder is not None and folder.resolve() == path.resolve()

    def _with_its_image(self, path: Path) -> KeptSession:
        """See that the image of a session is the one that is open, or one that the user wants it on."""
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
            told = f"This session belongs to {theirs}, and {open_one}"
            if kept is None or not self._may_take_it(kept, state, told):
                raise InputError(f"{told}; {_image_first(state)}, then the session.")
        return kept

    def _may_take_it(self, kept: KeptSession, state: SessionState, told: str) -> bool:
        """Whether the user wants work on an image that it was not painted on, which it fits."""
        info = kept.session.stack.info
        return info.shape == state.stack.shape and self._desk.view.confirm(
            f"{told}. Put its work onto “{info.name}” all the same?", "Put it there"
        )

    def _is_of(self, state: SessionState) -> bool:
        """Whether a session is of the image that is open; one that is not honest about its shape is of none."""
        kept = self._kept
        if kept is None or kept.session.stack.info.shape != state.stack.shape:
            return False
        return state.is_of(kept.known.result()[0])

    def _tell_back(self, state: SessionState, apart: str, missing: str) -> None:
        parts = [contents(len(state.painted), len(state.rounds)), apart, missing]
        told = "; ".join(part for part in parts if part)
        text = f"your work is back: {told}" if told else "your work is back"
        self._desk.say(text, "warning" if apart or missing else "good")

    def _may_replace(self, session: Session) -> bool:
        painted = len(session.annotations.usable_slices())
        return not painted or self._desk.view.confirm(
            f"The paint on {wording.count(painted, 'slice')} of this image is put aside (it stays saved). "
            "Open the session in its place?",
            "Open the session",
        )


def _image_first(state: SessionState) -> str:
    """What is to be opened before a session."""
    channels = state.stack.channels
    if channels < 2 or state.stack.rgb:
        return "open that image first"
    return f"open that image first, with its {channels} channels as layers of their own"
