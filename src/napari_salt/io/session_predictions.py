"""Predicted slices of a session, in its folder: a mask store that a newer adapter's slices replace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import __version__
from napari_salt.errors import InputError
from napari_salt.io.mask_store import MadeOf, MaskStore
from napari_salt.model.weights import file_sha256
from napari_salt.records import Label, SlicePrediction

if TYPE_CHECKING:
    from napari_salt.records import StackInfo

PREDICTIONS = "predictions"


@dataclass(frozen=True, eq=False)
class Predicted:
    """A predicted slice, in the session's label ids, and the hash of the adapter that made it (`adapter_sha256`)."""

    prediction: SlicePrediction
    adapter: str


def keep(
    folder: Path, image: str, info: StackInfo, labels: Iterable[Label], found: Iterable[Predicted]
) -> None:
    """Add predicted slices to a session folder; each is on the disk when this returns.

    Slices of another adapter, which are out of date, are dropped when the first of a new one comes. ``image`` is the
    `io.identity.identity` of the stack, ``labels`` the session's. Raises ``OutputError`` when the disk refuses.
    """
    path, named = folder / PREDICTIONS, {label.label_id: label for label in labels}
    store: MaskStore | None = None
    for one in found:
        made_of = MadeOf(
            one.adapter,
            image,
            info.shape,
            tuple(named.get(i, Label(i, str(i))) for i in sorted(one.prediction.summary.areas)),
            uncertainty=True,
        )
        if store is None:
            store = _there(path)
        if store is None or not _goes_with(store.made_of, made_of):
            store = MaskStore.begin(path, made_of, info)
        store.put(one.prediction)
    if store is not None:
        store.close()


def kept_count(folder: Path, image: str) -> int:
    """How many predicted slices of the stack of that identity a session folder holds."""
    store = _there(folder / PREDICTIONS)
    return 0 if store is None or store.made_of.image != image else len(store.done())


def kept(folder: Path, image: str, shape: tuple[int, int, int]) -> Iterator[SlicePrediction]:
    """The predicted slices of a session folder, read one at a time; damaged ones are left out."""
    store = _there(folder / PREDICTIONS)
    if store is None or (store.made_of.image, store.made_of.shape) != (image, shape):
        return
    for summary in store.summaries():
        try:
            yield store.prediction(summary)
        except InputError:
            continue


def kept_by(folder: Path, adapter: Path) -> bool:
    """Whether the predicted slices of a session folder are what this adapter makes now."""
    store = _there(folder / PREDICTIONS)
    if store is None or store.made_of.version != __version__:
        return False
    return adapter.is_file() and store.made_of.adapter == adapter_sha256(adapter)


def adapter_sha256(path: Path) -> str:
    """Hash of an adapter file, worked out once as long as the file stays as it is."""
    state = path.stat()
    return _hash(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _hash(path: Path, changed: int, size: int) -> str:
    del changed, size  # part of the key: a round replaces its first fit under the same name
    return file_sha256(path)


def _there(path: Path) -> MaskStore | None:
    try:
        return MaskStore.open_store(path) if MaskStore.is_store(path) else None
    except InputError:
        return None


def _goes_with(there: MadeOf, new: MadeOf) -> bool:
    """Names and colours may change meanwhile, and labels may be removed."""
    same = (there.adapter, there.image, there.shape, there.version)
    ids = {label.label_id for label in there.labels}
    return same == (new.adapter, new.image, new.shape, new.version) and ids >= {
        label.label_id for label in new.labels
    }
