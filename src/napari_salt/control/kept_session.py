"""One session that is kept on disk: what of it has changed, what is written of it, and how. No Qt.

`KeptSession` and `state_of` belong to the viewer's thread; `save_session`, `save_beside`, `open_behind` and
`close_folder` run on the one that writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_salt.control.rounds_folder import ADAPTER_SUFFIX
from napari_salt.errors import InputError, NapariSaltError
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_state import AgreedState, SessionState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.control.prediction_keeper import PredictionKeeper
    from napari_salt.io.session_store import Found
    from napari_salt.session.session import Session
    from napari_salt.sparse_plane import SparsePlane

RETRY = 10.0
"""Seconds before the disk is tried again after it refused."""


@dataclass(eq=False)
class KeptSession:
    """What is known of keeping one session."""

    session: Session
    known: Future[tuple[str, list[Found]]]
    """Identity of the pixels that the image shows now, and earlier work on them."""
    predictions: PredictionKeeper
    folder: SessionFolder | None = None
    slices: set[int] = field(default_factory=set)
    changed: bool = False
    writing: Future[SessionFolder] | None = None
    sent: tuple[int, ...] = ()
    asked: bool = False
    retry_at: float = 0.0
    ticked: frozenset[int] = frozenset()
    """Complete slices as last written: a tick never comes before the paint that it speaks of."""
    mark: str | None = None
    """Of the agreement with other levels as last written."""
    agreed: dict[int, SparsePlane] = field(default_factory=dict)
    """Paint as it was then that the folder holds."""
    before: str | None = None
    """Identity of the pixels before those that the image shows now, where it is known."""

    @property
    def identity(self) -> str | None:
        """Identity of the pixels that the image shows now; None where it is not known, or not yet."""
        known = self.known
        return known.result()[0] if known.done() and known.exception() is None else None

    @property
    def something_waits(self) -> bool:
        """Whether anything is to be written, if it is worth a folder."""
        agreement = self.session.agreement
        mark = None if agreement is None else agreement.mark
        return self.changed or bool(self.slices) or mark != self.mark

    @property
    def nothing_waits(self) -> bool:
        """Whether all there is has been written."""
        session = self.session
        something = session.annotations.usable_slices() or len(session.rounds)
        return not self.something_waits or not (something or self.folder is not None)

    @property
    def is_begun(self) -> bool:
        """Whether there is work of its own, on the disk or not."""
        return self.folder is not None or bool(self.session.annotations.usable_slices())

    def signals(self) -> list[tuple[Any, Callable[..., None]]]:
        """What tells of changes, and what takes note of them."""
        session = self.session
        return [
            (session.annotations.changed, self.painted),
            (session.annotations.completed, self.note),
            (session.labels.changed, self.note),
            (session.settings_changed, self.note),
            (session.adapter_changed, self.note),
            (session.scored, self.note),
            (session.skipped_changed, self.note),
        ]

    def painted(self, index: int) -> None:
        """The paint of a slice has changed."""
        self.slices.add(index)

    def note(self) -> None:
        """Something else than paint has changed."""
        self.changed = True

    @property
    def is_too_early(self) -> bool:
        """Whether what the disk refused is not to be tried again yet."""
        return time.monotonic() < self.retry_at

    def try_later(self) -> None:
        """The disk has refused."""
        self.retry_at = time.monotonic() + RETRY

    def start_anew(self) -> None:
        """The next write makes a folder of its own, with everything in it."""
        self.folder = None
        self.write_again()

    def write_again(self) -> None:
        """The next write has everything in it, whatever was written before."""
        self.slices.update(self.session.annotations.painted_slices())
        self.changed = True
        self.forget_agreed()

    def is_agreed(self) -> None:
        """What levels have agreed on lies in the folder as the session says it."""
        agreement = self.session.agreement
        self.forget_agreed()
        if agreement is not None and agreement.watch is not None:
            self.mark, self.agreed = agreement.mark, dict(agreement.watch.since().planes)

    def forget_agreed(self) -> None:
        """The next write says anew what levels have agreed on."""
        self.mark, self.agreed = None, {}


def save_session(
    folder: SessionFolder | None,
    before: Future[SessionFolder] | None,
    path: Path,
    state: SessionState,
    planes: dict[int, NDArray[np.uint16]],
    adapters: dict[str, Path],
    agreed: dict[int, SparsePlane],
) -> SessionFolder:
    """Runs on the writing thread, where ``before`` has ended by now."""
    if before is not None and before.exception() is None:
        folder = before.result()
    if folder is not None:
        with suppress(InputError):  # what the state takes the place of may be damaged
            state = state.after(folder.state())
    fresh = folder is None
    if folder is None:
        # Killed before the first save, a folder says that nothing is in it.
        empty = replace(
            state, painted=(), complete=(), rounds=(), active=None, adapter=None, agreed=None
        )
        folder = SessionFolder.create(path, empty)
    try:
        for name, source in adapters.items():
            folder.keep_adapter(source, name)
        if agreed:
            folder.keep_agreed(state, agreed)
        folder.save(state, planes)
    except BaseException:
        if fresh:
            folder.remove()  # the next try makes another one
        raise
    return folder


def change_of(session: Session) -> Callable[[SessionState], SessionState]:
    """Makes of a state that was written what a session that is not open says now, beside its paint."""
    complete = tuple(sorted(session.annotations.complete))
    agreement = session.agreement
    changes: dict[str, Any] = {
        "labels": tuple(session.labels),
        "next_id": session.labels.next_id,
        "painted": session.annotations.usable_slices(),
        "complete": complete,
        "agreed": None if agreement is None else AgreedState(agreement.mark, complete=complete),
    }
    return lambda state: replace(state, **changes)


def save_beside(
    path: Path,
    change: Callable[[SessionState], SessionState],
    planes: dict[int, NDArray[np.uint16]],
) -> None:
    """Runs on the writing thread: write a session that is not open.

    Where it cannot be written nothing is said: that is done once more when the session is opened.
    """
    try:
        folder = SessionFolder.open_folder(path)
    except NapariSaltError:
        return
    try:
        with suppress(NapariSaltError):
            folder.save(change(folder.state()), planes)
    finally:
        folder.close()


def open_behind(last: Future[SessionFolder]) -> SessionFolder:
    """Runs on the writing thread, behind the write ``last`` and what closes its folder: open that again."""
    return SessionFolder.open_folder(last.result().path)


def close_folder(
    last: Future[SessionFolder] | None,
    folder: SessionFolder | None,
    masks: Sequence[Future[None]] = (),
) -> None:
    """Runs on the writing thread, behind the last write; waits for the ``masks`` that another thread writes there."""
    wait(masks)
    if last is not None and last.exception() is None:
        folder = last.result()
    if folder is not None:
        folder.close()


def state_of(
    kept: KeptSession, adapters: dict[str, Path], agreed: dict[int, SparsePlane]
) -> SessionState:
    """What to write beside the paint.

    ``adapters`` gets the files to copy, by their name in the folder; ``agreed`` what slices said when levels last
    agreed, as far as the folder does not hold it yet.
    """
    session = kept.session
    rounds = []
    for one in session.rounds:
        name = f"round-{one.number}{ADAPTER_SUFFIX}"
        if _note(kept, adapters, name, Path(one.adapter_path)):
            rounds.append(replace(one, adapter_path=name))
    active, adapter = session.rounds.active, None
    waiting = frozenset(kept.slices)
    kept.ticked = (session.annotations.complete - waiting) | (kept.ticked & waiting)
    if active is None and session.adapter_path is not None:
        source = Path(session.adapter_path)
        if source.is_file():
            adapter = f"adapter-{source.stat().st_mtime_ns:x}{ADAPTER_SUFFIX}"
            _note(kept, adapters, adapter, source)
    numbers = {one.number for one in rounds}
    return SessionState(
        stack=session.stack.info,
        identity=kept.known.result()[0],
        labels=tuple(session.labels),
        next_id=session.labels.next_id,
        painted=session.annotations.usable_slices(),
        complete=tuple(sorted(kept.ticked)),
        skipped=tuple(sorted(session.skipped)),
        rounds=tuple(rounds),
        active=active.number if active is not None and active.number in numbers else None,
        adapter=adapter,
        settings=session.settings,
        agreed=_agreed_of(kept, agreed),
        changed=session.slices_since_round,
    )


def _agreed_of(kept: KeptSession, planes: dict[int, SparsePlane]) -> AgreedState | None:
    """What levels have agreed on; nothing while paint of that time is not yet written."""
    agreement = kept.session.agreement
    if agreement is None or (agreement.mark != kept.mark and kept.slices):
        kept.forget_agreed()
        return None
    if agreement.mark != kept.mark:
        kept.mark, kept.agreed = agreement.mark, {}
    if agreement.watch is None:
        return AgreedState(agreement.mark, complete=tuple(sorted(kept.ticked)))
    since = agreement.watch.since()
    written = {
        index: plane
        for index, plane in since.planes.items()
        if index not in kept.slices or index in kept.agreed
    }
    planes.update((i, plane) for i, plane in written.items() if kept.agreed.get(i) is not plane)
    kept.agreed = written
    complete = tuple(sorted(since.complete))
    return AgreedState(agreement.mark, tuple(written), complete, since.relabelled)


def _note(kept: KeptSession, adapters: dict[str, Path], name: str, source: Path) -> bool:
    """Have an adapter copied that the folder does not hold yet; returns whether there is one."""
    there = None if kept.folder is None else kept.folder.adapter(name)
    if there is not None and there.is_file():
        return True
    if not source.is_file():
        return False
    adapters[name] = source
    return True
