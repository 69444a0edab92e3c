"""Channels that are arrays of their own, seen together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.io.lazy_array import LazyArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_salt.session.stack import ArrayLike


class JoinedChannels(LazyArray):
    """What napari shows of channels that are seen together: the first; ``channels`` has all, along a last axis."""

    def __init__(self, parts: Sequence[ArrayLike]) -> None:
        self.channels = _Channels(parts)
        super().__init__(self.channels.shape[:-1], self.channels.dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Basic indexing of the first channel."""
        return self.channels[(*self._full(key), 0)]


class _Channels(LazyArray):
    """Arrays of one shape side by side along a last axis; nothing is copied before it is asked for."""

    def __init__(self, parts: Sequence[ArrayLike]) -> None:
        self.parts = tuple(parts)
        dtype = np.result_type(*(np.dtype(part.dtype) for part in self.parts))
        super().__init__((*self.parts[0].shape, len(self.parts)), dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Basic indexing; only the channels that are asked for are read."""
        *place, which = self._full(key)
        if isinstance(which, int | np.integer):
            return np.asarray(self.parts[which][tuple(place)], self.dtype)
        read = [np.asarray(part[tuple(place)], self.dtype) for part in self.parts[which]]
        return np.stack(read, axis=-1)
