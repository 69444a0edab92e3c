"""Slices seen by the network in the pauses between strokes, so that Adapt and Segment find that done. No Qt.

Painted slices come first, then, where all of the stack fits into the cache, the others, from the one on screen
outwards. A look is a short job that nobody waits for: Adapt starts as soon as it is over. Nothing is looked at before
there is paint, which decides how slices are framed, nor while somebody paints.
"""

from __future__ import annotations

import time
import weakref
from itertools import count
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.job_controller import Job, JobController
from napari_salt.control.loop_controller import outwards
from napari_salt.engine.requests import LookAheadRequest, LookAheadResult
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_salt.control.desk import Desk
    from napari_salt.engine.requests import Result
    from napari_salt.records import AnnotatedSlice
    from napari_salt.session.session import Session

PAUSE = 2.0
"""Seconds without a stroke or another slice on screen that make a pause."""

LONGEST = 4.0
"""Seconds that a look may take: Adapt would have to wait so long. A large backbone on a CPU takes longer."""

_stack_keys = count()


class LookAheadController:
    """Sends one look after the other while nothing else is asked for."""

    def __init__(self, desk: Desk, jobs: JobController, busy: Callable[[], bool]) -> None:
        self._desk, self._jobs, self._busy = desk, jobs, busy
        """``busy``: whether something else that costs time is going on."""
        self._key: tuple[object, ...] = ()
        self._stack_key = ""
        self._seen: set[int] = set()
        self._zoom: float | None = None
        self._framed: frozenset[int] | None = None
        """The complete slices that the framing was chosen from."""
        self._frame: tuple[int, int] = (-1, 0)
        """A slice that is seen in part, and its first frame to see."""
        self._room = False
        """Whether the whole stack fits into the cache; not known before the first look."""
        self._given_up = False
        self._moved = (-1, -1)
        self._quiet_since = time.monotonic()

    def stirred(self) -> None:
        """Somebody has painted: wait for the next pause."""
        self._quiet_since = time.monotonic()

    def tick(self) -> None:
        """Once a second: look at the next slice, if now is a good time."""
        session = self._desk.session
        if session is None or not self._idle():
            return
        self._follow(session)
        index = self._next(session)
        if index is not None:
            self._look(session, index)

    def resting(self) -> bool:
        """Whether there is a pause, and nothing left to look at in it."""
        session = self._desk.session
        if session is None or self._jobs.running or self._desk.assisting or not self._paused():
            return False
        if not self._desk.looking_ahead:
            return True
        return not self._stale(session) and self._next(session) is None

    def text(self) -> str:
        """How far it is, in words; empty where there is nothing to look at."""
        session = self._desk.session
        if session is None or not self._wished() or self._stale(session):
            return ""
        if self._next(session) is None:
            return ""
        wanted = self._wanted(session)
        seen = sum(index in self._seen for index in wanted)
        return f"looking ahead in pauses: {seen} of {wording.count(len(wanted), 'slice')}"

    # ---- when

    def _wished(self) -> bool:
        """Whether it is turned on; the box tool has the computer to itself."""
        return self._desk.looking_ahead and not self._desk.assisting

    def _idle(self) -> bool:
        """Whether nobody wants anything of this computer just now."""
        paused = self._paused()
        return self._wished() and paused and not self._jobs.running

    def _paused(self) -> bool:
        """Whether nobody has painted or gone to another slice for a while."""
        here = self._desk.link.current_slice()
        where = (-1 if here is None else here, id(self._desk.session))
        if where != self._moved:
            self._moved, self._quiet_since = where, time.monotonic()
        return not self._busy() and time.monotonic() - self._quiet_since >= PAUSE

    # ---- what

    def _follow(self, session: Session) -> None:
        """Begin anew where the stack, or what it is seen with, is another."""
        if self._stale(session):
            self._key, self._stack_key = self._key_of(session), str(next(_stack_keys))
            self._begin_anew()
            self._framed, self._zoom, self._room, self._given_up = None, None, False, False

    def _begin_anew(self) -> None:
        self._seen, self._frame = set(), (-1, 0)

    def _stale(self, session: Session) -> bool:
        return self._key != self._key_of(session)

    @staticmethod
    def _key_of(session: Session) -> tuple[object, ...]:
        settings = session.settings
        stack = weakref.ref(session.stack)  # what is seen ahead must not keep an image in memory
        return stack, settings.backbone, settings.device, settings.intensity

    def _next(self, session: Session) -> int | None:
        """The slice to look at next."""
        if self._given_up or is_large(session.stack.info):
            return None
        wanted = self._wanted(session)
        if wanted and session.annotations.complete != self._framed:
            return wanted[0]  # seen or not: it tells whether slices are framed otherwise now
        return next((index for index in wanted if index not in self._seen), None)

    def _wanted(self, session: Session) -> tuple[int, ...]:
        """All slices to look at, the most urgent first."""
        painted = session.annotations.usable_slices()
        if not painted or not self._room or session.settings.cluster:
            return painted
        here = self._desk.link.current_slice()
        number = len(session.stack)
        others = outwards(number, number // 2 if here is None else here)
        known = {*painted, *session.fresh_slices()}  # what was segmented was seen
        return (*painted, *(index for index in others if index not in known))

    # ---- the look

    def _look(self, session: Session, index: int) -> None:
        complete = session.annotations.complete
        painted: tuple[AnnotatedSlice, ...] = ()
        if complete != self._framed and complete:
            painted = session.annotations.snapshot(sorted(complete), session.labels.ids)
        frame = self._frame[1] if self._frame[0] == index else 0
        request = LookAheadRequest(
            self._stack_key, index, session.settings, painted, self._zoom, frame
        )
        key = self._key

        def done(result: Result) -> None:
            if isinstance(result, LookAheadResult) and key == self._key:
                self._seen_as(index, complete, result)

        self._jobs.start(
            Job(
                "look ahead",
                request,
                session.stack,
                on_report=lambda report: None,
                on_done=done,
                on_failed=lambda sentence: self._give_up(key),
                on_stopped=lambda: None,
            )
        )

    def _seen_as(self, index: int, complete: frozenset[int], result: LookAheadResult) -> None:
        if result.zoom != self._zoom:
            self._begin_anew()  # what was seen so far was framed otherwise
        self._given_up = result.seconds > LONGEST
        self._zoom, self._framed, self._room = result.zoom, complete, result.room
        self._frame = (index, result.frame)
        if not result.frame:
            self._seen.add(index)

    def _give_up(self, key: tuple[object, ...]) -> None:
        """Nobody has asked for it: Adapt will say what is wrong, if it still is."""
        if key == self._key:
            self._given_up = True
