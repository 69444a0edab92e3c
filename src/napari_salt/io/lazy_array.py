"""What arrays that read from a file have in common with those in memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyArray:
    """Shape, type and size of an array whose pixels a subclass reads when it is indexed.

    Parameters
    ----------
    shape, dtype
        Of the whole array.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape: tuple[int, ...] = tuple(int(length) for length in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

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
        """Basic indexing."""
        raise NotImplementedError

    def _full(self, key: Any) -> tuple[Any, ...]:
        """One part of a key for each axis; an ellipsis stands for those left out."""
        parts = key if isinstance(key, tuple) else (key,)
        at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
        after = parts[at + 1 :]
        gap = self.ndim - at - len(after)
        if gap < 0:
            raise IndexError(f"{len(parts)} indices for an array of {self.ndim} axes")
        return (*parts[:at], *[slice(None)] * gap, *after)
