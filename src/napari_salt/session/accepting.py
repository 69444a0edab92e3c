"""What the paint of a slice becomes when a prediction is accepted into it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import BACKGROUND, UNLABELLED


def accepted(
    plane: NDArray[np.uint16],
    prediction: NDArray[np.unsignedinteger],
    label_ids: Collection[int] | None = None,
    *,
    keep_paint: bool = True,
) -> NDArray[np.uint16]:
    """The paint after accepting, a new array ``(Y, X)``.

    Parameters
    ----------
    plane
        ``(Y, X)`` uint16 paint before.
    prediction
        ``(Y, X)`` unsigned ids, 0 where none of the labels: paint stays as it is there.
    label_ids
        Labels to take over; all when None.
    keep_paint
        Only unlabelled pixels take what is predicted. False replaces paint: pixels predicted as one of ``label_ids``
        take it whatever was there, and paint of those labels that the prediction does not confirm becomes
        unlabelled. Background scribbles outside the predicted labels and paint of other labels stay.
    """
    wanted = prediction.astype(np.uint16)
    if label_ids is not None:
        wanted[~np.isin(wanted, list(label_ids))] = UNLABELLED
    if keep_paint:
        return np.where(plane == UNLABELLED, wanted, plane)
    redone = plane != BACKGROUND if label_ids is None else np.isin(plane, list(label_ids))
    return np.where((wanted != UNLABELLED) | redone, wanted, plane)
