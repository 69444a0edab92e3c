"""Offers earlier work on the stack that was opened. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.kept_session import KeptSession
from napari_salt.control.kept_work import contents
from napari_salt.errors import UnreadableSlice
from napari_salt.io.identity import identity

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.io.session_store import Found, SessionStore
    from napari_salt.records import Planes, StackInfo
    from napari_salt.session.session import Session


class EarlierWork:
    """Finds kept work on the stack of a session, and offers it once.

    Parameters
    ----------
    desk
        Where it is offered.
    store
        Kept sessions.
    pool
        The thread that looks for it.
    go_on
        Restores the work in a session folder.
    changed
        Called when there is something new to show.
    """

    def __init__(
        self,
        desk: Desk,
        store: SessionStore,
        pool: ThreadPoolExecutor,
        go_on: Callable[[Path], None],
        changed: Callable[[], None],
    ) -> None:
        self._desk, self._store, self._pool = desk, store, pool
        self._go_on, self._changed = go_on, changed
        self._take: Callable[[], None] | None = None

    @property
    def offered(self) -> bool:
        """Whether earlier work is on offer now."""
        return self._take is not None and self._desk.offer is self._take

    def look_up(
        self, session: Session, before: str | None = None
    ) -> Future[tuple[str, list[Found]]]:
        """Earlier work on the stack of a session, or on another level of its image.

        ``before`` is the identity of the pixels that were shown before, and stands for those now where they cannot be
        read: the work on them must be saved all the same.
        """
        place = self._desk.place
        link = self._desk.link
        others = [] if place is None else link.images.other_levels(place)
        joined = None if place is None else link.joined_stack()
        if joined is not None:
            others.append(joined)
        stack, store = session.stack, self._store
        if before is None:
            return self._pool.submit(find_work, stack, others, store)
        return self._pool.submit(_find_work_or, before, stack, others, store)

    def offer(self, kept: KeptSession) -> None:
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
        self._take = lambda: self._go_on(best.path)
        here, there = kept.session.stack.info, best.state.stack
        self._desk.say(
            f"Restore your work on “{here.name or 'this image'}”{_seen_as(there, here)}? "
            f"{contents(best.slices, len(best.state.rounds), best.predicted)}",
            "plain",
            "Restore",
            self._take,
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
        if kept.is_too_early:
            return
        if kept.retry_at:
            kept.known = self.look_up(kept.session)
        else:
            self._desk.fail("This image cannot be read, so your work on it is not being saved.")
            self._changed()
        kept.try_later()


def _seen_as(there: StackInfo, here: StackInfo) -> str:
    """How work was done that was done on another level of an image, or on its channels together."""
    if there.shape != here.shape:
        return f" at {wording.plane_size(there.shape)}"
    return f", {there.channels} channels together" if there.channels > here.channels else ""


def _find_work_or(
    before: str, planes: Planes, levels: Sequence[Planes], store: SessionStore
) -> tuple[str, list[Found]]:
    try:
        return find_work(planes, levels, store)
    except Exception:  # noqa: BLE001
        return before, []  # an image can raise anything when it is read


def find_work(
    planes: Planes, levels: Sequence[Planes], store: SessionStore
) -> tuple[str, list[Found]]:
    """Identity of a stack, and earlier work on it, on other ``levels`` of its image, or on its channels together.

    The newest comes first.

    Runs on the writing thread: it reads slices, of others only where work on a stack of that shape is kept.
    """
    told = identity(planes)
    found = store.find(told)
    shapes = store.shapes() if levels else frozenset()
    for other in levels:
        if other.info.shape in shapes:
            with suppress(UnreadableSlice):
                found += store.find(identity(other))
    return told, sorted(found, key=lambda one: -one.changed)
