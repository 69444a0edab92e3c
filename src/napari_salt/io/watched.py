"""A label image that tells which slice is read, so that a long export has progress and can be stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_salt.session.stack import ArrayLike


class WatchedMasks:
    """Passes slices on.

    Parameters
    ----------
    masks
        ``(N, Y, X)``.
    on_slice
        Gets the index of each slice before it is read; what it raises ends the export, which then leaves nothing
        behind.
    """

    def __init__(self, masks: ArrayLike, on_slice: Callable[[int], None]) -> None:
        self._masks, self._on_slice = masks, on_slice
        self.shape, self.dtype = masks.shape, masks.dtype

    def __getitem__(self, index: int) -> Any:
        self._on_slice(index)
        return self._masks[index]
