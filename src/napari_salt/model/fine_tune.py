"""Joint fine-tuning of adapter and queries from the convex first fit, all painted slices in every step.

Guards against fitting a handful of slices too well: full batches, a short cosine schedule with
warm-up, learning rates of their own for scales, shifts, low rank and queries, and a look at held-out
slices where there are any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model.adapters import adapter_parameters
from napari_salt.model.losses import partial_cross_entropy, partial_dice_loss
from napari_salt.model.probe import sampled_dice

if TYPE_CHECKING:
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.model.training_set import TrainingSlice

RATES = {"scale": 1e-3, "shift": 1e-3, "low_rank": 1e-3, "dense": 1e-4}
"""Learning rate of each role of adapter parameters."""
QUERY_RATE = 1e-4
DICE_SHARE = 0.0
WARM_UP = 3
LARGEST_GRADIENT = 1.0
LOOK_EVERY = 2
"""Steps between two looks at the held-out slices."""
MOST_FRAMES = 24
"""Frames in one step; of more, a random choice is drawn for each step."""


@dataclass(frozen=True)
class TuneReport:
    """After each slice of each step: steps done, of how many, the last full step's loss, held-out mean Dice."""

    step: int
    steps: int
    loss: float | None
    held_out: float | None


@dataclass(frozen=True)
class TuneResult:
    """Best held-out step (0 = the start), its Dice by row, the Dice at the start, and the steps really run.

    Without held-out slices ``best`` is the last step and the scores are empty.
    """

    best: int
    scores: dict[int, float]
    start_scores: dict[int, float]
    steps: int


def fine_tune(
    segmenter: Segmenter,
    training: Sequence[TrainingSlice],
    held_out: Sequence[TrainingSlice],
    *,
    steps: int,
    stop_after: int | None = None,
    deadline: float | None = None,
    seed: int = 0,
) -> Generator[TuneReport, None, TuneResult]:
    """Train the adapter attached to ``segmenter.tail`` and the queries; leaves the best state in place.

    Parameters
    ----------
    training, held_out
        Painted slices, frame by frame. Those held out are never trained on; the state that scores
        best on them is kept, the start included.
    steps
        Length of the schedule; ``stop_after`` cuts it short without changing the rates.
    deadline
        `time.monotonic` at which to stop, after at least the step in progress.
    """
    groups = _groups(segmenter)
    trained = [parameter for parameters, _ in groups for parameter in parameters]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=0.0
    )
    start_scores = score(segmenter, held_out)
    best = _Best(start_scores, trained)
    last_loss: float | None = None
    last = steps if stop_after is None else min(steps, stop_after)
    done = 0
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, last + 1):
        share = min(1.0, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        for group, (_, rate) in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = rate * share
        optimiser.zero_grad()
        total = 0.0
        batch = _batch(training, generator)
        pixels = sum(len(one.rows) for one in batch)
        for one in batch:
            loss = _loss(segmenter, one) * (len(one.rows) / pixels)
            loss.backward()
            total += float(loss.detach())
            yield TuneReport(step - 1, last, last_loss, best.mean)
            late = deadline is not None and time.monotonic() > deadline
            if late and one is not batch[-1]:
                break
        else:
            late = False
        if late:
            break  # half a step would follow some slices only
        nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
        optimiser.step()
        last_loss, done = total, step
        late = deadline is not None and time.monotonic() > deadline
        if held_out and (step % LOOK_EVERY == 0 or step == last or late):
            best.look(step, score(segmenter, held_out), trained)
        yield TuneReport(step, last, last_loss, best.mean)
        if late:
            break
    if not held_out:
        return TuneResult(done, {}, {}, done)
    best.put_back(trained)
    return TuneResult(best.step, best.scores, start_scores, done)


@torch.no_grad()
def score(segmenter: Segmenter, slices: Sequence[TrainingSlice]) -> dict[int, float]:
    """Dice of each row that occurs in ``slices`` and was trained on, over all of them together."""
    if not slices:
        return {}
    rows = [
        segmenter.logits_at(one.encoded, one.rows, one.columns).argmax(1).cpu() for one in slices
    ]
    targets = torch.cat([one.targets for one in slices])
    weights = torch.cat([one.weights for one in slices])
    known = ~segmenter.head.absent.cpu()[targets]
    return sampled_dice(torch.cat(rows)[known], targets[known], weights[known])


def mean_dice(scores: dict[int, float]) -> float | None:
    """Mean over labels; None where there are none."""
    return sum(scores.values()) / len(scores) if scores else None


class _Best:
    """The best state seen on held-out slices, and a copy of its parameters."""

    def __init__(self, scores: dict[int, float], parameters: Sequence[nn.Parameter]) -> None:
        self.step = 0
        self.scores = scores
        self.mean = mean_dice(scores)
        self._copies = [parameter.detach().clone() for parameter in parameters]

    def look(self, step: int, scores: dict[int, float], parameters: Sequence[nn.Parameter]) -> None:
        mean = mean_dice(scores)
        if mean is not None and self.mean is not None and mean > self.mean:
            self.step, self.scores, self.mean = step, scores, mean
            self._copies = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def put_back(self, parameters: Sequence[nn.Parameter]) -> None:
        for parameter, copy in zip(parameters, self._copies, strict=True):
            parameter.copy_(copy)


def _batch(training: Sequence[TrainingSlice], generator: torch.Generator) -> list[TrainingSlice]:
    if len(training) <= MOST_FRAMES:
        return list(training)
    picked = torch.randperm(len(training), generator=generator)[:MOST_FRAMES]
    return [training[i] for i in picked.tolist()]


def _groups(segmenter: Segmenter) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters that are trained together, and their learning rate."""
    roles = adapter_parameters(segmenter.tail)
    groups = [(parameters, RATES[role]) for role, parameters in roles.items()]
    head = segmenter.head
    return [*groups, ([head.text_map, head.residual, head.bias], QUERY_RATE)]


def _loss(segmenter: Segmenter, one: TrainingSlice) -> Tensor:
    logits = segmenter.logits_at(one.encoded, one.rows, one.columns)
    targets = one.targets.to(logits.device)
    loss = partial_cross_entropy(logits, targets)
    if DICE_SHARE:
        loss = loss + DICE_SHARE * partial_dice_loss(logits, targets, one.weights.to(logits.device))
    return loss
