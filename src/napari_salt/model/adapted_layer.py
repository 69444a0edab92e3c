"""A Linear or Conv2d with an adapter beside it, computed the cheapest of three equal ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn import functional
from torch.nn.grad import conv2d_weight

if TYPE_CHECKING:
    from torch import Tensor

    from napari_salt.model.weight_adapter import WeightAdapter

Path = Literal["activation", "weight", "thin gradient"]

THIN_COST = 2.5
"""Time of a multiplication in a product with few columns, against one in a product of full width:
such products wait for memory (measured on a CPU with 8 and 40 columns and 4096 tokens)."""


class AdaptedLayer(nn.Module):
    """Stands where ``base`` stood: ``base`` with its weight W replaced by W + ΔW of ``adapter``.

    Three ways give the same output and gradients up to rounding:

    * activation path: ``base(x) + up(down(x))``, thin products beside the plain layer;
    * weight path: ``base`` called with W + ΔW;
    * thin gradient: the same, but ``up`` and ``down`` get their gradients from the layer's input and the gradient of
      its output by thin products, instead of from a gradient of the whole weight. With G = ∂loss/∂output (T, out)
      and x (T, in), ∂loss/∂up = Gᵀ(x downᵀ) and ∂loss/∂down = (G up)ᵀ x.

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
        path = self.path(x)
        if path == "activation":
            return self.forward_by_activation(x)
        if path == "thin gradient":
            return self.forward_with_thin_gradient(x)
        return self.forward_by_weight(x)

    def path(self, x: Tensor) -> Path:
        """The path that `forward` takes for ``x``."""
        adapter = self.adapter
        k = adapter.inner_rank
        if k is None or not _has_activation_path(self.base):
            return "weight"
        trained = torch.is_grad_enabled() and any(p.requires_grad for p in adapter.parameters())
        both = adapter.trained_rank if trained else None
        return cheaper_path(output_positions(self.base, x), adapter.shape, k, both)

    def forward_by_weight(self, x: Tensor) -> Tensor:
        """``base`` called with W + ΔW; works for every layer."""
        return self._called_with(x, self.adapter.delta())

    def forward_by_activation(self, x: Tensor) -> Tensor:
        """``base(x)`` plus the thin products; for Linear and plain Conv2d."""
        up, down = self.adapter.factors()
        inner = _inner(self.base, x, down)
        outer = functional.linear if isinstance(self.base, nn.Linear) else functional.conv2d
        kernel = up if isinstance(self.base, nn.Linear) else up[:, :, None, None]
        return cast("Tensor", self.base(x)) + outer(inner, kernel)

    def forward_with_thin_gradient(self, x: Tensor) -> Tensor:
        """``base`` called with W + ΔW, gradients by thin products; for Linear and plain Conv2d."""
        products = sorted(self.adapter.products(), key=lambda one: one[1].requires_grad)
        up = torch.cat([one for one, _ in products], 1)
        still = [down for _, down in products if not down.requires_grad]
        moving = [down for _, down in products if down.requires_grad]
        with torch.no_grad():
            delta = up @ torch.cat([*still, *moving])
        output = self._called_with(x, delta)
        nothing = x.new_empty(0, self.adapter.shape[1])
        downs = torch.cat([nothing, *still]), torch.cat([nothing, *moving])
        found: Tensor = _ThinGradient.apply(output, x.detach(), self.base, up, *downs)
        return found

    def _called_with(self, x: Tensor, delta: Tensor) -> Tensor:
        weight = self.base.weight + delta.view_as(self.base.weight)
        return cast("Tensor", functional_call(self.base, {"weight": weight}, (x,)))


class _ThinGradient(Function):
    """Gives ``output`` on, and the factors of ΔW the gradients that they have through it.

    ``up`` is (out, k); of the (k, in) of its ``down`` those that are not trained come first, as ``still``, then those
    that are, as ``moving``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        x: Tensor,
        base: nn.Linear | nn.Conv2d,
        up: Tensor,
        still: Tensor,
        moving: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, up, still, moving)
        ctx.base = base
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        x, up, still, moving = (one.to(slope.dtype) for one in saved)
        base, trained = ctx.base, len(moving)
        inner = _positions(base, _inner(base, x, torch.cat([still, moving])))
        up_slope = (inner.T @ _positions(base, slope)).T.to(saved[1].dtype)
        moving_slope = None
        if trained:
            back = up[:, up.shape[1] - trained :].T
            moving_slope = _down_slope(base, x, slope, back).to(saved[3].dtype)
        return slope, None, None, up_slope, None, moving_slope


def _inner(base: nn.Linear | nn.Conv2d, x: Tensor, down: Tensor) -> Tensor:
    """What ``down`` (k, in) makes of the input ``x`` of ``base``, with k features or channels."""
    if isinstance(base, nn.Linear):
        return functional.linear(x, down)
    kernel = down.view(-1, *base.weight.shape[1:])
    return functional.conv2d(x, kernel, None, base.stride, base.padding, base.dilation)


def _down_slope(base: nn.Linear | nn.Conv2d, x: Tensor, slope: Tensor, back: Tensor) -> Tensor:
    """Gradient (k, in) of a ``down`` whose ``up`` is ``back`` (k, out) transposed."""
    if isinstance(base, nn.Linear):
        through = _positions(base, slope) @ back.T
        return through.T @ _positions(base, x)
    through = functional.conv2d(slope, back[:, :, None, None])
    size = (len(back), *base.weight.shape[1:])
    layout = base.stride, cast("tuple[int, int]", base.padding), base.dilation
    found: Tensor = conv2d_weight(x, size, through, *layout)
    return found.flatten(1)


def _positions(base: nn.Linear | nn.Conv2d, values: Tensor) -> Tensor:
    """(T, C) features at every position of ``values``, shaped like an input or output of ``base``."""
    if isinstance(base, nn.Linear):
        return values.reshape(-1, values.shape[-1])
    return values.movedim(1, -1).reshape(-1, values.shape[1])


def cheaper_path(positions: int, shape: tuple[int, int], k: int, trained: int | None) -> Path:
    """The path that costs least beyond the plain layer's own work.

    With T positions (tokens or output pixels of the batch), a weight (m, n), k inner columns and, where ``up`` is
    trained, q = ``trained`` of them whose ``down`` is trained as well (None: nothing is), the
    multiplications are:

    * activation path: T·k·(m + n) forward; when trained, the gradients of ``up``, ``down``, of the
      inner activation and of ``x`` make it 3·T·k·(m + n). Each counts ``THIN_COST``;
    * weight path: k·m·n forward; when trained, the gradient of the whole weight costs T·m·n and its
      way back to the factors 2·k·m·n;
    * thin gradient, only when trained: k·m·n forward, T·(k + q)·(m + n) for the gradients.

    So a slice of 4096 tokens has its weight formed, a handful of tokens takes the activation path.
    """
    m, n = shape
    thin, form = THIN_COST * positions * (m + n), k * m * n
    if trained is None:
        return "activation" if thin * k < form else "weight"
    costs: dict[Path, float] = {
        "activation": 3 * thin * k,
        "weight": 3 * form + positions * m * n,
        "thin gradient": form + thin * (k + trained),
    }
    return min(costs, key=costs.__getitem__)


def output_positions(base: nn.Linear | nn.Conv2d, x: Tensor) -> int:
    """Tokens of a Linear, or output pixels of a Conv2d (padding left aside), in all of ``x``."""
    if isinstance(base, nn.Linear):
        return x.numel() // base.in_features
    return x.numel() // (base.in_channels * base.stride[0] * base.stride[1])


def _has_activation_path(base: nn.Linear | nn.Conv2d) -> bool:
    if isinstance(base, nn.Linear):
        return True
    plain = base.groups == 1 and base.padding_mode == "zeros"
    return plain and not isinstance(base.padding, str)
