"""Work that lies in a session folder, opened to go on in it, or only read where it must not be written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.errors import InputError, OutputError, SessionInUse
from napari_salt.io.session_copy import read_copy
from napari_salt.io.session_folder import SessionFolder
from napari_salt.session.agreement import Agreement, Since, Watch
from napari_salt.session.resume import resume

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.io.session_state import SessionState
    from napari_salt.session.session import Session
    from napari_salt.sparse_plane import SparsePlane

IN_USE = "it is open in another window too, so what you do here is kept as a session of its own"
READ_ONLY = "its folder cannot be written, so what you do now is kept as a session of its own"


@dataclass(eq=False)
class KeptWork:
    """What a session folder holds; ``folder`` is None where it is only read, and ``apart`` says why.

    ``planes`` are ``(Y, X)`` uint16 by slice; ``adapter`` says where an adapter of that file name lies; ``agreed`` is
    the paint when levels last agreed, of slices that have changed since, None where nobody knows.
    """

    state: SessionState
    planes: dict[int, NDArray[np.uint16]]
    adapter: Callable[[str], Path]
    folder: SessionFolder | None = None
    apart: str = ""
    agreed: dict[int, SparsePlane] | None = None

    def close(self) -> None:
        """Let go of the folder."""
        if self.folder is not None:
            self.folder.close()

    def onto(self, session: Session) -> str:
        """Put the work in place of what a session holds; returns what is missing, in words.

        A round whose adapter file is gone cannot be restored, and is left out.
        """
        state = self.state
        rounds = [
            replace(one, adapter_path=str(self.adapter(one.adapter_path))) for one in state.rounds
        ]
        there = [one for one in rounds if Path(one.adapter_path).is_file()]
        adapter = None if state.adapter is None else self.adapter(state.adapter)
        resume(
            session,
            labels=state.labels,
            next_id=state.next_id,
            planes=self.planes,
            complete=state.complete,
            rounds=there,
            active=state.active if state.active in {one.number for one in there} else None,
            adapter_path=str(adapter) if adapter is not None and adapter.is_file() else None,
            skipped=state.skipped,
            settings=state.settings,
            changed=state.changed if there == rounds else state.painted,
        )
        session.agreement = self._agreement(session)
        session.earlier_agreement = None
        gone = len(rounds) - len(there)
        return f"the adapter of {wording.count(gone, 'round')} is missing" if gone else ""

    def _agreement(self, session: Session) -> Agreement | None:
        """With the sessions at other levels whose folders have the same mark."""
        told = self.state.agreed
        if told is None or self.agreed is None:
            return None
        since = Since(self.agreed, told.complete, told.relabelled)
        return Agreement(told.mark, Watch(session, since), kept=True)


def open_work(path: Path) -> KeptWork:
    """Open the work in a session folder, if need be only to read it.

    Raises
    ------
    InputError
        It is no session, or is damaged.
    """
    try:
        folder = SessionFolder.open_folder(path)
    except SessionInUse:
        return _only_read(path, IN_USE)
    except OutputError:
        return _only_read(path, READ_ONLY)
    try:
        planes = {index: folder.paint(index) for index in folder.painted_slices()}
        return KeptWork(
            folder.state(), planes, folder.adapter, folder, agreed=_agreed_paint(folder)
        )
    except BaseException:
        folder.close()
        raise


def _agreed_paint(folder: SessionFolder) -> dict[int, SparsePlane] | None:
    try:
        return folder.agreed_paint()
    except InputError:
        return None  # the work itself is whole; what other levels have in common with it is found out anew


def _only_read(path: Path, why: str) -> KeptWork:
    copy = read_copy(path)
    return KeptWork(copy.state, copy.planes, copy.adapter, apart=why)


def contents(slices: int, rounds: int, predicted: int = 0) -> str:
    """What is in a session folder, in words; nothing is said of what there is none of."""
    parts = [wording.count(slices, "slice")] if slices else []
    parts += [wording.count(rounds, "round")] if rounds else []
    parts += [f"masks of {wording.count(predicted, 'slice')}"] if predicted else []
    return ", ".join(parts)
