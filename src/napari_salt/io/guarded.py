"""An array of another library whose failures to read become sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.lazy_array import LazyArray
from napari_salt.session.stack import ArrayLike


class GuardedArray(LazyArray):
    """Basic indexing of an array on disk; only what is asked for is read, by that array.

    Parameters
    ----------
    array
        A zarr array or an h5py dataset.
    name
        What the user calls it.
    """

    def __init__(self, array: ArrayLike, name: str) -> None:
        super().__init__(array.shape, array.dtype)
        self._array, self._name = array, name

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """What the array gives for a key; ``InputError`` when it cannot read it."""
        try:
            return np.asarray(self._array[key])
        except unreadable() as error:
            raise InputError(
                f"Pixels of {self._name} cannot be read ({one_line(error)}); the file may be damaged or cut "
                "short, so copy it again."
            ) from error
