"""How queries and forest together make one probability of each label, as pixels left out of a fit judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from napari_salt.model.probe import Fitted, Samples

LINEAR_SHARE = 0.25
"""Part of the probability that the queries decide; the forest decides the rest."""
SMALLER_SHARES = (0.1, 0.0)
"""Taken instead where pixels that were left out are told better by them."""
AS_GOOD = 1.02
"""A larger share of the queries is as good as a smaller one up to so many times its cross entropy."""
NEARLY_ALL = 0.008
"""And up to this cross entropy a pixel, in nats: it tells nearly every pixel that was left out, such as strokes in the
middle of things, and which share tells them best says nothing of the rest."""
AREA_POWERS = (0.25, 0.5)
"""Powers of how many pixels of a label one drawn pixel stands for, by which its probability may be multiplied."""
MORE_POWERS = (-0.25, -0.5)
"""The same for parts left out of a single slice, by which labels are only ever found more often."""
AREA_WORTH = 0.01
"""Dice on slices left out that must be gained for that."""
LEAST_CHANCE = 1e-3
"""Probabilities below this count as this: a small forest is sure too soon."""


def mix(linear: Tensor, forest: Tensor, linear_share: float) -> Tensor:
    """Weighted mean of the probabilities of queries and forest."""
    return linear_share * linear + (1 - linear_share) * forest


def rescaled(probabilities: Tensor, row_scale: tuple[float, ...], rows: int) -> Tensor:
    """Each of the rows, which lie along axis ``rows``, times its scale, so that they add up to one again.

    An empty ``row_scale`` changes nothing.
    """
    if not row_scale:
        return probabilities
    scale = probabilities.new_tensor(row_scale)
    scaled = probabilities * scale.view(
        [-1 if axis == rows else 1 for axis in range(probabilities.ndim)]
    )
    return scaled / scaled.sum(rows, keepdim=True)


def choose_row_scale(
    samples: Samples, folds: Mapping[int, Fitted], powers: Sequence[float] = AREA_POWERS
) -> tuple[float, ...]:
    """A scale for each row, 0..1, where slices left out show that labels drawn often are found too often; else ().

    Small labels are drawn more often than their area would have it, so that they are learned; on slices between many
    painted ones they then come out too large. How much of that to take back, the Dice of whole slices left out tells.
    Never the other way: a slice left out is farther from paint than those to segment, its labels are rather missed
    there, and what that asks for was as often worse as better (`benchmarks/EXPERIMENTS.md`). Parts of a single slice
    are not farther: with `MORE_POWERS` they show where labels are found too seldom, if they show many things.
    ``folds`` are fits that were made without one fold each.
    """
    rows = len(next(iter(folds.values())).bias)
    drawn = torch.bincount(samples.targets, minlength=rows).double()
    area = torch.zeros_like(drawn).index_add_(0, samples.targets, samples.weights.double())
    each = torch.where(drawn > 0, area / drawn.clamp(min=1), 1.0)
    each /= each.max()
    known = judged(samples)
    found, targets, weights = (
        held_out(samples, folds)[known],
        samples.targets[known],
        samples.weights[known],
    )

    def dice(row_scale: tuple[float, ...]) -> float:
        scores = sampled_dice(rescaled(found, row_scale, 1).argmax(1), targets, weights)
        return sum(scores.values()) / max(1, len(scores))

    scales = [each**power for power in powers]
    tried = [tuple((scale / scale.max()).tolist()) for scale in scales]
    best = max(tried, key=dice)
    return best if dice(best) >= dice(()) + AREA_WORTH else ()


def choose_share(samples: Samples, folds: Mapping[int, Fitted]) -> float:
    """The largest part of the queries that is as good as any by the cross entropy of samples the fits have not seen.

    It is only ever made smaller than `LINEAR_SHARE`: where the loss asked for more of the queries, the masks of other
    slices were as often worse for it as better (measured). ``folds`` are fits that were made without one fold each.
    """
    known = judged(samples)
    shares = (LINEAR_SHARE, *SMALLER_SHARES)
    losses = torch.zeros(len(shares), dtype=torch.float64)
    for fold, fitted in folds.items():
        part = samples.part((samples.fold == fold) & known)
        if len(part.targets):
            linear, forest = fitted.parts(part)
            for number, share in enumerate(shares):
                right = mix(linear, forest, share).gather(1, part.targets[:, None])[:, 0]
                losses[number] -= (part.weights * right.clamp(min=LEAST_CHANCE).log()).sum()
    pixels = float(samples.weights[known].sum())
    good = max(AS_GOOD * float(losses.min()), NEARLY_ALL * pixels)
    return next(share for share, loss in zip(shares, losses, strict=True) if loss <= good)


def held_out(samples: Samples, folds: Mapping[int, Fitted]) -> Tensor:
    """(M, R) probabilities, every sample judged by the fit that has not seen it."""
    fold_of = samples.fold
    rows = len(next(iter(folds.values())).bias)
    found = samples.deep.new_zeros(len(samples.targets), rows)
    for fold, fitted in folds.items():
        outside = fold_of == fold
        found[outside] = fitted.probabilities(samples.part(outside))
    return found


def judged(samples: Samples) -> Tensor:
    """(M,) whether the label of a sample occurs in other folds too; else no held-out fit can know it."""
    fold_of = samples.fold
    found = torch.zeros_like(fold_of, dtype=torch.bool)
    for fold in fold_of.unique():
        inside = fold_of == fold
        found |= inside & torch.isin(samples.targets, samples.targets[~inside])
    return found


def sampled_dice(rows: Tensor, targets: Tensor, weights: Tensor) -> dict[int, float]:
    """Dice of each row > 0 that occurs in ``targets``, estimated from weighted samples.

    ``rows`` and ``targets`` (M,) int64, ``weights`` (M,): annotated pixels that each sample stands for.
    """
    found = {}
    for row in targets.unique().tolist():
        if row == 0:
            continue
        ours, truth = rows == row, targets == row
        both = weights[ours & truth].sum()
        size = weights[ours].sum() + weights[truth].sum()
        found[int(row)] = float(2 * both / size)
    return found
