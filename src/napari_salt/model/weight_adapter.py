"""The protocol of an adapter: a trainable change of ONE weight, seen as a matrix (out, in)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from napari_salt.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor

Role = Literal["scale", "shift", "low_rank", "dense"]
"""What a trainable tensor does, so that each role can have its own learning rate."""


class WeightAdapter(nn.Module, ABC):
    """Change ΔW of a weight W (out, in); a convolution is its weight flattened to (out, in·kh·kw).

    A method holds parameters (trained) and buffers (fixed), and knows nothing of layers. It must
    start at ΔW = 0 exactly, so that step 0 is the pretrained model bit for bit.

    ``folded()`` is what a file keeps. Its names are shared by all methods: ``scaled_up @
    scaled_down`` and ``low_up @ low_down`` are thin products, ``dense`` is a full matrix, and ΔW
    is the sum of those present; ``scale`` and ``shift`` are kept beside them so that training can
    continue.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape

    @property
    @abstractmethod
    def inner_rank(self) -> int | None:
        """Columns k of ``factors()``; None where the change is one full matrix."""

    @property
    def trained_rank(self) -> int:
        """Those of them whose ``down`` is trained as well as their ``up``."""
        return 0

    def products(self) -> list[tuple[Tensor, Tensor]]:
        """``up`` (out, k), ``down`` (k, in): ΔW is the sum of up @ down; only where ``inner_rank`` is given.

        A ``down`` that is not trained asks for no gradient.
        """
        raise NotImplementedError

    def factors(self) -> tuple[Tensor, Tensor]:
        """All `products` as one."""
        ups, downs = zip(*self.products(), strict=True)
        if len(ups) == 1:
            return ups[0], downs[0]
        return torch.cat(ups, 1), torch.cat(downs)

    def delta(self) -> Tensor:
        """ΔW as a full matrix (out, in), differentiable."""
        up, down = self.factors()
        return up @ down

    @abstractmethod
    def roles(self) -> dict[Role, list[nn.Parameter]]:
        """The parameters of this method, listed by role; empty when nothing is trained."""

    @abstractmethod
    def folded(self) -> dict[str, Tensor]:
        """Portable tensors that give ΔW without any decomposition of W."""

    @abstractmethod
    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Continue from ``folded()`` of the same method and sizes, else AdapterError."""


class FoldedDelta(WeightAdapter):
    """A finished change, of any method, as it comes from a file; nothing in it is trained."""

    def __init__(self, shape: tuple[int, int], folded: Mapping[str, Tensor]) -> None:
        super().__init__(shape)
        self.restore(folded)

    @property
    def inner_rank(self) -> int | None:
        """Columns of both thin products together."""
        if "dense" in self._buffers:
            return None
        return sum(up.shape[1] for up, _ in self.products())

    def products(self) -> list[tuple[Tensor, Tensor]]:
        """See `WeightAdapter.products`."""
        return [
            (self.get_buffer(f"{name}_up"), self.get_buffer(f"{name}_down"))
            for name in ("scaled", "low")
            if f"{name}_up" in self._buffers
        ]

    def delta(self) -> Tensor:
        """See `WeightAdapter.delta`."""
        if "dense" in self._buffers:
            return self.get_buffer("dense")
        return super().delta()

    def roles(self) -> dict[Role, list[nn.Parameter]]:
        """Nothing is trained."""
        return {}

    def folded(self) -> dict[str, Tensor]:
        """The tensors it was made of."""
        return {name: buffer for name, buffer in self._buffers.items() if buffer is not None}

    def restore(self, folded: Mapping[str, Tensor]) -> None:
        """Take the tensors as they are, after a look at their shapes."""
        _check_shapes(self.shape, folded)
        for name, tensor in folded.items():
            self.register_buffer(name, tensor.detach().clone())


def take(folded: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """Tensor ``name`` of ``folded``; AdapterError when it is missing or of another shape."""
    tensor = folded.get(name)
    if tensor is None:
        raise AdapterError(
            f"The adapter has no tensor '{name}', so it is of another kind; adapt anew."
        )
    if tuple(tensor.shape) != shape:
        raise AdapterError(
            f"The adapter's tensor '{name}' has shape {tuple(tensor.shape)}, not {shape}; "
            "it belongs to another backbone or other settings."
        )
    return tensor


def _check_shapes(shape: tuple[int, int], folded: Mapping[str, Tensor]) -> None:
    rows, columns = shape
    if "dense" in folded:
        take(folded, "dense", shape)
        return
    names = [name for name in ("scaled", "low") if f"{name}_up" in folded]
    if not names:
        raise AdapterError(
            "The adapter has a layer without a weight change; its file is damaged, save it again."
        )
    for name in names:
        width = folded[f"{name}_up"].shape[-1]
        take(folded, f"{name}_up", (rows, width))
        take(folded, f"{name}_down", (width, columns))
