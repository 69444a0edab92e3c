"""LoRA: W' = W + B A with B (out, q), A (q, in), B = 0 at the start. Source: arXiv 2106.09685."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_salt.model.weight_adapter import Role, WeightAdapter, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class LoraDelta(WeightAdapter):
    """LoRA on one weight (out, in), for comparison; its scale factor α/q is 1.

    ``low_rank`` is cut to min(out, in). ``generator`` is a CPU generator that draws A.
    """

    def __init__(self, weight: Tensor, *, low_rank: int, generator: torch.Generator) -> None:
        super().__init__((weight.shape[0], weight.shape[1]))
        rows, columns = self.shape
        self.low_rank = min(low_rank, rows, columns)
        # rows of unit length on average, as for the X of SALT, so that learning rates mean the same
        down = torch.randn(self.low_rank, columns, generator=generator) * columns**-0.5
        self.up = nn.Parameter(torch.zeros(rows, self.low_rank, device=weight.device))
        self.down = nn.Parameter(down.to(weight.device))

    @property
    def inner_rank(self) -> int | None:
        """Rank of the change."""
        return self.low_rank

    @property
    def trained_rank(self) -> int:
        """All of it."""
        return self.low_rank

    def products(self) -> list[tuple[Tensor, Tensor]]:
        """B and A."""
        return [(self.up, self.down)]

    def roles(self) -> dict[Role, list[nn.Parameter]]:
        """B and A."""
        return {"low_rank": [self.up, self.down]}

    def folded(self) -> dict[str, Tensor]:
        """B and A."""
        return {"low_up": self.up, "low_down": self.down}

    @torch.no_grad()
    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Continue from B and A."""
        self.up.copy_(take(folded, "low_up", tuple(self.up.shape)))
        self.down.copy_(take(folded, "low_down", tuple(self.down.shape)))
