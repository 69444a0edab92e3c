"""Frozen encoder features → random forest: what pixel classifiers on foundation models do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from methods import Segment, Trained
from methods.frozen import coarse, features, halfway, prepare, spread
from methods.painted import sample, threads
from napari_salt.records import BACKGROUND

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

__all__ = ["prepare", "train"]

PIXELS = 8_000
"""Fewer than elsewhere: with 736 features a forest takes minutes, and more pixels change little."""


def train(case: Case) -> Trained:
    """A forest of 100 trees on the painted pixels."""
    forest = RandomForestClassifier(100, min_samples_leaf=2, n_jobs=threads(), random_state=0)
    forest.fit(*sample(case, features, PIXELS))
    return Trained(_segmenter(forest))


def _segmenter(forest: RandomForestClassifier) -> Segment:
    """Probabilities on a grid twice as fine as the encoder's, enlarged: between its points the features are blends."""

    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
        for index in slices:
            grid = halfway(coarse(dataset, index), dataset.images.shape[1:3])
            rows = grid.reshape(len(grid), -1).T
            found = forest.predict_proba(rows).T.reshape(-1, *grid.shape[1:])
            shown = spread(found.astype(np.float32), dataset.images.shape[1:3])
            labels = forest.classes_[shown.argmax(0)]
            yield np.where(labels == BACKGROUND, 0, labels).astype(np.uint16)

    return segment
