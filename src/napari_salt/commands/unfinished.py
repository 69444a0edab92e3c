"""Masks that a command has begun lie beside its output until they are whole, so that nothing is computed twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.errors import InputError, OutputError
from napari_salt.io.mask_store import MaskStore, claimed

if TYPE_CHECKING:
    from napari_salt.commands.console import Console
    from napari_salt.io.mask_store import MadeOf
    from napari_salt.records import StackInfo


def store_beside(out: Path) -> Path:
    """The hidden folder of the unfinished masks of ``out``."""
    return out.absolute().with_name(f".{out.name}.unfinished")


@contextmanager
def unfinished_masks(
    out: Path, made_of: MadeOf, info: StackInfo, console: Console, *, resume: bool
) -> Iterator[MaskStore]:
    """A store beside ``out``: an earlier one to go on with, or a new one. It goes when all went well.

    When anything goes wrong it stays, if any slice is in it, and the console says how to go on.

    Raises
    ------
    InputError
        There is an unfinished run and ``resume`` is not set; it was made of something else; or it is still running.
    """
    path = store_beside(out)
    with claimed(path):  # first of all, for a run that is not over is none to begin anew
        if MaskStore.is_store(path):
            store = MaskStore.open_store(path)
            if not resume:
                raise InputError(
                    f"An earlier run left {_so_far(store)} of '{out}' unfinished; add --resume to go on with it, or "
                    f"delete the folder '{path}' to begin anew."
                )
            store.check(made_of)
            console.note(f"Going on with {_so_far(store)} done.")
        else:
            store = _begun(path, made_of, info)
        try:
            yield store
        except BaseException:
            store.close()
            if not store.done():
                store.remove()
            else:
                console.note(f"{_so_far(store)} are kept; add --resume to go on with them.")
            raise
        store.remove()


def _begun(path: Path, made_of: MadeOf, info: StackInfo) -> MaskStore:
    """A new store; where the disk refuses it, no folder is left either."""
    try:
        return MaskStore.begin(path, made_of, info)
    except OutputError:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _so_far(store: MaskStore) -> str:
    return f"{len(store.done())} of {wording.count(store.made_of.shape[0], 'slice')}"
