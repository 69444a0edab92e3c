"""A stack that is filled slice by slice on disk, so that memory stays flat however long it is."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_salt.errors import OutputError


class SliceFile:
    """Planes of one shape and type in a nameless temporary file; planes never put in are 0.

    Ordinary writes instead of a memory map: on a full disk they raise, where a map would end the
    process. The file vanishes with the process, whatever ends it.

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
        Here and in ``put``, when the disk is full or the folder cannot be written to.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: DTypeLike, folder: Path) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._folder = folder
        self._plane_bytes = shape[1] * shape[2] * self.dtype.itemsize
        try:
            self._file = tempfile.TemporaryFile(dir=folder, prefix=".napari-salt.")  # noqa: SIM115
        except OSError as error:
            raise self._refusal(error) from error
        self._filled: set[int] = set()

    def put(self, index: int, plane: NDArray[Any]) -> None:
        """Keep slice ``index`` ``(Y, X)``, cast to the file's type."""
        try:
            self._file.seek(index * self._plane_bytes)
            self._file.write(np.ascontiguousarray(plane, self.dtype).tobytes())
            self._file.flush()
        except OSError as error:
            raise self._refusal(error) from error
        self._filled.add(index)

    def __getitem__(self, index: int) -> NDArray[Any]:
        if index not in self._filled:
            return np.zeros(self.shape[1:], self.dtype)
        self._file.seek(index * self._plane_bytes)
        plane = np.frombuffer(self._file.read(self._plane_bytes), self.dtype)
        return plane.reshape(self.shape[1:])

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
