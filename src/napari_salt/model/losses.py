"""Losses on annotated pixels only: what nobody has labelled never counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def partial_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy over annotated pixels.

    Parameters
    ----------
    logits
        (M, K) before softmax.
    targets
        (M,) int64, the row of the true label; negative = unlabelled, ignored.
    weights
        (M,) importance of each pixel, or None for equal ones.

    Returns
    -------
    Tensor
        A scalar; 0 where no pixel is annotated.
    """
    known = targets >= 0
    if not bool(known.any()):
        return logits[known].sum()
    each = F.cross_entropy(logits[known], targets[known], reduction="none")
    if weights is None:
        return each.mean()
    chosen = weights[known]
    return (each * chosen).sum() / chosen.sum()


def partial_dice_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - mean soft Dice over the rows that occur in ``targets``, on annotated pixels (Milletari et al., 2016).

    Arguments as in `partial_cross_entropy`.
    """
    known = targets >= 0
    if not bool(known.any()):
        return logits[known].sum()
    probabilities = logits[known].softmax(1)
    truth = F.one_hot(targets[known], logits.shape[1]).to(probabilities.dtype)
    chosen = torch.ones_like(probabilities[:, :1]) if weights is None else weights[known][:, None]
    overlap = (probabilities * truth * chosen).sum(0)
    size = ((probabilities + truth) * chosen).sum(0)
    present = truth.sum(0) > 0
    return 1 - (2 * overlap[present] / size[present].clamp(min=1e-6)).mean()
