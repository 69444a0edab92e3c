"""Masks to export: predictions with paint on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_salt.control.present_labels import table_of
from napari_salt.records import BACKGROUND, UNLABELLED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.session.session import Session
    from napari_salt.session.stack import ArrayLike


class MergedMasks:
    """Masks ``(N, Y, X)``, one slice at a time; they may be read in another thread.

    0 is none of the labels, nor was predicted as one that is deleted by now. On a complete slice only paint counts;
    elsewhere painted pixels win, and background paint clears what was predicted there. Paint is copied here and now.
    Predictions are not: nothing may segment meanwhile.
    """

    def __init__(self, session: Session, predictions: ArrayLike | None) -> None:
        annotations, ids = session.annotations, session.labels.ids
        self._paint = {
            index: annotations.slice_targets(index, ids) for index in annotations.usable_slices()
        }
        self._predictions = predictions
        self._exported = table_of(ids)
        self.shape: tuple[int, ...] = session.stack.info.shape
        self.dtype = np.dtype(np.uint16)

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """One slice, ``(Y, X)`` uint16."""
        if self._predictions is None:
            merged = np.zeros(self.shape[1:], np.uint16)
        else:
            merged = self._exported[self._predictions[index]]
        targets = self._paint.get(index)
        if targets is not None:
            merged = np.where(targets == UNLABELLED, merged, targets)
        merged[merged == BACKGROUND] = 0
        return merged
