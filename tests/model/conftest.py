"""Stacks, paint and weights that several tests share; real weights are loaded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from napari_salt.model import fit as fit_module
from napari_salt.model import predict as predict_module
from napari_salt.model import revisit as revisit_module
from napari_salt.model.backbones.base import Activations, Backbone, Identity
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


class TinyTail(nn.Module):
    """One convolution that gives the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, tail_input: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"neck": self.neck(tail_input)}


class TinyBackbone(Backbone):
    """Two random convolutions, frames of 16 pixels; no memory for more than ``most`` frames at once.

    ``passes`` remembers how many frames each pass of the prefix was asked for.
    """

    tail_blocks = 1

    def __init__(self, most: int = 10**9) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(
                Identity("tiny", "tiny", "0" * 64),
                frame_size=16,
                tap_channels={"stage1": 4, "neck": 8},
                tail=TinyTail(),
                prompt_encoder=nn.Identity(),
                mask_decoder=nn.Identity(),
                multimask=False,
            )
            self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.most = most
        self.passes: list[int] = []
        self.eval().requires_grad_(False)

    def _run_prefix(self, frames: torch.Tensor) -> Activations:
        self.passes.append(len(frames))
        if len(frames) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        x = self.stem(frames).relu()
        return Activations(x, {"stage1": x})


@pytest.fixture(scope="session")
def tiny_backbone() -> type[TinyBackbone]:
    return TinyBackbone


@pytest.fixture
def small_network(monkeypatch, tiny_backbone) -> TinyBackbone:
    """Fit and predict with a tiny backbone: what is decided, kept and handed on is the same whichever network looks."""
    backbone = tiny_backbone()
    for module in (fit_module, predict_module, revisit_module):
        monkeypatch.setattr(module, "warm_backbone", lambda *_: backbone)
    return backbone
