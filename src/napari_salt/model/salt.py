"""SALT: scale and shift the leading singular values, update the remaining subspace at low rank.

Source: arXiv 2503.16055. With W = U diag(S) Vᵀ split after column ``rank`` into U₁ S₁ V₁ and U₂ S₂
V₂::

    W' = U₁ diag(max(a ⊙ S₁ + b, 0)) V₁ᵀ + U₂ (diag(S₂) + X Y) V₂ᵀ
       = W + U₁ diag(max(a ⊙ S₁ + b, 0) - S₁) V₁ᵀ + (U₂ X)(Y V₂ᵀ)

The second form is the one computed: it leaves W alone and is zero at a = 1, b = 0, Y = 0. Only the
scaled singular values are clamped at zero (a negative one would flip a direction); the low-rank
product keeps both signs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_salt.model.svd import thin_svd
from napari_salt.model.weight_adapter import Role, WeightAdapter, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class SaltDelta(WeightAdapter):
    """SALT on one weight.

    Parameters
    ----------
    weight
        The pretrained matrix (out, in); only read.
    rank, low_rank
        Leading singular values to scale and shift, and rank of the update on the rest; cut to what
        the weight has (n = min(out, in) values, n - rank left).
    generator
        CPU generator that draws X; the global one is left alone.
    """

    def __init__(
        self, weight: Tensor, *, rank: int, low_rank: int, generator: torch.Generator
    ) -> None:
        super().__init__((weight.shape[0], weight.shape[1]))
        svd = thin_svd(weight)
        self.rank = min(rank, len(svd.s))
        rest = len(svd.s) - self.rank
        self.low_rank = min(low_rank, rest)
        for name, tensor in {
            "u1": svd.u[:, : self.rank],
            "s1": svd.s[: self.rank],
            "v1h": svd.vh[: self.rank],
        }.items():
            self.register_buffer(name, tensor.to(weight.device))
        self.scale = nn.Parameter(torch.ones(self.rank, device=weight.device))
        self.shift = nn.Parameter(torch.zeros(self.rank, device=weight.device))
        if self.low_rank:
            self.register_buffer("u2", svd.u[:, self.rank :].to(weight.device))
            self.register_buffer("v2h", svd.vh[self.rank :].to(weight.device))
            # columns of unit length on average, whatever the size of the layer
            x = torch.randn(rest, self.low_rank, generator=generator) * rest**-0.5
            self.x = nn.Parameter(x.to(weight.device))
            self.y = nn.Parameter(torch.zeros(self.low_rank, rest, device=weight.device))

    @property
    def inner_rank(self) -> int | None:
        """Rank of the whole change."""
        return self.rank + self.low_rank

    @property
    def trained_rank(self) -> int:
        """Rank of the low-rank update; the right singular vectors stay."""
        return self.low_rank

    def products(self) -> list[tuple[Tensor, Tensor]]:
        """See `WeightAdapter.products`."""
        return [self._scaled(), self._low()] if self.low_rank else [self._scaled()]

    def roles(self) -> dict[Role, list[nn.Parameter]]:
        """Scales a, shifts b, and X, Y together."""
        roles: dict[Role, list[nn.Parameter]] = {}
        if self.rank:
            roles = {"scale": [self.scale], "shift": [self.shift]}
        if self.low_rank:
            roles["low_rank"] = [self.x, self.y]
        return roles

    def folded(self) -> dict[str, Tensor]:
        """a, b, U₁diag(d), V₁ᵀ, U₂X, YV₂ᵀ (X and Y alone would depend on this machine's basis)."""
        scaled_up, scaled_down = self._scaled()
        tensors: dict[str, Tensor] = {"scale": self.scale, "shift": self.shift}
        tensors |= {"scaled_up": scaled_up, "scaled_down": scaled_down}
        if self.low_rank:
            tensors["low_up"], tensors["low_down"] = self._low()
        return tensors

    @torch.no_grad()
    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Continue from a, b and the folded product.

        U₂ᵀ(U₂X) = X and (YV₂ᵀ)V₂ = Y give back the thin factors in this machine's own basis of the
        same subspace, so nothing of the old basis is needed.
        """
        self.scale.copy_(take(folded, "scale", (self.rank,)))
        self.shift.copy_(take(folded, "shift", (self.rank,)))
        if self.low_rank:
            rows, columns = self.shape
            low_up = take(folded, "low_up", (rows, self.low_rank)).to(self.x)
            low_down = take(folded, "low_down", (self.low_rank, columns)).to(self.y)
            self.x.copy_(self.get_buffer("u2").T @ low_up)
            self.y.copy_(low_down @ self.get_buffer("v2h").T)

    def _scaled(self) -> tuple[Tensor, Tensor]:
        s1 = self.get_buffer("s1")
        change = torch.clamp(self.scale * s1 + self.shift, min=0) - s1
        return self.get_buffer("u1") * change, self.get_buffer("v1h")

    def _low(self) -> tuple[Tensor, Tensor]:
        return self.get_buffer("u2") @ self.x, self.y @ self.get_buffer("v2h")
