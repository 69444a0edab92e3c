"""What the paint of a slice becomes when a prediction is accepted into it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import UNLABELLED


def accepted(
    plane: NDArray[np.uint16],
    prediction: NDArray[np.unsignedinteger],
    label_ids: Collection[int] | None = None,
) -> NDArray[np.uint16]:
    """The paint after accepting, a new array ``(Y, X)``: only unlabelled pixels take what is predicted.

    Parameters
    ----------
    plane
        ``(Y, X)`` uint16 paint before.
    prediction
        ``(Y, X)`` unsigned ids, 0 where none of the labels: paint stays as it is there.
    label_ids
        Labels to take over; all when None.
    """
    wanted = prediction.astype(np.uint16)
    if label_ids is not None:
        wanted[~np.isin(wanted, list(label_ids))] = UNLABELLED
    return np.where(plane == UNLABELLED, wanted, plane)
