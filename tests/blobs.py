"""Points that a linear fit can tell apart."""

from __future__ import annotations

import torch


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(count: int, classes: int, features: int, spread: float = 0.3, seed: int = 0):
    """Points around the corners of a simplex, and their classes."""
    targets = torch.arange(count) % classes
    values = torch.zeros(count, features)
    values[torch.arange(count), targets] = 3
    return values + spread * random(count, features, seed=seed), targets
