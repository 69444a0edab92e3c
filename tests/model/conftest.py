"""Stacks, paint and weights that several tests share; real weights are loaded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from napari_salt.model.backbones.base import Backbone
from napari_salt.model.backbones.registry import load_backbone
from napari_salt.records import AnnotatedSlice, StackInfo


@dataclass
class ArrayPlanes:
    """Planes of an array (N, Y, X) or (N, Y, X, C) that counts which were read."""

    data: np.ndarray
    rgb: bool = False

    def __post_init__(self) -> None:
        self.read: list[int] = []

    @property
    def info(self) -> StackInfo:
        count, height, width = self.data.shape[:3]
        channels = self.data.shape[3] if self.data.ndim == 4 else 1
        return StackInfo((count, height, width), channels, self.rgb, str(self.data.dtype))

    def plane(self, index: int) -> np.ndarray:
        self.read.append(index)
        return self.data[index]


@pytest.fixture(scope="session")
def planes_of() -> type[ArrayPlanes]:
    return ArrayPlanes


@pytest.fixture(scope="session")
def painted() -> Callable[..., list[AnnotatedSlice]]:
    """Slices of a label stack as completely painted, or every n-th pixel along both axes only."""

    def paint(truth: np.ndarray, slices: Sequence[int], every: int = 1) -> list[AnnotatedSlice]:
        found = []
        for index in slices:
            targets = np.zeros(truth.shape[1:], np.uint16)
            targets[::every, ::every] = truth[index, ::every, ::every]
            found.append(AnnotatedSlice(index, targets, complete=every == 1))
        return found

    return paint


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return load_backbone("lite-medsam")


@pytest.fixture
def same_random_state():
    """Whatever a test runs must leave torch's and numpy's global generators and gradients alone."""
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    yield
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]
