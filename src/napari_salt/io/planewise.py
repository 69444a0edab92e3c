"""An array whose planes are read one at a time, when they are asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.io.lazy_array import LazyArray


class PlanewiseArray(LazyArray):
    """Basic indexing over planes that a subclass reads: integers on the leading axes pick planes.

    Parameters
    ----------
    shape, dtype
        Of the whole array.
    leading
        How many leading axes count planes.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, leading: int) -> None:
        super().__init__(shape, dtype)
        self._leading = leading

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Basic indexing; each plane is read once, and only those that are asked for."""
        parts = self._full(key)
        head, tail = parts[: self._leading], parts[self._leading :]
        outer = self.shape[: self._leading]
        if head and all(isinstance(part, int | np.integer) for part in head):
            # One plane, and no list of all of them: a damaged header may speak of billions.
            place = [range(length)[part] for length, part in zip(outer, head, strict=True)]
            page = self._page(int(np.ravel_multi_index(place, outer)))
            one: NDArray[Any] = page.reshape(self.shape[self._leading :])[tail]
            return one
        wanted = np.arange(math.prod(outer)).reshape(outer)[head]
        inner = self.shape[self._leading :]
        planes = [self._page(int(at)).reshape(inner)[tail] for at in np.ravel(wanted)]
        if np.ndim(wanted) == 0:
            plane: NDArray[Any] = planes[0]
            return plane
        if not planes:
            return np.empty(np.shape(wanted) + np.empty(inner, np.bool_)[tail].shape, self.dtype)
        return np.stack(planes).reshape(np.shape(wanted) + planes[0].shape)

    def _page(self, at: int) -> NDArray[Any]:
        """One plane; ``at`` counts through the leading axes."""
        raise NotImplementedError
