"""Cross-fitted fine-tuning: the adapter learns what helps queries on slices that they have not seen.

Queries fitted to all slices know those by heart, and an adapter trained through them learns nothing that carries
over (measured: it lowers the Dice of other slices). So each painted slice is judged by frozen queries that were
fitted without it, and only the adapter moves; queries and forest are fitted anew to what it sees in the end.
Full batches, a short cosine schedule with warm-up, learning rates of their own for scales, shifts and low rank.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model.adapters import adapter_parameters
from napari_salt.model.losses import partial_cross_entropy
from napari_salt.model.queries import NEVER
from napari_salt.model.segmenter import join_taps

if TYPE_CHECKING:
    from napari_salt.model.drawing import TrainingSlice
    from napari_salt.model.training_set import TrainingSet

RATES = {"scale": 1e-3, "shift": 1e-3, "low_rank": 1e-3, "dense": 1e-4}
"""Learning rate of each role of adapter parameters."""
WARM_UP = 3
LARGEST_GRADIENT = 1.0
MOST_FAULTS = 3
SLOWER = 0.25
"""Factor of the learning rates after each fault."""
MOST_FRAMES = 24
"""Frames in one step; of more, a random choice is drawn for each step."""

Queries = tuple[Tensor, Tensor]
"""Weight (R, C) and bias (R,); rows that the fit has not seen have the bias `NEVER`."""


@dataclass(frozen=True)
class TuneReport:
    """After each slice of each step: steps done, of how many, and the last full step's loss.

    ``faults`` counts the steps whose loss or gradient was not a number.
    """

    step: int
    steps: int
    loss: float | None
    faults: int = 0


def fine_tune(
    data: TrainingSet,
    tail: nn.Module,
    training: Sequence[TrainingSlice],
    judges: Mapping[int, Queries],
    *,
    steps: int,
    deadline: float | None = None,
    seed: int = 0,
) -> Generator[TuneReport, None, int]:
    """Train the adapter attached to ``tail`` in place; returns the steps done.

    Where the loss or its gradient is not a number, the last state with a finite loss is taken up again at a lower rate;
    after `MOST_FAULTS` of them it is what remains.

    Parameters
    ----------
    training
        Painted slices, frame by frame.
    judges
        For each fold the queries that were fitted without it.
    deadline
        `time.monotonic` at which to stop, after at least the slice in progress; half a step is not taken.
    """
    groups = [(each, RATES[role]) for role, each in adapter_parameters(tail).items()]
    trained = [parameter for parameters, _ in groups for parameter in parameters]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=0.0
    )
    judges = {fold: (w.to(data.device), b.to(data.device)) for fold, (w, b) in judges.items()}
    generator = torch.Generator().manual_seed(seed)
    last_loss: float | None = None
    good, done, faults = LastGood(trained), 0, 0
    for step in range(1, steps + 1):
        share = _share(step, steps)
        for group, (_, rate) in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = rate * share * SLOWER**faults
        optimiser.zero_grad()
        total = 0.0
        batch = _batch(training, generator)
        pixels = sum(len(one.rows) for one in batch)
        for one in batch:
            if deadline is not None and time.monotonic() > deadline:
                return good.checked(done)  # half a step would follow some slices only
            loss = _loss(data, tail, one, judges) * (len(one.rows) / pixels)
            if loss.requires_grad:
                loss.backward()
            total += float(loss.detach())
            yield TuneReport(step - 1, steps, last_loss, faults)
        norm = float(nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT))
        if math.isfinite(total) and math.isfinite(norm):
            good.keep(done)
            optimiser.step()
            done, last_loss = done + 1, total
        else:
            done, faults = good.restore(), faults + 1
            optimiser.state.clear()  # its moments led here
        yield TuneReport(step, steps, last_loss, faults)
        if faults == MOST_FAULTS:
            break
    return good.checked(done)


class LastGood:
    """Parameters, and steps behind them, when the loss was last a number."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self.keep(0)

    def keep(self, steps: int) -> None:
        """The state after ``steps`` is good."""
        self._values = [one.detach().clone() for one in self._parameters]
        self._steps = steps

    def restore(self) -> int:
        """Go back there; returns the steps behind it."""
        with torch.no_grad():
            for one, values in zip(self._parameters, self._values, strict=True):
                one.copy_(values)
        return self._steps

    def checked(self, steps: int) -> int:
        """``steps``, or those that remain where the last of them has left something that is no number."""
        finite = all(bool(torch.isfinite(one).all()) for one in self._parameters)
        return steps if finite else self.restore()


def _share(step: int, steps: int) -> float:
    """Part of the learning rates in a step, 1-based: `WARM_UP` steps up, then down along a cosine."""
    return min(1.0, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))


def _loss(
    data: TrainingSet, tail: nn.Module, one: TrainingSlice, judges: Mapping[int, Queries]
) -> Tensor:
    """Mean cross entropy over the pixels whose label their judge knows; 0 where there is none."""
    taps = join_taps(data.taps, one.encoded, tail)
    deep = data.tap_standard(one.encoded.view.taps_at(taps, one.rows, one.columns))
    total, count = deep.new_zeros(()), 0
    for fold in one.fold.unique().tolist():
        queries, bias = judges[fold]
        here = one.fold == fold
        targets = one.targets[here].to(deep.device)
        targets = targets.masked_fill(bias[targets] == NEVER, -1)
        known = int((targets >= 0).sum())
        if known:
            logits = deep[here.to(deep.device)] @ queries.T + bias
            total = total + known * partial_cross_entropy(logits, targets)
            count += known
    return total / max(1, count)


def _batch(training: Sequence[TrainingSlice], generator: torch.Generator) -> list[TrainingSlice]:
    if len(training) <= MOST_FRAMES:
        return list(training)
    picked = torch.randperm(len(training), generator=generator)[:MOST_FRAMES]
    return [training[i] for i in picked.tolist()]
