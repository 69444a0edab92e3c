"""Masks that are still being made: a chunked store on disk that survives whatever ends its writers.

::

    .masks.tif.unfinished/
      zarr.json        an OME-Zarr 0.5 label image: names, colours, voxel size, units
      0/               masks (N, Y, X), smallest unsigned type that holds the ids
      uncertainty/     (N, Y, X) float16, where it was asked for
      made_of.json     `MadeOf`: adapter, image, labels, version; nothing else goes into these masks
      conditions.json  how the stack is seen, once that was chosen
      done/            `done_log.DoneLog`: the slices that are done

A slice counts as done only once its pixels are on the disk: chunks are written and waited for, then the log says so.
What was written without the log knowing is written again. Several processes may write different slices at once; should
two write the same one, they write the same pixels, and zarr puts whole chunks into place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from filelock import FileLock, Timeout

from napari_salt import __version__
from napari_salt.errors import InputError, OutputError
from napari_salt.io.atomic import atomic_write, reach_disk, refusal
from napari_salt.io.bounded_store import BoundedStore
from napari_salt.io.damage import UNREADABLE
from napari_salt.io.done_log import DoneLog
from napari_salt.io.writing import ome_zarr_layout
from napari_salt.io.zarr_chunks import check_codecs
from napari_salt.records import Label, SlicePrediction, SliceSummary

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from napari_salt.records import StackInfo

MASKS, UNCERTAINTY, DONE = "0", "uncertainty", "done"
MADE_OF, CONDITIONS, LOCK = "made_of.json", "conditions.json", "lock"
ADAPTER = "adapter.salt.safetensors"
"""A copy of the adapter for those who have nothing but the store."""
WHOLE_SLICE = 2048 * 2048
"""Pixels of a slice up to which it is one chunk."""
TILE = 1024
LARGEST_TEXT = 16 * 1024**2
ONE_FOLDER: dict[str, Any] = {"name": "default", "separator": "."}
"""Chunks lie beside each other: with folders of its own, each slice would have two more waits for the disk."""
CODECS = ("bytes", "zstd")
"""What masks go through on their way to the disk."""
DAMAGED = "The unfinished masks in '{}' are damaged; delete that folder and begin anew."


@dataclass(frozen=True)
class MadeOf:
    """What masks are made of; only masks of the same make go into one store.

    Attributes
    ----------
    adapter
        SHA-256 of the adapter file.
    image
        `io.identity.closer_identity` of the stack.
    shape
        ``(N, Y, X)``.
    labels
        Those that are segmented.
    uncertainty
        Whether it is kept too.
    version
        Of napari-salt.
    """

    adapter: str
    image: str
    shape: tuple[int, int, int]
    labels: tuple[Label, ...]
    uncertainty: bool = False
    version: str = __version__

    def difference(self, other: MadeOf) -> str:
        """In words, how ``other`` was made otherwise; empty where both are the same."""
        if self.adapter != other.adapter:
            return "with another adapter"
        if (self.image, self.shape) != (other.image, other.shape):
            return "of another image"
        if self.labels != other.labels:
            names = ", ".join(label.name for label in other.labels)
            return f"for other labels ({names})"
        if self.version != other.version:
            return f"with napari-salt {other.version}, and this is {self.version}"
        if self.uncertainty and not other.uncertainty:
            return "without uncertainty"
        return ""


class MaskStore:
    """An open store; make one with `begin` or `open_store`.

    ``writer`` starts the name of this process's own log.
    """

    def __init__(self, path: Path, made_of: MadeOf, writer: str) -> None:
        self.path, self.made_of = path, made_of
        self._masks = _open_array(path, MASKS, made_of.shape)
        self._doubts = (
            _open_array(path, UNCERTAINTY, made_of.shape) if made_of.uncertainty else None
        )
        self._log = DoneLog(path / DONE, writer)

    # ---- opening

    @staticmethod
    def begin(path: Path, made_of: MadeOf, info: StackInfo) -> MaskStore:
        """A new, empty store at ``path``; what is there and is no store is replaced.

        ``info`` gives the voxel size. Raises ``OutputError`` when the disk refuses.
        """
        try:
            path.mkdir(exist_ok=True)
            _disown(path)
            for part in path.iterdir():
                if part.name != LOCK:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
            (path / DONE).mkdir()
            _create_arrays(path, made_of, info)
            _write_text(path / MADE_OF, json.dumps(asdict(made_of)))
            reach_disk(path)
            reach_disk(path.parent)
        except OSError as error:
            raise OutputError(refusal(error, path)) from error
        return MaskStore(path, made_of, "log")

    @staticmethod
    def is_store(path: Path) -> bool:
        """Whether a store was begun at ``path``."""
        return (path / MADE_OF).is_file()

    @staticmethod
    def open_store(path: Path, writer: str = "log") -> MaskStore:
        """Open what was begun; InputError where there is none, or it is damaged."""
        text = _read_text(path / MADE_OF)
        if text is None:
            raise InputError(f"There are no unfinished masks in '{path}'; check the path.")
        try:
            return MaskStore(path, _made_of(json.loads(text)), writer)
        except UNREADABLE as error:
            raise InputError(DAMAGED.format(path)) from error

    def check(self, made_of: MadeOf) -> None:
        """InputError, with what is different, when masks made of ``made_of`` do not go in here."""
        different = made_of.difference(self.made_of)
        if different:
            raise InputError(
                f"The unfinished masks in '{self.path}' were made {different}; finish them as they were begun, "
                "or delete that folder to begin anew."
            )

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the one run that fills this store; InputError when another one does."""
        with claimed(self.path):
            yield

    # ---- writing

    def put(self, prediction: SlicePrediction) -> None:
        """Keep one slice; it is done, and on the disk, when this returns.

        Raises ``OutputError`` when the disk refuses; the slice is then not done.
        """
        index = prediction.index
        try:
            self._masks[index] = prediction.labels
            self._reach_disk(MASKS, self._masks, index)
            if self._doubts is not None:
                self._doubts[index] = prediction.uncertainty
                self._reach_disk(UNCERTAINTY, self._doubts, index)
            self._log.add(prediction.summary)
        except OSError as error:
            raise OutputError(refusal(error, self.path)) from error

    def keep_conditions(self, text: str) -> None:
        """Keep how the stack is seen, as text."""
        _write_text(self.path / CONDITIONS, text)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def remove(self) -> None:
        """Delete everything."""
        self.close()
        with suppress(OSError):
            _disown(self.path)
        shutil.rmtree(self.path, ignore_errors=True)

    def keep_adapter(self, path: Path) -> None:
        """Keep a copy of the adapter for workers; ``OutputError`` when the disk refuses."""
        with atomic_write(self.path / ADAPTER) as part:
            shutil.copyfile(path, part)

    # ---- reading

    def conditions(self) -> str | None:
        """What `keep_conditions` has kept."""
        return _read_text(self.path / CONDITIONS)

    def summaries(self, writer: str = "") -> Iterator[SliceSummary]:
        """What is known of the slices that are done, each once; of logs whose name starts with ``writer``."""
        seen: set[int] = set()
        count = self.made_of.shape[0]
        for summary in self._log.summaries(writer):
            if 0 <= summary.index < count and summary.index not in seen:
                seen.add(summary.index)
                yield summary

    def done(self) -> frozenset[int]:
        """The slices that are done."""
        return frozenset(summary.index for summary in self.summaries())

    def prediction(self, summary: SliceSummary) -> SlicePrediction:
        """A slice that is done, with its pixels; InputError where they are damaged."""
        try:
            labels = np.asarray(self._masks[summary.index])
            doubts = (
                np.zeros(labels.shape, np.float16)
                if self._doubts is None
                else np.asarray(self._doubts[summary.index])
            )
        except UNREADABLE as error:
            raise InputError(DAMAGED.format(self.path)) from error
        return SlicePrediction(summary.index, labels, doubts, summary)

    def masks(self, slices: Collection[int]) -> StoredPlanes:
        """The masks of ``slices``; all others are 0."""
        return StoredPlanes(self._masks, slices)

    def uncertainty(self, slices: Collection[int]) -> StoredPlanes:
        """The uncertainty of ``slices``; all others are 0. For a store that keeps it."""
        return StoredPlanes(self._doubts, slices)

    def _reach_disk(self, name: str, array: Any, index: int) -> None:
        """Wait for the chunks of a slice; a chunk of zeros has no file."""
        root = self.path / name
        grid = [
            range(-(-length // size))
            for length, size in zip(array.shape, array.chunks, strict=True)
        ]
        folders: set[Path] = set()
        for row, column in product(grid[1], grid[2]):
            chunk = root / array.metadata.encode_chunk_key((index, row, column))
            if chunk.exists():
                reach_disk(chunk)
                folders.update(one for one in chunk.parents if one.is_relative_to(root))
        for folder in sorted(folders, key=lambda one: -len(one.parts)):
            reach_disk(folder)


class StoredPlanes:
    """Some planes of an array ``(N, Y, X)``, read one at a time; the others are 0."""

    def __init__(self, array: Any, slices: Collection[int]) -> None:
        self._array, self._slices = array, frozenset(slices)
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Plane ``index``, ``(Y, X)``."""
        if index not in self._slices:
            return np.zeros(self.shape[1:], self.dtype)
        return np.asarray(self._array[index])


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Be the one run that works in the folder ``path``, which is made; InputError when another one does."""
    try:
        path.mkdir(exist_ok=True)
        lock = FileLock(path / LOCK, thread_local=False)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another run is writing to '{path}'; wait for it, or give the result another name."
        ) from None
    except OSError as error:
        raise OutputError(refusal(error, path)) from error
    try:
        yield
    finally:
        lock.release()


def _disown(path: Path) -> None:
    """Make a folder no store any more, before anything in it goes: half of one would pass for damaged, or for whole."""
    (path / MADE_OF).unlink(missing_ok=True)
    reach_disk(path)


def _create_arrays(path: Path, made_of: MadeOf, info: StackInfo) -> None:
    rows, columns = made_of.shape[1:]
    tile = (rows, columns) if rows * columns <= WHOLE_SLICE else (TILE, TILE)
    chunks = (1, min(tile[0], rows), min(tile[1], columns))
    largest = max((label.label_id for label in made_of.labels), default=0)
    layout = ome_zarr_layout.flat_layout(info, MASKS)
    told = ome_zarr_layout.attributes(layout, "masks", made_of.labels, beside=False)
    group = zarr.create_group(path, attributes=told)
    group.create_array(
        MASKS,
        shape=made_of.shape,
        chunks=chunks,
        dtype=np.min_scalar_type(largest),
        fill_value=0,
        dimension_names=[axis["name"] for axis in layout.axes],
        chunk_key_encoding=ONE_FOLDER,
    )
    if made_of.uncertainty:
        group.create_array(
            UNCERTAINTY,
            shape=made_of.shape,
            chunks=chunks,
            dtype=np.float16,
            fill_value=0,
            chunk_key_encoding=ONE_FOLDER,
        )


def _open_array(path: Path, name: str, shape: tuple[int, int, int]) -> Any:
    array = zarr.open_array(BoundedStore.of(path / name, read_only=False), mode="r+")
    check_codecs(array, CODECS)
    kind = "f" if name == UNCERTAINTY else "u"
    outside = any(size > length for size, length in zip(array.chunks, array.shape, strict=True))
    if array.shape != shape or array.chunks[0] != 1 or outside or array.dtype.kind != kind:
        raise ValueError("not an array of these masks")
    return array


def _made_of(content: dict[str, Any]) -> MadeOf:
    if set(content) != {one.name for one in fields(MadeOf)}:
        raise KeyError("fields")
    number, rows, columns = (int(length) for length in content["shape"])
    labels = tuple(
        Label(int(one["label_id"]), str(one["name"]), tuple(map(float, one["color"])))  # type: ignore[arg-type]
        for one in content["labels"]
    )
    return MadeOf(
        str(content["adapter"]),
        str(content["image"]),
        (number, rows, columns),
        labels,
        bool(content["uncertainty"]),
        str(content["version"]),
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def _read_text(path: Path) -> str | None:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(DAMAGED.format(path.parent))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(DAMAGED.format(path.parent)) from error
