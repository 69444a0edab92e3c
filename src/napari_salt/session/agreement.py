"""What a session said when it and those of other levels last agreed, and what has changed since then."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.session.level_grid import Plane, Said
from napari_salt.sparse_plane import SparsePlane

if TYPE_CHECKING:
    from napari_salt.session.session import Session
    from napari_salt.session.undo import Step

CARRIED = "paint from another level"
"""What a step that brings paint from another level is called."""


@dataclass(frozen=True, eq=False)
class Since:
    """What a session said at some moment before now.

    Attributes
    ----------
    planes
        Paint then of the slices whose paint or tick has changed since.
    complete
        Slices that were complete then.
    relabelled
        Whether labels have changed since.
    """

    planes: Mapping[int, SparsePlane]
    complete: Collection[int]
    relabelled: bool = False


class Watch:
    """Remembers what a session says now, to tell later what of it has changed; ``close`` ends that.

    Bringing paint here from another level, undone or made again, is no change: the other level knows it.

    Parameters
    ----------
    session
        The session.
    since
        What it said before now, where that is to be remembered instead.
    """

    def __init__(self, session: Session, since: Since | None = None) -> None:
        annotations = session.annotations
        self.changed: set[int] = set()
        """Slices whose paint or tick may have changed."""
        self.relabelled = False
        """Whether labels have changed."""
        self.replaced = False
        """Whether other work has taken the place of all that was remembered."""
        self.alone = False
        """Whether paint from another level is a change like any other: who agreed then does not know it."""
        size = annotations.paint.shape[1], annotations.paint.shape[2]
        self._unpainted = SparsePlane(size)
        self._complete = set(annotations.complete)
        self._planes = {
            index: SparsePlane.of(annotations.paint[index])
            for index in annotations.painted_slices()
        }
        if since is not None:
            self._go_back(since)
        self._slots: list[tuple[Any, Callable[..., None]]] = [
            (annotations.changed, self._painted),
            (annotations.completed, self._ticked),
            (annotations.stepped, self._stepped),
            (annotations.replaced, self._forget),
            (session.labels.changed, self._relabel),
        ]
        for signal, slot in self._slots:
            signal.connect(slot)

    def close(self) -> None:
        """Listen no more."""
        for signal, slot in self._slots:
            signal.disconnect(slot)
        self._slots = []

    @property
    def touched(self) -> bool:
        """Whether anything may have changed."""
        return bool(self.changed) or self.relabelled or self.replaced

    def before(self) -> Said:
        """What was remembered."""
        return Said(self._plane, self._planes.keys() | self._complete, self._complete)

    def since(self) -> Since:
        """What was remembered, of what may have changed; the same planes each time until they differ."""
        planes = {index: self._planes.get(index, self._unpainted) for index in sorted(self.changed)}
        return Since(planes, frozenset(self._complete), self.relabelled)

    def _go_back(self, since: Since) -> None:
        self.changed = {*since.planes, *self._complete.symmetric_difference(since.complete)}
        self.relabelled, self._complete = since.relabelled, set(since.complete)
        for index, plane in since.planes.items():
            if plane.tiles:
                self._planes[index] = plane
            else:
                self._planes.pop(index, None)

    def _plane(self, index: int) -> Plane | None:
        kept = self._planes.get(index)
        return None if kept is None else np.asarray(kept)

    def _painted(self, index: int) -> None:
        self.changed.add(index)

    def _ticked(self, index: int, complete: bool) -> None:
        self.changed.add(index)

    def _relabel(self) -> None:
        self.relabelled = True

    def _forget(self) -> None:
        self.replaced = True

    def _stepped(self, step: Step, made: bool) -> None:
        if step.what != CARRIED or self.alone:
            return
        for part in step.parts:
            plane = np.asarray(self._planes.get(part.index, self._unpainted))
            (part.make_again if made else part.take_back)(plane)
            self._planes[part.index] = SparsePlane.of(plane)
            if part.completed:
                (self._complete.add if made else self._complete.discard)(part.index)


@dataclass(eq=False)
class Agreement:
    """Sessions at different levels that said the same at some moment have the same ``mark``.

    Attributes
    ----------
    mark
        Names that moment, in session folders too.
    watch
        What the session said then; None while it is as it was then, and nobody changes it.
    kept
        Whether it comes from a session folder: there may be other folders with this mark.
    """

    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    watch: Watch | None = None
    kept: bool = False

    @property
    def touched(self) -> bool:
        """Whether the session may say something else now."""
        return self.watch is not None and self.watch.touched

    def follow(self, session: Session) -> None:
        """The session may change from now on."""
        if self.watch is None:
            self.watch = Watch(session)

    def rest(self) -> None:
        """The session is not changed for now."""
        if self.watch is not None and not self.watch.touched and not self.kept:
            self.watch.close()
            self.watch = None
