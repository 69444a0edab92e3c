"""Thin singular value decomposition of a weight, once per process, with canonical signs."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

CACHE_BYTES = 1 << 30
"""Decompositions kept for later rounds in this process; the oldest go first."""


@dataclass(frozen=True, eq=False)
class ThinSvd:
    """``weight = u @ diag(s) @ vh`` with n = min(out, in) singular values, largest first.

    ``u`` is (out, n), ``s`` (n,), ``vh`` (n, in): float32 on the CPU, contiguous, never to be
    written to. The entry of largest magnitude in every column of ``u`` is positive, so the same
    weight gives the same vectors wherever its singular values are distinct.
    """

    u: Tensor
    s: Tensor
    vh: Tensor

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return sum(t.numel() * t.element_size() for t in (self.u, self.s, self.vh))


_cache: OrderedDict[str, ThinSvd] = OrderedDict()


def thin_svd(weight: Tensor) -> ThinSvd:
    """Decompose ``weight`` (out, in) of any float dtype and device; cached by its content."""
    matrix = weight.detach().to(device="cpu", dtype=torch.float32).contiguous()
    key = f"{tuple(matrix.shape)}-{hashlib.sha256(matrix.numpy().tobytes()).hexdigest()}"
    found = _cache.get(key)
    if found is not None:
        _cache.move_to_end(key)
        return found
    result = _decompose(matrix)
    _cache[key] = result
    while len(_cache) > 1 and sum(kept.nbytes for kept in _cache.values()) > CACHE_BYTES:
        _cache.popitem(last=False)
    return result


def clear_cache() -> None:
    """Forget all decompositions."""
    _cache.clear()


def _decompose(matrix: Tensor) -> ThinSvd:
    # float64 costs little here and keeps the subspaces of close singular values apart, so that an
    # adapter trained on one machine continues in the same subspace on another
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    peak = u.gather(0, u.abs().argmax(dim=0, keepdim=True)).squeeze(0)
    sign = torch.where(peak < 0, -1.0, 1.0).to(u.dtype)
    return ThinSvd(
        u=(u * sign).float().contiguous(),
        s=s.float(),
        vh=(vh * sign[:, None]).float().contiguous(),
    )
