"""One work on all levels of a pyramid: what is painted at one level comes along to the others. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_salt import wording
from napari_salt.session.levels import Watch, bring_all, bring_changes

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.geometry import Place
    from napari_salt.session.session import Session

_agreed: WeakKeyDictionary[Session, object] = WeakKeyDictionary()
"""Sessions with the same mark say the same, each at its level; they outlive a dock."""


class LevelController:
    """Follows the open session; when it is left, what has changed is brought to the other levels.

    ``changed_elsewhere`` is told of slices that have changed in sessions that are not open.
    """

    def __init__(
        self, desk: Desk, changed_elsewhere: Callable[[Session, Iterable[int]], None]
    ) -> None:
        self._desk, self._changed_elsewhere = desk, changed_elsewhere
        self._watch: Watch | None = None
        self._brought: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
        """Slices that were brought to each session when the last one was left."""

    def opened(self) -> None:
        """A session was opened: remember what it says."""
        session = self._desk.session
        self._forget()
        if session is not None:
            self._watch = Watch(session, keep=bool(self._peers(session)))

    def left(self) -> None:
        """The open session is about to be left: bring what has changed to those that agreed with it."""
        session, watch = self._desk.session, self._watch
        self._brought.clear()
        if session is None or watch is None:
            return
        if watch.changed:
            peers = [] if watch.replaced or not watch.keeps else self._peers(session)
            _agreed[session] = object()
            for peer in peers:
                with self._noted(peer):
                    self._brought[peer] = len(bring_changes(session, watch, peer).slices)
                _agreed[peer] = _agreed[session]
        self._forget()

    def came_from(self, before: Session, place: Place) -> None:
        """The session at another level of the same image was opened after that at ``place``: all is to be here, too."""
        session = self._desk.session
        if session is None or self._desk.place is None:
            return
        slices = self._brought.get(session, 0)
        mark = _agreed.setdefault(before, object())
        if _agreed.get(session) is not mark:
            slices = self._meet(before, session, mark)
        self.opened()
        self._desk.link.refresh_paint()
        if slices:
            self._tell(slices, before, session, place)

    def _meet(self, before: Session, session: Session, mark: object) -> int:
        """Bring all to a session that did not agree with ``before``, and what it says itself there."""
        is_new = not session.annotations.usable_slices()
        brought = [bring_all(before, session)]
        if not is_new:
            with self._noted(before):
                brought.append(bring_all(session, before))
        _agreed[session] = mark if all(one.same_ids for one in brought) else object()
        return len(brought[0].slices)

    def _tell(self, slices: int, before: Session, session: Session, place: Place) -> None:
        text = f"your paint came along to {wording.count(slices, 'slice')}"
        shapes = zip(session.stack.info.shape, before.stack.info.shape, strict=True)
        if any(few < many for few, many in shapes):
            finer = f"level {place.level}" if place.level else "full resolution"
            text += f", as coarse as they are; at {finer} it stays as you painted it"
        self._desk.say(f"{text} (Undo takes it back here)")

    def _peers(self, session: Session) -> list[Session]:
        """Sessions at other levels that agree with one, as far as they can be reached."""
        place, mark = self._desk.place, _agreed.get(session)
        if place is None or mark is None:
            return []
        others = self._desk.link.sessions_at_other_levels(place)
        return [one for one in others if _agreed.get(one) is mark]

    @contextmanager
    def _noted(self, session: Session) -> Iterator[None]:
        """Have what changes in a session that is not open written when it is opened."""
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
        if self._watch is not None:
            self._watch.close()
        self._watch = None
