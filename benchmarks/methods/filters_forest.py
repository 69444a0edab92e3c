"""Multiscale filters and pixel coordinates → random forest: the classic pixel classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from methods import Trained
from methods.painted import sample, segment_by, threads, unit_intensity
from shared import Recent, digest

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

_recent = Recent()


def filters(dataset: Dataset, index: int) -> NDArray[np.float32]:
    """Intensity, edge and texture at five scales, and the coordinates: ``(Y, X, C)``."""
    plane = unit_intensity(dataset)(index)
    return _recent.get(digest(plane), lambda: _filters(plane))


def _filters(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    channel_axis = -1 if plane.ndim == 3 else None
    found = multiscale_basic_features(plane, sigma_min=1, sigma_max=16, channel_axis=channel_axis)
    rows, columns = plane.shape[:2]
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.dstack([found, y, x]).astype(np.float32)


def train(case: Case) -> Trained:
    """A forest of 100 trees on the painted pixels."""
    forest = RandomForestClassifier(100, min_samples_leaf=2, n_jobs=threads(), random_state=0)
    forest.fit(*sample(case, filters))
    return Trained(segment_by(filters, forest.predict))
