"""Scores of a set of separate test slices, each over all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Slices = Sequence[NDArray[np.unsignedinteger]]


def dice(predictions: Slices, references: Slices, label_id: int) -> float:
    """2 |A ∩ B| / (|A| + |B|), the pixels summed over slices ``(Y, X)``; 1 where neither has the label."""
    both = sum(
        int(np.sum((a == label_id) & (b == label_id)))
        for a, b in zip(predictions, references, strict=True)
    )
    total = sum(int(np.sum(a == label_id)) for a in predictions)
    total += sum(int(np.sum(b == label_id)) for b in references)
    return 2 * both / total if total else 1.0


def hausdorff95(predictions: Slices, references: Slices, label_id: int) -> float:
    """95th percentile of the distances (pixels) between the two outlines, both ways, over all slices.

    The slices are not neighbours, so distances are taken within each; where only one side has the label its
    outline counts with the slice's diagonal.
    """
    distances: list[NDArray[np.float64]] = []
    for prediction, reference in zip(predictions, references, strict=True):
        a, b = _outline(prediction == label_id), _outline(reference == label_id)
        if a.any() and b.any():
            distances += [ndimage.distance_transform_edt(~b)[a]]
            distances += [ndimage.distance_transform_edt(~a)[b]]
        else:
            distances += [np.full(int(a.sum() + b.sum()), float(np.hypot(*a.shape)))]
    pooled = np.concatenate(distances)
    return float(np.percentile(pooled, 95)) if pooled.size else 0.0


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask that touch its outside; beyond the slice counts as outside."""
    return mask & ~ndimage.binary_erosion(mask)
