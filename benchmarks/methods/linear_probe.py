"""Frozen encoder features, standardised → logistic regression: a convex fit without any tuning of the encoder.

Enlarging a map and a linear map of its channels may change places, so scores are computed on the encoder's coarse
grid and enlarged: the same masks as with enlarged features, for a small part of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from methods import Segment, Trained
from methods.frozen import coarse, enlarge, features, prepare
from methods.painted import sample
from napari_salt.records import BACKGROUND

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

__all__ = ["prepare", "train"]


def train(case: Case) -> Trained:
    """Weights of one linear map per id, C = 0.01."""
    scaler, classifier = StandardScaler(), LogisticRegression(C=0.01, max_iter=200)
    rows, values = sample(case, features)
    classifier.fit(scaler.fit_transform(rows), values)
    weights = classifier.coef_.size + classifier.intercept_.size
    return Trained(_segmenter(scaler, classifier), weights, 4 * weights)


def _segmenter(scaler: StandardScaler, classifier: LogisticRegression) -> Segment:
    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
        for index in slices:
            maps = coarse(dataset, index)
            scores = classifier.decision_function(scaler.transform(maps.reshape(len(maps), -1).T))
            columns = scores.reshape(len(scores), -1).T.astype(np.float32)
            scores = np.ascontiguousarray(columns).reshape(-1, *maps.shape[1:])
            shown = enlarge(scores, dataset.images.shape[1:3])
            # of two classes there is one score, that of the second
            rows = shown.argmax(0) if len(shown) > 1 else (shown[0] > 0).astype(int)
            found = classifier.classes_[rows]
            yield np.where(found == BACKGROUND, 0, found).astype(np.uint16)

    return segment
