"""Where predictions of a stack are kept while the viewer shows them: in memory, or in a file where they are large."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_salt.io.lazy_array import LazyArray
from napari_salt.io.slice_file import SliceFile

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from napari_salt.geometry import StackGeometry

StackArray: TypeAlias = "NDArray[Any] | SliceFile"
"""``(N, Y, X)``; read by slices, and filled by ``array[index] = plane``."""

LARGEST_IN_MEMORY = 512 * 1024**2
"""Bytes beyond which an array goes to a temporary file."""


def empty_stack(shape: tuple[int, int, int], dtype: DTypeLike) -> StackArray:
    """Zeros ``(N, Y, X)`` to be filled slice by slice.

    Raises ``OutputError`` where they need a file and the folder for temporary files takes none; so does filling it
    when the disk is full.
    """
    if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize <= LARGEST_IN_MEMORY:
        return np.zeros(shape, dtype)
    return SliceFile(shape, dtype, Path(tempfile.gettempdir()))


def seen_along(geometry: StackGeometry, array: StackArray) -> NDArray[Any] | SeenAlong:
    """``array`` ``(N, Y, X)`` along the axes of its image: what a layer on that shows."""
    return geometry.as_layer(array) if isinstance(array, np.ndarray) else SeenAlong(geometry, array)


class SeenAlong(LazyArray):
    """A file of slices along the axes of its image; only the slices that are asked for are read."""

    def __init__(self, geometry: StackGeometry, array: SliceFile) -> None:
        shape = geometry.as_layer(np.broadcast_to(array.dtype.type(0), array.shape)).shape
        super().__init__(shape, array.dtype)
        self._geometry, self._array = geometry, array

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Basic indexing."""
        parts = list(self._full(key))
        axes = self._geometry.stack_axes
        taken: list[slice] = [] if len(axes) == 3 else [slice(None)]
        for axis in axes:
            part = parts[axis]
            if isinstance(part, slice):
                taken.append(part)
                parts[axis] = slice(None)
            else:  # the axis is kept until the array lies along the image's axes
                index = range(self.shape[axis])[int(part)]
                taken.append(slice(index, index + 1))
                parts[axis] = 0
        seen: NDArray[Any] = self._geometry.as_layer(self._array[tuple(taken)])[tuple(parts)]
        return seen
