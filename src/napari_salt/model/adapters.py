"""Adapters on the layers of a network: attach, list, save, load, merge, detach, for any kind.

The functions take any module and the dotted names of Linear or Conv2d layers in it. While
attached, each such layer is replaced by an `AdaptedLayer` that holds the untouched original.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_salt.errors import AdapterError, InputError
from napari_salt.model.adapted_layer import AdaptedLayer
from napari_salt.model.full import FullDelta
from napari_salt.model.lora import LoraDelta
from napari_salt.model.salt import SaltDelta
from napari_salt.model.ssam import SSamDelta
from napari_salt.model.weight_adapter import FoldedDelta, Role, WeightAdapter

if TYPE_CHECKING:
    from torch import Tensor

    from napari_salt.records import AdapterKind

DEFAULT_RANK = 32
"""Leading singular values that SALT scales and shifts, at most half of those a layer has."""

DEFAULT_LOW_RANK = 8
"""Rank of the low-rank update of SALT and LoRA."""

State = dict[str, "Tensor"]
"""``"<layer name>.<tensor name>"`` → CPU tensor; tensor names as in `WeightAdapter`."""


def attach(
    module: nn.Module,
    kind: AdapterKind,
    layer_names: Sequence[str],
    *,
    rank: int | None = None,
    low_rank: int | None = None,
    seed: int = 0,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Give the named layers of ``module`` trainable adapters and freeze everything else in it.

    Parameters
    ----------
    kind
        ``salt``, ``ssam``, ``lora``, ``full``, or ``none`` (freezes only).
    rank
        Singular values that SALT scales and shifts; None: ``DEFAULT_RANK``, but at most half of
        the layer's. Other kinds have none, except that for ``lora`` it stands in where
        ``low_rank`` is not given.
    low_rank
        Rank of the update of ``salt`` and ``lora``; None: ``DEFAULT_LOW_RANK``.
    seed
        Draws the random factors, by a generator of its own.
    state
        Result of `adapter_state` of the same kind, to continue training from: the output starts
        equal. Its ranks are used, whatever ``rank`` and ``low_rank`` say. Layers that it lacks
        start fresh.

    Raises
    ------
    InputError
        A rank is negative, or both are 0.
    AdapterError
        ``state`` is of another kind or does not fit the layers.
    ValueError
        A name is no Linear or Conv2d of ``module``, or adapters are attached already.
    """
    _check_ranks(kind, rank, low_rank)
    if next(adapted_layers(module), None) is not None:
        raise ValueError("adapters are attached already; detach or merge them first")
    by_layer = _by_layer(state or {})
    _refuse_unknown_layers(by_layer, layer_names)
    layers = [(name, _base_layer(module, name)) for name in layer_names]
    module.requires_grad_(False)
    if kind == "none":
        return
    generator = torch.Generator("cpu").manual_seed(seed)
    adapted: list[tuple[str, AdaptedLayer]] = []
    for name, layer in layers:
        folded = by_layer.get(name, {})
        adapter = _new_adapter(kind, layer.weight.flatten(1), rank, low_rank, folded, generator)
        adapted.append((name, AdaptedLayer(layer, adapter)))
    for name, wrapper in adapted:  # only now, so that a state that does not fit changes nothing
        _replace(module, name, wrapper)


def detach(module: nn.Module) -> None:
    """Put the original layers back, as they were before `attach`; their parameters stay frozen."""
    for name, adapted in list(adapted_layers(module)):
        _replace(module, name, adapted.base)


@torch.no_grad()
def merge(module: nn.Module) -> None:
    """Put plain layers back whose weight is W + ΔW: adapted output at the plain network's cost.

    The old weight tensor itself is not written to, so a copy that shares it stays pretrained.
    """
    for name, adapted in list(adapted_layers(module)):
        weight = adapted.base.weight
        merged = weight + adapted.adapter.delta().view_as(weight)
        adapted.base.weight = nn.Parameter(merged, requires_grad=False)
        _replace(module, name, adapted.base)


def adapted_layers(module: nn.Module) -> Iterator[tuple[str, AdaptedLayer]]:
    """Name and wrapper of each layer of ``module`` that carries an adapter."""
    for name, child in module.named_modules():
        if isinstance(child, AdaptedLayer):
            yield name, child


def adapter_parameters(module: nn.Module) -> dict[Role, list[nn.Parameter]]:
    """Every trainable adapter parameter in ``module``, by role; empty when nothing is trained."""
    by_role: dict[Role, list[nn.Parameter]] = {}
    for _, adapted in adapted_layers(module):
        for role, parameters in adapted.adapter.roles().items():
            by_role.setdefault(role, []).extend(parameters)
    return by_role


def count_parameters(module: nn.Module) -> int:
    """Number of trainable adapter values in ``module``."""
    roles = adapter_parameters(module).values()
    return sum(p.numel() for parameters in roles for p in parameters)


@torch.no_grad()
def adapter_state(module: nn.Module) -> State:
    """Portable CPU copies of all adapters: enough to predict without an SVD, and to continue."""
    return {
        f"{name}.{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, adapted in adapted_layers(module)
        for key, tensor in adapted.adapter.folded().items()
    }


def load_adapter_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Attach a finished adapter for prediction; nothing is decomposed, nothing is trainable.

    Follow with `merge` where the same weights serve many slices. AdapterError when ``state`` does
    not fit ``module``.
    """
    if next(adapted_layers(module), None) is not None:
        raise ValueError("adapters are attached already; detach or merge them first")
    wrapped: list[tuple[str, AdaptedLayer]] = []
    for name, folded in _by_layer(state).items():
        try:
            layer = _base_layer(module, name)
        except ValueError as error:
            raise AdapterError(
                f"The adapter changes a layer '{name}' that this backbone does not have; "
                "use the backbone it was trained on."
            ) from error
        rows = layer.weight.shape[0]
        adapter = FoldedDelta((rows, layer.weight.numel() // rows), folded).to(layer.weight.device)
        wrapped.append((name, AdaptedLayer(layer, adapter)))
    module.requires_grad_(False)
    for name, adapted in wrapped:
        _replace(module, name, adapted)


def _new_adapter(
    kind: AdapterKind,
    weight: Tensor,
    rank: int | None,
    low_rank: int | None,
    folded: Mapping[str, Tensor],
    generator: torch.Generator,
) -> WeightAdapter:
    adapter: WeightAdapter
    if kind == "salt":
        if rank is None:
            rank = min(DEFAULT_RANK, min(weight.shape) // 2)
        rank = len(folded["scale"]) if "scale" in folded else rank
        low_rank = _saved_low_rank(folded, low_rank)
        adapter = SaltDelta(weight, rank=rank, low_rank=low_rank, generator=generator)
    elif kind == "lora":
        low_rank = _saved_low_rank(folded, rank if low_rank is None else low_rank)
        adapter = LoraDelta(weight, low_rank=low_rank, generator=generator)
    else:
        adapter = SSamDelta(weight) if kind == "ssam" else FullDelta(weight)
    if folded:
        adapter.restore(folded)
    return adapter


def _saved_low_rank(folded: Mapping[str, Tensor], asked: int | None) -> int:
    if folded:
        return folded["low_up"].shape[1] if "low_up" in folded else 0
    return DEFAULT_LOW_RANK if asked is None else asked


def _check_ranks(kind: AdapterKind, rank: int | None, low_rank: int | None) -> None:
    for name, value in (("rank", rank), ("low rank", low_rank)):
        if value is not None and value < 0:
            raise InputError(f"The {name} must be 0 or more, not {value}.")
    nothing = {
        "salt": rank == 0 and low_rank == 0,
        "lora": low_rank == 0 or (low_rank is None and rank == 0),
    }
    if nothing.get(kind, False):
        raise InputError(
            f"An adapter '{kind}' of rank 0 has nothing to train; give a rank above 0."
        )


def _by_layer(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    by_layer: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        name, _, tensor_name = key.rpartition(".")
        by_layer.setdefault(name, {})[tensor_name] = tensor
    return by_layer


def _refuse_unknown_layers(by_layer: Mapping[str, object], layer_names: Sequence[str]) -> None:
    unknown = sorted(set(by_layer) - set(layer_names))
    if unknown:
        raise AdapterError(
            f"The adapter changes layers that are not adapted here ({', '.join(unknown)}); "
            "continue it on the backbone it was trained on."
        )


def _base_layer(module: nn.Module, name: str) -> nn.Linear | nn.Conv2d:
    try:
        layer = module.get_submodule(name) if name else None
    except AttributeError:
        layer = None
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise ValueError(f"'{name}' is no Linear or Conv2d inside {type(module).__name__}")
    return layer


def _replace(module: nn.Module, name: str, child: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, child)
