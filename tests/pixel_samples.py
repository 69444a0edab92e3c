"""Drawn pixels as the fits take them."""

from __future__ import annotations

import torch

from blobs import random
from napari_salt.model.probe import Samples


def make_samples(deep, targets, fold=None, detail=None, slice_of=None) -> Samples:
    count = len(targets)
    fold = torch.zeros(count, dtype=torch.int64) if fold is None else fold
    return Samples(
        deep,
        random(count, 3, seed=99) if detail is None else detail,
        targets,
        fold if slice_of is None else slice_of,
        fold,
        torch.ones(count),
    )
