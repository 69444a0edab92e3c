"""A Linear or Conv2d with an adapter beside it, computed the cheaper of two equal ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from napari_salt.model.weight_adapter import WeightAdapter

Path = Literal["activation", "weight"]

THIN_COST = 2.5
"""Time of a multiplication in a product with few columns, against one in a product of full width:
such products wait for memory (measured on a CPU with 8 and 40 columns and 4096 tokens)."""


class AdaptedLayer(nn.Module):
    """Stands where ``base`` stood: ``base`` with its weight W replaced by W + ΔW of ``adapter``.

    Two ways give the same output up to rounding:

    * activation path: ``base(x) + up(down(x))``, thin products beside the plain layer;
    * weight path: ``base`` called with W + ΔW.

    Which one is taken is decided per call by `cheaper_path`. Input and output are those of
    ``base``.
    """

    def __init__(self, base: nn.Linear | nn.Conv2d, adapter: WeightAdapter) -> None:
        super().__init__()
        self.base = base
        self.adapter = adapter
        self.train(base.training)

    def forward(self, x: Tensor) -> Tensor:
        """The adapted output for ``x``, as the base layer would give it."""
        if self.path(x) == "weight":
            return self.forward_by_weight(x)
        return self.forward_by_activation(x)

    def path(self, x: Tensor) -> Path:
        """The path that `forward` takes for ``x``."""
        k = self.adapter.inner_rank
        if k is None or not _has_activation_path(self.base):
            return "weight"
        trained = torch.is_grad_enabled() and any(
            p.requires_grad for p in self.adapter.parameters()
        )
        return cheaper_path(output_positions(self.base, x), self.adapter.shape, k, trained=trained)

    def forward_by_weight(self, x: Tensor) -> Tensor:
        """``base`` called with W + ΔW; works for every layer."""
        weight = self.base.weight + self.adapter.delta().view_as(self.base.weight)
        return cast("Tensor", functional_call(self.base, {"weight": weight}, (x,)))

    def forward_by_activation(self, x: Tensor) -> Tensor:
        """``base(x)`` plus the thin products; for Linear and plain Conv2d."""
        up, down = self.adapter.factors()
        base = self.base
        if isinstance(base, nn.Linear):
            return cast("Tensor", base(x)) + functional.linear(functional.linear(x, down), up)
        kernel = down.view(-1, *base.weight.shape[1:])
        inner = functional.conv2d(x, kernel, None, base.stride, base.padding, base.dilation)
        return cast("Tensor", base(x)) + functional.conv2d(inner, up[:, :, None, None])


def cheaper_path(positions: int, shape: tuple[int, int], k: int, *, trained: bool) -> Path:
    """The path that costs less beyond the plain layer's own work.

    With T positions (tokens or output pixels of the batch), a weight (m, n) and k inner columns, the
    multiplications are:

    * activation path: T·k·(m + n) forward; when trained, the gradients of ``up``, ``down``, of the
      inner activation and of ``x`` make it 3·T·k·(m + n). Each counts ``THIN_COST``;
    * weight path: k·m·n forward; when trained, the gradient of the whole weight costs T·m·n and its
      way back to the factors 2·k·m·n.

    So a slice of 4096 tokens takes the weight path unless k is small and it is trained; a handful of
    tokens takes the activation path.
    """
    m, n = shape
    activation = THIN_COST * positions * k * (m + n)
    weight = k * m * n
    if trained:
        activation *= 3
        weight = 3 * weight + positions * m * n
    return "activation" if activation < weight else "weight"


def output_positions(base: nn.Linear | nn.Conv2d, x: Tensor) -> int:
    """Tokens of a Linear, or output pixels of a Conv2d (padding left aside), in all of ``x``."""
    if isinstance(base, nn.Linear):
        return x.numel() // base.in_features
    return x.numel() // (base.in_channels * base.stride[0] * base.stride[1])


def _has_activation_path(base: nn.Linear | nn.Conv2d) -> bool:
    return isinstance(base, nn.Linear) or (base.groups == 1 and base.padding_mode == "zeros")
