"""The convex first fit: multinomial logistic regression of each feature bank, then one weight per bank.

Each bank is fitted alone, because what intensity decides (tissue) drowns in hundreds of deep features,
and what shape and place decide (organs) drowns in filters. Out-of-fold logits of the banks then set
the weights with which they add up (stacking, Wolpert 1992; a convex problem as well). Logits add up,
so the result is one linear query per label.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import Tensor
from torch.nn import functional as F

PENALTIES = {"appearance": 3e-5, "place": 1e-3, "deep": 1e-2}
"""Ridge penalty of each bank, in loss per squared norm; features are standardised."""
PRIOR_WEIGHTS = {"appearance": 0.30, "place": 0.10, "deep": 0.45}
"""Weights of the banks before anything is known."""
PRIOR_STRENGTH = 0.3
"""Pull of the weights towards the prior, divided by the number of annotated slices."""
ITERATIONS = 60
FOLD_ITERATIONS = 40
MOST_FOLDS = 5
CHUNK = 5
"""Solver iterations between two progress reports."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Annotated pixels drawn from the slices.

    ``values`` (M, D) features, ``targets`` (M,) int64 rows of the head, ``slice_of`` (M,) int64
    number of the slice in the order given, ``block_of`` (M,) int64 which half of a chequered pattern
    a pixel lies in, ``weights`` (M,) how many annotated pixels one stands for.
    """

    values: Tensor
    targets: Tensor
    slice_of: Tensor
    block_of: Tensor
    weights: Tensor

    @property
    def slices(self) -> int:
        """Number of annotated slices."""
        return int(self.slice_of.max()) + 1

    def fold_of(self) -> Tensor:
        """(M,) fold of each sample: whole slices are left out, or halves of the pattern where there is one slice."""
        if self.slices == 1:
            return self.block_of
        return self.slice_of % min(self.slices, MOST_FOLDS)


NEVER = -1e4
"""Logit of a row that a fit has not seen; finite, so that a weight of 0 leaves 0."""

Fitted = dict[str, tuple[Tensor, Tensor]]
"""Weight (R, D of the bank) and bias (R,) of each bank."""


def fit_queries(
    values: Tensor, targets: Tensor, rows: int, penalty: float, iterations: int
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """Minimise mean cross entropy + ``penalty`` · ‖W‖² by L-BFGS; pauses every few iterations.

    ``values`` (M, D), ``targets`` (M,) int64 in 0..rows-1. Returns W (rows, D) and bias (rows,). Rows that never occur
    in ``targets`` stay 0.
    """
    full_weight, full_bias = values.new_zeros(rows, values.shape[1]), values.new_zeros(rows)
    if not len(targets):
        return full_weight, full_bias
    present = targets.unique()
    local = torch.searchsorted(present, targets)
    weight = values.new_zeros(len(present), values.shape[1]).requires_grad_(True)
    bias = values.new_zeros(len(present)).requires_grad_(True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=CHUNK, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(values @ weight.T + bias, local) + penalty * weight.square().sum()
        value.backward()
        return value

    for _ in range(0, iterations, CHUNK):
        solver.step(loss)
        yield
    full_weight[present], full_bias[present] = weight.detach(), bias.detach()
    return full_weight, full_bias


def fit_banks(
    samples: Samples, parts: Mapping[str, slice], rows: int
) -> Generator[float, None, Fitted]:
    """Fit every bank on all samples; yields the share done, 0..1."""
    return (yield from _fit_jobs(samples, parts, rows, [None], ITERATIONS))[None]


def fit_folds(
    samples: Samples, parts: Mapping[str, slice], rows: int
) -> Generator[float, None, dict[int, Fitted]]:
    """Fit every bank once for each fold, without the samples of that fold; yields the share done, 0..1."""
    folds: list[int | None] = [int(fold) for fold in samples.fold_of().unique()]
    found = yield from _fit_jobs(samples, parts, rows, folds, FOLD_ITERATIONS)
    return {fold: fitted for fold, fitted in found.items() if fold is not None}


def held_out_logits(
    samples: Samples, parts: Mapping[str, slice], folds: Mapping[int, Fitted]
) -> dict[str, Tensor]:
    """Logits (M, R) of each bank, every sample judged by the fit that has not seen it.

    A row that this fit has not seen at all is `NEVER` chosen.
    """
    fold_of = samples.fold_of()
    found: dict[str, Tensor] = {}
    for name, part in parts.items():
        rows = len(next(iter(folds.values()))[name][1])
        logits = samples.values.new_zeros(len(samples.targets), rows)
        for fold, fitted in folds.items():
            outside = fold_of == fold
            weight, bias = fitted[name]
            unseen = torch.ones(rows, dtype=torch.bool, device=logits.device)
            unseen[samples.targets[~outside]] = False
            found_here = samples.values[outside][:, part] @ weight.T + bias
            logits[outside] = found_here.masked_fill(unseen, NEVER)
        found[name] = logits
    return found


def judged(samples: Samples) -> Tensor:
    """(M,) whether the label of a sample occurs in other folds too; else no held-out fit can know it."""
    fold_of = samples.fold_of()
    found = torch.zeros_like(fold_of, dtype=torch.bool)
    for fold in fold_of.unique():
        inside = fold_of == fold
        found |= inside & torch.isin(samples.targets, samples.targets[~inside])
    return found


def prior_weights(slices: int) -> dict[str, float]:
    """Weights of the banks before any fold has been looked at."""
    weights = dict(PRIOR_WEIGHTS)
    if slices == 1:
        weights["place"] = 0.0  # one slice says nothing of how place carries over to others
    return weights


def combine(
    fitted: Fitted, parts: Mapping[str, slice], weights: Mapping[str, float], length: int
) -> tuple[Tensor, Tensor]:
    """Queries (R, ``length``) and bias (R,) of the weighted sum of the banks."""
    rows = len(next(iter(fitted.values()))[1])
    queries, bias = torch.zeros(rows, length), torch.zeros(rows)
    for name, part in parts.items():
        weight, offset = fitted[name]
        queries[:, part] = weights[name] * weight
        bias += weights[name] * offset
    return queries, bias


def stack(
    logits: Mapping[str, Tensor], targets: Tensor, prior: Mapping[str, float], slices: int
) -> dict[str, float]:
    """Weights ≥ 0 of the banks that minimise the cross entropy of their weighted sum, drawn towards ``prior``.

    ``logits`` maps each bank to its out-of-fold logits (M, R). A bank whose prior is 0 stays out.
    """
    if not len(targets):
        return {name: prior[name] for name in logits}
    names = [name for name in logits if prior[name] > 0]
    start = np.array([prior[name] for name in names])
    banks = torch.stack([logits[name] for name in names]).double()
    pull = PRIOR_STRENGTH / slices

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, object]:
        weight = torch.tensor(weights, requires_grad=True)
        value = F.cross_entropy(torch.tensordot(weight, banks, 1), targets)
        value = value + pull * (weight - torch.from_numpy(start)).square().sum()
        value.backward()
        assert weight.grad is not None
        return value.item(), weight.grad.numpy()

    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(names)
    ).x
    chosen = dict(zip(names, map(float, found), strict=True))
    return {name: chosen.get(name, 0.0) for name in logits}


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


def draw_pixels(
    targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]], count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw up to ``count`` annotated pixels of one slice, rare labels more often (by the inverse root of their area).

    A label that chance leaves out gets one pixel on top, so that no paint is lost.
    ``targets`` (Y, X) int64, negative = unlabelled. Returns rows, columns, targets and weights, each (M,).
    """
    flat = targets.ravel()
    known = np.flatnonzero(flat >= 0)
    labels = flat[known]
    area = np.bincount(labels).astype(np.float64)
    chance = area[labels] ** -0.5
    chance /= chance.sum()
    count = min(count, len(known))
    if count == len(known):
        picked, weights = np.arange(len(known)), np.ones(len(known))
    else:
        picked = rng.choice(len(known), count, replace=False, p=chance)
        missed = np.setdiff1d(labels, labels[picked])
        extra = [rng.choice(np.flatnonzero(labels == label)) for label in missed]
        picked = np.concatenate([picked, np.array(extra, picked.dtype)])
        drawn = np.bincount(labels[picked], minlength=len(area))
        weights = (area / np.maximum(drawn, 1))[labels[picked]]
    row, column = np.divmod(known[picked], targets.shape[1])
    return (
        torch.from_numpy(row),
        torch.from_numpy(column),
        torch.from_numpy(labels[picked]),
        torch.from_numpy(weights.astype(np.float32)),
    )


def _fit_jobs(
    samples: Samples,
    parts: Mapping[str, slice],
    rows: int,
    folds: Sequence[int | None],
    iterations: int,
) -> Generator[float, None, dict[int | None, Fitted]]:
    fold_of = samples.fold_of()
    total = len(folds) * len(parts) * iterations / CHUNK
    done = 0
    found: dict[int | None, Fitted] = {}
    for fold in folds:
        inside = slice(None) if fold is None else fold_of != fold
        targets, values = samples.targets[inside], samples.values[inside]
        found[fold] = {}
        for name, part in parts.items():
            bank = values[:, part].contiguous()
            solving = fit_queries(bank, targets, rows, PENALTIES[name], iterations)
            while True:
                try:
                    next(solving)
                except StopIteration as stop:
                    found[fold][name] = stop.value
                    break
                done += 1
                yield min(1.0, done / total)
    return found
