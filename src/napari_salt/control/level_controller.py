"""One work on all levels of a pyramid: what is painted at one level comes along to the others. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_salt import wording
from napari_salt.session.agreement import Agreement
from napari_salt.session.levels import bring_all, bring_changes

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.geometry import Place
    from napari_salt.session.session import Session


class LevelController:
    """Follows the open session; when it is left, what has changed is brought to the other levels.

    Work that comes back from a folder is brought up to date by the levels that agreed with it when it was saved.
    ``changed_elsewhere`` is told of slices that have changed in sessions that are not open.
    """

    def __init__(
        self, desk: Desk, changed_elsewhere: Callable[[Session, Iterable[int]], None]
    ) -> None:
        self._desk, self._changed_elsewhere = desk, changed_elsewhere
        self._open: Session | None = None
        self._brought: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
        """Slices that were brought to each session when the last one was left."""

    def opened(self) -> None:
        """A session was opened: remember what it says."""
        self._forget()
        self._open = session = self._desk.session
        if session is not None:
            session.resumed.connect(self._resumed)
            if session.agreement is not None:
                session.agreement.follow(session)

    def left(self) -> None:
        """The open session is about to be left: bring what has changed to those that agreed with it."""
        session = self._open
        self._forget()
        self._brought.clear()
        if session is None or session.agreement is None:
            return
        agreed = session.agreement
        if agreed.watch is None or not agreed.touched:
            agreed.rest()
            return
        if agreed.watch.replaced:
            session.agreement = None
            return
        peers = self._peers(session)
        mark = Agreement().mark
        for peer in peers:
            _set_aside(peer)
            with self._noted(peer):
                self._brought[peer] = len(bring_changes(session, agreed.watch, peer).slices)
                peer.agreement = Agreement(mark)
        if peers:
            _set_aside(session)
            session.agreement = Agreement(mark)

    def came_from(self, before: Session, place: Place) -> None:
        """The session at another level of the same image was opened after that at ``place``: all is to be here, too."""
        session = self._desk.session
        if session is None or self._desk.place is None:
            return
        slices = self._brought.get(session, 0)
        if not _agree(before, session) or _touched(before) or _touched(session):
            slices = self._meet(before, session)
        self.opened()
        self._desk.link.refresh_paint()
        if slices:
            self._tell(slices, before, session, place)

    def _meet(self, before: Session, session: Session) -> int:
        """Bring all to a session that did not agree with ``before``, and what it says itself there."""
        is_new = not session.annotations.usable_slices()
        agreed = before.agreement
        joins = is_new and agreed is not None and not agreed.touched
        if not joins:
            _set_aside(before)
        _set_aside(session)
        with self._noted(before):
            brought = [bring_all(before, session)]
            if not is_new:
                brought.append(bring_all(session, before))
            if not all(one.same_ids for one in brought):
                before.agreement = session.agreement = None
            elif joins and agreed is not None:
                session.agreement = Agreement(agreed.mark)
            else:
                _start_anew(before, session)
        return len(brought[0].slices)

    def _resumed(self) -> None:
        """Kept work is open now: bring it what a session that agreed with it then has changed, or the other way."""
        session = self._desk.session
        self._brought.clear()
        if session is None or session.agreement is None or self._desk.place is None:
            return
        mine = session.agreement
        for peer in self._desk.link.sessions_at_other_levels(self._desk.place):
            theirs = _with_mark(peer, mine.mark)
            if theirs is None or (mine.touched and theirs.touched):
                continue  # where both have changed, both stay as they are, and all is brought when levels change
            if theirs.watch is not None and theirs.touched:
                bring_changes(peer, theirs.watch, session)
                self._join(session, peer)
            elif mine.watch is not None and mine.touched:
                _set_aside(peer)
                with self._noted(peer):
                    bring_changes(session, mine.watch, peer)
                    _set_aside(session)
                    _start_anew(session, peer)
            session.agreement.follow(session)
            return

    def _join(self, session: Session, peer: Session) -> None:
        """Both say what ``peer`` says, which stays as it is."""
        agreed = peer.agreement
        _set_aside(session)
        if agreed is not None and not agreed.touched:
            session.agreement = Agreement(agreed.mark)
            return
        _set_aside(peer)
        with self._noted(peer):
            _start_anew(session, peer)

    def _tell(self, slices: int, before: Session, session: Session, place: Place) -> None:
        text = f"your paint came along to {wording.count(slices, 'slice')}"
        shapes = zip(session.stack.info.shape, before.stack.info.shape, strict=True)
        if any(few < many for few, many in shapes):
            finer = f"level {place.level}" if place.level else "full resolution"
            text += f", as coarse as they are; at {finer} it stays as you painted it"
        self._desk.say(f"{text} (Undo takes it back here)")

    def _peers(self, session: Session) -> list[Session]:
        """Sessions at other levels that agree with one, as far as they can be reached."""
        place = self._desk.place
        if place is None:
            return []
        others = self._desk.link.sessions_at_other_levels(place)
        return [one for one in others if _agree(session, one)]

    @contextmanager
    def _noted(self, session: Session) -> Iterator[None]:
        """Have what changes in a session that is not open written, and with whom it agrees now."""
        changed: set[int] = set()

        def note(index: int, *rest: object) -> None:
            changed.add(index)

        annotations = session.annotations
        annotations.changed.connect(note)
        annotations.completed.connect(note)
        try:
            yield
        finally:
            annotations.changed.disconnect(note)
            annotations.completed.disconnect(note)
            self._changed_elsewhere(session, changed)

    def _forget(self) -> None:
        if self._open is not None:
            self._open.resumed.disconnect(self._resumed)
        self._open = None


def _agree(one: Session, other: Session) -> bool:
    """Whether both said the same at the same moment, and that is the newest that both know of."""
    if one.agreement is None or other.agreement is None:
        return False
    return one.agreement.mark == other.agreement.mark


def _touched(session: Session) -> bool:
    return session.agreement is not None and session.agreement.touched


def _start_anew(one: Session, other: Session) -> None:
    """Both say the same now."""
    mark = Agreement().mark
    one.agreement, other.agreement = Agreement(mark), Agreement(mark)


def _with_mark(session: Session, mark: str) -> Agreement | None:
    """The agreement of that mark, if a session still knows what it said then."""
    for agreed in (session.agreement, session.earlier_agreement):
        if agreed is not None and agreed.mark == mark:
            return agreed
    return None


def _set_aside(session: Session) -> None:
    """Before another agreement takes its place: one from a folder is remembered, others may still come by it."""
    agreed = session.agreement
    if agreed is None:
        return
    if agreed.kept and agreed.watch is not None:
        agreed.watch.alone = True
        session.earlier_agreement = agreed
    elif agreed.watch is not None:
        agreed.watch.close()
