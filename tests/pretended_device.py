"""A second device that is not there: tensors say that they lie on it, their values are in ordinary memory.

Every operation is done on the CPU, and one that mixes tensors of both devices fails as it does on a GPU. So code for a
GPU can be run where there is none: what it computes, and that nothing is left behind on the other device. Its name is
"meta", the only one besides "cpu" for which every build of PyTorch knows how to send gradients back; what PyTorch does
for CUDA alone (pinned memory, mixed precision, its allocator) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")

_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
_COPIES |= {_aten.to.device, _aten.to.dtype, _aten.to.dtype_layout, _aten.to.other}
_INDEXED = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default}
_INDEXED.add(_aten._index_put_impl_.default)


class Pretended(Tensor):
    """A tensor on the pretended device; ``held`` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        with torch.inference_mode(False):
            made: Pretended = Tensor._make_wrapper_subclass(
                cls,
                held.shape,
                strides=held.stride(),
                storage_offset=held.storage_offset(),
                dtype=held.dtype,
                device=DEVICE,
            )
        made.held = held
        return made

    @staticmethod
    def of(one: Any) -> Any:
        """A tensor on the pretended device, anything else as it is."""
        return Pretended(one) if isinstance(one, Tensor) else one

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({self.held!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Within it tensors can be made on, and moved to, the device that is yielded."""
    with _Mode():
        yield DEVICE


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    flat = tree_flatten((args, kwargs))[0]
    there = [one for one in flat if isinstance(one, Pretended)]
    wanted = [one for one in flat if isinstance(one, torch.device)]
    if there and func not in _COPIES:
        _check(func, args, kwargs)
    if func is _aten.copy_.default:
        goes_there = isinstance(args[0], Pretended)
    elif wanted:
        goes_there = wanted[0].type == DEVICE.type
    else:
        goes_there = bool(there)
    held = tree_map(_held, args)
    found = func(*held, **tree_map(_held, dict(kwargs)))
    if func._schema.is_mutable and func._schema.name.endswith("_"):
        return args[0]
    if func in _COPIES and any(found is one for one in held) and goes_there != bool(there):
        found = found.clone()  # the same memory is another one over there
    return tree_map(Pretended.of, found) if goes_there else found


def _check(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """RuntimeError where tensors of both devices are mixed; single numbers, and indices, may lie anywhere."""
    if func in _INDEXED:
        args = [args[0], *args[2:]]
    flat = tree_flatten((args, kwargs))[0]
    strays = [
        tuple(one.shape)
        for one in flat
        if isinstance(one, Tensor) and not isinstance(one, Pretended) and one.ndim
    ]
    if strays:
        raise RuntimeError(f"{func} mixes devices: {strays} are on the CPU")


def _held(one: Any) -> Any:
    """What an operation on the CPU takes instead."""
    if isinstance(one, torch.device):
        return torch.device("cpu")
    return one.held if isinstance(one, Pretended) else one
