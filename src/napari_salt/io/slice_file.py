"""A stack that is filled slice by slice on disk, so that memory stays flat however long it is."""

from __future__ import annotations

import errno
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_salt.errors import OutputError
from napari_salt.io.planewise import PlanewiseArray


class SliceFile(PlanewiseArray):
    """Planes of one shape and type in a nameless temporary file; planes never put in are 0.

    Ordinary writes instead of a memory map: on a full disk they raise, where a map would end the process, when it is
    written to and, on some file systems, even when it is read. The file takes room as it is filled, and vanishes with
    the process, whatever ends it. Several threads may read while one writes.

    Parameters
    ----------
    shape
        ``(N, Y, X)``.
    dtype
        Of the planes.
    folder
        Where it lies; the disk that the result goes to.

    Raises
    ------
    OutputError
        Here and in ``put``, when the disk is full or the folder cannot be written to. Of the plane that was to be put
        nothing is left then; all others stay.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: DTypeLike, folder: Path) -> None:
        super().__init__(shape, dtype, leading=1)
        self._folder = folder
        self._plane_bytes = shape[1] * shape[2] * self.dtype.itemsize
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                buffering=0, dir=folder, prefix=".napari-salt."
            )
        except OSError as error:
            raise self._refusal(error) from error
        self._lock = threading.Lock()
        self._filled: set[int] = set()

    def put(self, index: int, plane: NDArray[Any]) -> None:
        """Keep slice ``index`` ``(Y, X)``, cast to the file's type."""
        content = np.ascontiguousarray(plane, self.dtype)
        if content.shape != self.shape[1:]:
            raise ValueError(f"a plane of {content.shape} does not fit into {self.shape}")
        rest = content.reshape(-1).view(np.uint8).data
        with self._lock:
            self._filled.discard(index)
            try:
                self._file.seek(index * self._plane_bytes)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                raise self._refusal(error) from error
            self._filled.add(index)

    def __setitem__(self, index: int, plane: NDArray[Any]) -> None:
        """As ``put``."""
        self.put(index, plane)

    def _page(self, at: int) -> NDArray[Any]:
        plane = np.zeros(self.shape[1:], self.dtype)
        rest = plane.reshape(-1).view(np.uint8).data
        with self._lock:
            if at not in self._filled:
                return plane
            self._file.seek(at * self._plane_bytes)
            while rest:
                count = self._file.readinto(rest)
                if not count:
                    raise EOFError(f"the temporary file in '{self._folder}' was cut short")
                rest = rest[count:]
        return plane

    def __enter__(self) -> SliceFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _refusal(self, error: OSError) -> OutputError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return OutputError(
                f"The disk of '{self._folder}' is full; free some space and try again."
            )
        return OutputError(
            f"'{self._folder}' cannot be written ({error.strerror or error}); choose another folder."
        )
