"""S-SAM: scale and shift every singular value, W' = U diag(max(a ⊙ S + b, 0)) Vᵀ.

Source: arXiv 2408.06447.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_salt.model.salt import SaltDelta
from napari_salt.model.weight_adapter import take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class SSamDelta(SaltDelta):
    """S-SAM on one weight (out, in): SALT with all min(out, in) values and no low-rank update."""

    def __init__(self, weight: Tensor) -> None:
        # a generator is required but never drawn from: there is no X
        super().__init__(
            weight, rank=min(weight.shape), low_rank=0, generator=torch.Generator("cpu")
        )

    def folded(self) -> dict[str, Tensor]:
        """a, b and the full ΔW, which is smaller than two factors of full rank."""
        return {"scale": self.scale, "shift": self.shift, "dense": self.delta()}

    @torch.no_grad()
    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Continue from a and b."""
        take(folded, "dense", self.shape)
        super().restore(folded)
