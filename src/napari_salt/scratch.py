"""Arrays that are too large for memory, in temporary files that go from one process to another by name."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from napari_salt.errors import OutputError
from napari_salt.faults import FULL, advice

PREFIX = "napari-salt-scratch-"

_by_name: ContextVar[bool] = ContextVar("by_name", default=False)


class Scratch(np.ndarray[Any, Any]):
    """An array in a temporary file, all zeros at first; see `scratch`. The file goes with its owner."""

    _map: mmap.mmap | None = None
    _path: Path | None = None
    _removal: weakref.finalize[[str], Any] | None = None

    def release(self) -> None:
        """Take what was read and written out of this process's memory; it stays in the file."""
        if self._map is not None and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def remove_file(self) -> None:
        """Take the file's name away, also where it was handed to another process that may never have taken it."""
        if self._path is not None and os.name == "posix":
            _remove(str(self._path))

    def __reduce__(self) -> Any:
        owner = self._removal is not None and self._removal.alive
        if not (_by_name.get() and owner):
            return np.array(self, subok=False).__reduce__()
        self.release()
        assert self._removal is not None
        self._removal.detach()
        return _taken_over, (str(self._path), self.shape, self.dtype.str)


def scratch(shape: tuple[int, ...], dtype: DTypeLike) -> Scratch:
    """Zeros in a temporary file that has all its room on the disk already.

    Raises
    ------
    OutputError
        The folder for temporary files is full or cannot be written to.
    """
    kind = np.dtype(dtype)
    size = max(1, int(np.prod(shape, dtype=np.int64)) * kind.itemsize)
    sweep()
    name = None
    try:
        number, name = tempfile.mkstemp(prefix=f"{PREFIX}{os.getpid()}-")
        with os.fdopen(number, "r+b") as file:
            if hasattr(os, "posix_fallocate"):
                # a map of a file whose disk fills up later would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
    except OSError as error:
        if name is not None:
            _remove(name)
        helps = advice(error)
        if helps in (None, FULL):
            helps = f"free {size // 2**20 + 1} MB there"
        raise OutputError(
            f"'{tempfile.gettempdir()}' cannot hold what is being worked on ({error.strerror or error}); {helps}."
        ) from error
    return _opened(name, shape, kind)


@contextlib.contextmanager
def handing_over() -> Iterator[None]:
    """What is pickled in here goes by its file's name, once, to a process on this machine that owns it from then on."""
    token = _by_name.set(True)
    try:
        yield
    finally:
        _by_name.reset(token)


def _taken_over(name: str, shape: tuple[int, ...], dtype: str) -> Scratch:
    array = _opened(name, shape, np.dtype(dtype))
    if os.name == "posix" and array._removal is not None:
        array._removal()  # from here on the file lives without a name, and ends with this process
    return array


def _opened(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Scratch:
    """The array in a file that exists, and whose owner this process is from now on."""
    with open(name, "r+b") as file:
        pixels = mmap.mmap(file.fileno(), 0)
    array: Scratch = np.ndarray(shape, dtype, pixels).view(Scratch)
    array._map, array._path = pixels, Path(name)
    array._removal = weakref.finalize(array, _remove, name)
    return array


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):  # on Windows a file stays as long as somebody looks at it
        os.unlink(name)


def sweep() -> None:
    """Remove what killed processes have left behind."""
    if os.name != "posix":
        return  # elsewhere there is no harmless way to ask whether a process lives
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        with contextlib.suppress(ValueError, OSError):
            try:
                os.kill(int(path.name.removeprefix(PREFIX).partition("-")[0]), 0)
            except ProcessLookupError:
                path.unlink()
