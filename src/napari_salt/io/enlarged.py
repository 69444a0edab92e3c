"""Masks of a coarse level of a pyramid on the grid of a finer one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.geometry import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import StackInfo
    from napari_salt.session.stack import ArrayLike


class EnlargedMasks:
    """Masks ``(N, Y, X)`` of ``fine``'s shape: each voxel shows the coarse voxel that its middle lies in.

    One slice is enlarged at a time. The first voxels of both grids begin at the same edge, and a coarse voxel is as
    many fine ones long as its spacing says. Where that does not lead to the fine shape, the levels begin and end at
    the same edges.

    Parameters
    ----------
    masks
        ``(N, Y, X)`` of ``coarse``'s shape, any dtype.
    coarse
        Geometry of the level that ``masks`` belong to.
    fine
        Geometry of a level of the same image, with at least as many slices, rows and columns.

    Raises
    ------
    InputError
        When ``fine`` has fewer voxels along an axis.
    """

    def __init__(self, masks: ArrayLike, coarse: StackInfo, fine: StackInfo) -> None:
        check_finer(coarse, fine)
        self._masks = masks
        self._slices, self._rows, self._columns = (
            shown(coarse.shape[axis], fine.shape[axis], coarse.spacing[axis] / fine.spacing[axis])
            for axis in range(3)
        )
        self.shape: tuple[int, ...] = fine.shape
        self.dtype = masks.dtype

    def __getitem__(self, index: int) -> NDArray[Any]:
        """One slice, ``(Y, X)``."""
        plane = np.asarray(self._masks[int(self._slices[index])])
        # Whole rows are copied last, which is the quick way.
        wide: NDArray[Any] = plane.take(self._columns, axis=1)
        return wide.take(self._rows, axis=0)


def check_finer(coarse: StackInfo, fine: StackInfo) -> None:
    """Raise ``InputError`` unless ``fine`` has at least as many slices, rows and columns as ``coarse``."""
    if any(many < few for few, many in zip(coarse.shape, fine.shape, strict=True)):
        raise InputError(
            f"The levels of {fine.name} do not shrink along the same axes ({fine.shape} to "
            f"{coarse.shape}); save masks at the level that they were made at."
        )
