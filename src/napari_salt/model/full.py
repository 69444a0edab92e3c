"""Full fine-tuning of a weight, as W' = W + D with every entry of D trained, for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_salt.model.weight_adapter import Role, WeightAdapter, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class FullDelta(WeightAdapter):
    """A dense change of one weight (out, in); W is kept apart, so detaching brings it back."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__((weight.shape[0], weight.shape[1]))
        self.dense = nn.Parameter(torch.zeros(self.shape, device=weight.device))

    @property
    def inner_rank(self) -> int | None:
        """There are no thin factors."""
        return None

    def delta(self) -> Tensor:
        """D."""
        return self.dense

    def roles(self) -> dict[Role, list[nn.Parameter]]:
        """D."""
        return {"dense": [self.dense]}

    def folded(self) -> dict[str, Tensor]:
        """D."""
        return {"dense": self.dense}

    @torch.no_grad()
    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Continue from D."""
        self.dense.copy_(take(folded, "dense", self.shape))
