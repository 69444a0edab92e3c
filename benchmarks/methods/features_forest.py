"""Frozen encoder features → random forest: what pixel classifiers on foundation models do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.ensemble import RandomForestClassifier

from methods import Trained
from methods.frozen import features
from methods.painted import sample, segment_by

if TYPE_CHECKING:
    from protocol import Case

PIXELS = 20_000
"""Fewer than elsewhere: with 736 features a forest takes minutes, and more pixels change little."""


def train(case: Case) -> Trained:
    """A forest of 100 trees on the painted pixels."""
    forest = RandomForestClassifier(100, min_samples_leaf=2, n_jobs=-1, random_state=0)
    forest.fit(*sample(case, features, PIXELS))
    return Trained(segment_by(features, forest.predict))
