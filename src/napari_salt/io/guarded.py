"""An array of another library whose failures to read become sentences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.session.stack import ArrayLike


class GuardedArray:
    """Basic indexing of an array on disk; only what is asked for is read, by that array.

    Parameters
    ----------
    array
        A zarr array or an h5py dataset.
    name
        What the user calls it.
    """

    def __init__(self, array: ArrayLike, name: str) -> None:
        self._array, self._name = array, name
        self.shape: tuple[int, ...] = tuple(int(length) for length in array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole array in memory."""
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """What the array gives for a key; ``InputError`` when it cannot read it."""
        try:
            return np.asarray(self._array[key])
        except unreadable() as error:
            raise InputError(
                f"Pixels of {self._name} cannot be read ({one_line(error)}); the file may be damaged or cut "
                "short, so copy it again."
            ) from error
