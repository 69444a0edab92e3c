"""What the pixel classifiers share: intensities of a stack, and a sample of the painted pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import BACKGROUND

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

Features = Callable[["Dataset", int], NDArray[np.float32]]
"""Features ``(Y, X, C)`` of one slice of a stack."""

PIXELS = 60_000
"""Painted pixels that a classifier learns from, at most."""


def threads() -> int:
    """Threads that a run may use: ``OMP_NUM_THREADS``, or one for each core of this process."""
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return int(os.environ.get("OMP_NUM_THREADS", cores))


@lru_cache(maxsize=4)
def unit_intensity(dataset: Dataset) -> Callable[[int], NDArray[np.float32]]:
    """Slices of the stack with its own robust percentiles at 0 and 1."""
    low, high = np.percentile(dataset.images, [0.5, 99.5])

    def unit(index: int) -> NDArray[np.float32]:
        plane = dataset.images[index].astype(np.float32)
        return np.clip((plane - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)

    return unit


def sample(
    case: Case, features: Features, limit: int = PIXELS, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Features ``(P, C)`` and paint ``(P,)`` of at most ``limit`` painted pixels, as many of each slice."""
    rng = np.random.default_rng(seed)
    share = limit // len(case.annotated)
    rows, values = [], []
    for paint in case.annotated:
        where = np.flatnonzero(paint.targets)
        chosen = rng.choice(where, min(share, len(where)), replace=False)
        feature = features(case.train, paint.index)
        rows.append(feature.reshape(-1, feature.shape[-1])[chosen])
        values.append(paint.targets.ravel()[chosen])
    return np.concatenate(rows), np.concatenate(values)


def segment_by(
    features: Features, classify: Callable[[NDArray[np.float32]], NDArray[np.uint16]]
) -> Callable[[Dataset, Sequence[int]], Iterator[NDArray[np.uint16]]]:
    """Classify each pixel ``(P, C) -> (P,)`` of the asked slices; background becomes 0."""

    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
        for index in slices:
            feature = features(dataset, index)
            found = classify(feature.reshape(-1, feature.shape[-1])).reshape(feature.shape[:2])
            yield np.where(found == BACKGROUND, 0, found).astype(np.uint16)

    return segment
