"""Work whose image or paint layer has gone: kept, and given back when the image returns."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.errors import NapariSaltError
from napari_salt.session.stack import Stack

if TYPE_CHECKING:
    from napari_salt.geometry import Place
    from napari_salt.records import StackInfo
    from napari_salt.session.session import Session

_Print = tuple[tuple[int, ...], int, str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class _Orphan:
    place_name: str
    session: Session
    print_: _Print | None
    """What the image looked like; None where it is still here."""


class Orphans:
    """Sessions that wait; those without any work are not kept."""

    def __init__(self) -> None:
        self._waiting: list[_Orphan] = []

    def keep(self, place_name: str, session: Session, *, image_gone: bool) -> None:
        """Keep the work of a place; with its image gone, the pixels are let go."""
        self.forget(session)
        if not session.annotations.usable_slices() and not len(session.rounds):
            return
        print_ = fingerprint(session.stack) if image_gone else None
        if image_gone:
            session.replace_stack(_without_pixels(session.stack.info))
        self._waiting.append(_Orphan(place_name, session, print_))

    def forget(self, session: Session) -> None:
        """A session has its layers again."""
        self._waiting = [orphan for orphan in self._waiting if orphan.session is not session]

    def waits(self, place: Place, stack: Stack) -> bool:
        """Whether there is work that belongs to a place or to its image."""
        return (self._named(place, stack) or self._alike(stack)) is not None

    def take(self, place: Place, stack: Stack) -> tuple[str, Session] | None:
        """The work that belongs to a place or to its image, with the name of its former place."""
        known = self._named(place, stack) or self._alike(stack)
        if known is None:
            return None
        self._waiting.remove(known)
        known.session.replace_stack(stack)
        return known.place_name, known.session

    def _named(self, place: Place, stack: Stack) -> _Orphan | None:
        """The newest work of just this place: its image is still here, or is here again."""
        shape = stack.info.shape
        fitting = (x for x in reversed(self._waiting) if x.session.stack.info.shape == shape)
        return next((x for x in fitting if x.place_name == place.name), None)

    def _alike(self, stack: Stack) -> _Orphan | None:
        shapes = [orphan.print_[0] for orphan in self._waiting if orphan.print_ is not None]
        if stack.info.shape not in shapes:
            return None
        print_ = fingerprint(stack)
        if print_ is None:
            return None
        return next((x for x in reversed(self._waiting) if x.print_ == print_), None)


def fingerprint(stack: Stack) -> _Print | None:
    """Shape, type and check sums of the first, the middle and the last slice; None if unreadable."""
    count = len(stack)
    try:
        sums = tuple(
            zlib.crc32(np.ascontiguousarray(stack.plane(index)).data)
            for index in sorted({0, count // 2, count - 1})
        )
    except (NapariSaltError, OSError):
        return None
    return stack.info.shape, stack.info.channels, stack.info.dtype, sums


def _without_pixels(info: StackInfo) -> Stack:
    """A stack that says the same of itself and holds no pixels."""
    shape = (*info.shape, info.channels) if info.channels > 1 else info.shape
    return Stack(
        np.broadcast_to(np.zeros((), info.dtype), shape),
        channel_axis=3 if info.channels > 1 else None,
        rgb=info.rgb,
        spacing=info.spacing,
        units=info.units,
        name=info.name,
    )
