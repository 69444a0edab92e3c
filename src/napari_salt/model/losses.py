"""The loss on annotated pixels only: what nobody has labelled never counts."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def partial_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over annotated pixels.

    Parameters
    ----------
    logits
        (M, K) before softmax.
    targets
        (M,) int64, the row of the true label; negative = unlabelled, ignored.

    Returns
    -------
    Tensor
        A scalar; 0 where no pixel is annotated.
    """
    known = targets >= 0
    if not bool(known.any()):
        return logits[known].sum()
    return F.cross_entropy(logits[known], targets[known], reduction="none").mean()
