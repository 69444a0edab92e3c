"""Guarded fine-tuning: a trial run that leaves slices out finds whether it helps, then all slices are used.

Whether a change of the backbone helps is decided on slices that neither the fits nor the adapter
have seen. Where it does not help, the first fit is kept, so that adapting never loses to it on
held-out slices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_salt.model.adapters import adapter_state, attach, count_parameters
from napari_salt.model.fine_tune import MOST_FRAMES, TuneReport, fine_tune
from napari_salt.model.progress import reports, step_report
from napari_salt.wording import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_salt.model.probe import Fitted, Samples
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.model.training_set import TrainingSet
    from napari_salt.records import FitSettings, StepReport

DEFAULT_STEPS = 16
FEWEST_SLICES = 5
"""Painted slices from which one can be spared for the trial; with fewer, those left judge at random (measured)."""
TRIAL_SHARE = 0.5
"""Share of the remaining time budget that the trial may take."""
FEWEST_STEPS = 8
"""Steps that a trial must have time for: after three or four, still at the full rate, what it gained on one fold was
lost on other slices (measured)."""
LOOKED_AT = 3
"""Frames whose time tells how long the rest will take."""
WORTH = 0.01
"""Held-out Dice that must be gained for a change of the backbone to be kept: smaller gains did not carry over."""
TRY_AGAIN = 1.5
"""Times as many painted slices, after which a trial that gained nothing is worth repeating."""
TIME_NOTE = "The time was up after the first fit, which is kept."
NO_GAIN_NOTE = "Fine-tuning the backbone gained nothing on held-out slices; the first fit is kept."
SCORE_NOTE = "Dice on slices left out of a trial run."
EARLIER_NOTE = "An earlier round found that changing the backbone gains nothing; tried again at {} painted slices."
SLOW_NOTE = "There was no time to find out whether to change the backbone; the first fit is kept."
FAULT_NOTE = (
    "The loss was not a number ({}); the last good state was taken up again at a lower rate."
)
STALE_NOTE = "The score is of the first fit on slices that no earlier round has trained on."


@dataclass(frozen=True, eq=False)
class Tuned:
    """What became of the adapter.

    ``layers`` is its portable state (empty: unchanged), ``steps`` those kept, ``parameters`` how many
    numbers it trains, ``before`` and ``after`` held-out Dice by row (empty: nothing new was learned of it),
    ``samples`` those that it sees (None: unchanged), ``no_gain`` what
    `FitRecord.no_gain` says.
    """

    layers: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    parameters: int = 0
    before: dict[int, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    note: str = ""
    samples: Samples | None = None
    no_gain: tuple[int, ...] = ()


def tune(
    data: TrainingSet,
    segmenter: Segmenter,
    folds: Mapping[int, Fitted],
    settings: FitSettings,
    deadline: float | None,
    no_gain: tuple[int, ...] = (),
) -> Generator[StepReport, None, Tuned]:
    """Fine-tune ``segmenter`` in place where that helps on held-out slices; else leave it as it is.

    Only where steps are asked for: on the painted stack it was never worth its time (measured in ``benchmarks/``).
    A trial is not repeated before there are `TRY_AGAIN` times as many slices as at the last one without gain
    (``no_gain``, see `FitRecord`) if that was with the same steps and ranks: a slice more rarely changes the verdict,
    and a trial is most of a round's time.
    """
    steps = settings.steps
    if settings.kind == "none" or not steps:
        return Tuned()
    if deadline is not None and time.monotonic() >= deadline:
        return Tuned(note=TIME_NOTE)
    run = _Run(data, settings)
    if data.count < FEWEST_SLICES:
        return (yield from run.final(segmenter, folds, steps, deadline))
    ranks = (settings.rank, settings.low_rank)
    asked = (steps, *(-1 if rank is None else rank for rank in ranks))
    again = math.ceil(TRY_AGAIN * no_gain[0]) if no_gain[1:] == asked else 0
    if data.count < again:
        return Tuned(note=EARLIER_NOTE.format(again), no_gain=no_gain)
    trial = yield from run.trial(folds, steps, _part(deadline, TRIAL_SHARE))
    if run.slow:
        return Tuned(parameters=run.parameters, note=run.noted(SLOW_NOTE))
    before, after = mean_dice(trial.before), mean_dice(trial.after)
    if before is None or after is None or after - before < WORTH:
        tried = (data.count, *asked) if trial.steps else ()
        return Tuned(parameters=run.parameters, note=run.noted(NO_GAIN_NOTE), no_gain=tried)
    tuned = yield from run.final(segmenter, folds, trial.steps, deadline)
    if not tuned.steps:
        return Tuned(parameters=run.parameters, note=tuned.note)
    if len(data.fresh) < data.count:
        # the fold may hold slices of an earlier round: good enough to choose by, not to publish
        return replace(tuned, note=run.noted(STALE_NOTE))
    return replace(tuned, before=trial.before, after=trial.after, note=run.noted(SCORE_NOTE))


class _Run:
    """Trial and final run of one adapter."""

    def __init__(self, data: TrainingSet, settings: FitSettings) -> None:
        self.data, self.settings = data, settings
        self.parameters = 0
        self.faults = 0
        self.slow = False

    def noted(self, note: str) -> str:
        """``note``, and what was wrong with the loss where something was."""
        told = FAULT_NOTE.format(count(self.faults, "time")) if self.faults else ""
        return " ".join(part for part in (note, told) if part)

    def trial(
        self, folds: Mapping[int, Fitted], steps: int, deadline: float | None
    ) -> Generator[StepReport, None, Tuned]:
        """Train and fit without one fold, and compare on it with the fit that had the unchanged backbone."""
        data, out = self.data, self.data.trial_fold()
        doing = "finding out whether to change the backbone"
        judges = yield from reports("adapting", data.judges(out), doing)
        tail, training = self._tail(), data.outside(out)
        tuning = fine_tune(
            data, tail, training, judges, steps=steps, deadline=deadline, seed=data.seed
        )
        enough = min(steps, FEWEST_STEPS) * min(len(training), MOST_FRAMES)
        done = yield from self._steps(tuning, doing, enough, deadline)
        if not done:
            return Tuned()
        samples = yield from reports("adapting", data.with_tail(tail), doing)
        fitted = yield from reports("adapting", data.fit_without(out, samples), doing)
        return Tuned(
            steps=done,
            before=data.score_on(out, folds[out]),
            after=data.score_on(out, fitted, samples),
        )

    def final(
        self,
        segmenter: Segmenter,
        folds: Mapping[int, Fitted],
        steps: int,
        deadline: float | None,
    ) -> Generator[StepReport, None, Tuned]:
        """Train on all painted slices, and fit ``segmenter`` anew to what the changed backbone sees."""
        data, doing = self.data, "adapting"
        judges = {fold: (fitted.queries, fitted.bias) for fold, fitted in folds.items()}
        tail = self._tail()
        tuning = fine_tune(
            data, tail, data.everything(), judges, steps=steps, deadline=deadline, seed=data.seed
        )
        done = yield from self._steps(tuning, doing)
        if not done:
            note = self.noted("" if self.faults else TIME_NOTE)
            return Tuned(parameters=self.parameters, note=note)
        samples = yield from reports("adapting", data.with_tail(tail), doing)
        fitted = yield from reports("adapting", data.fit_all(samples), doing)
        segmenter.tail = tail
        segmenter.head.set_fit(fitted)
        note = self.noted("")
        return Tuned(adapter_state(tail), done, self.parameters, note=note, samples=samples)

    def _tail(self) -> nn.Module:
        """A tail with the adapter, which sits on the pretrained weights also when it continues an earlier round."""
        tail = self.data.tail()
        attach(
            tail,
            self.settings.kind,
            self.data.backbone.adaptable_layers(tail),
            rank=self.settings.rank,
            low_rank=self.settings.low_rank,
            seed=self.settings.seed,
            state=self.data.layers or None,
        )
        self.parameters = count_parameters(tail)
        return tail

    def _steps(
        self,
        tuning: Generator[TuneReport, None, int],
        message: str,
        enough: int = 0,
        deadline: float | None = None,
    ) -> Generator[StepReport, None, int]:
        """Steps done; none where ``enough`` frames will not fit in before the ``deadline``."""
        began, before, frames = time.monotonic(), self.faults, 0
        while True:
            try:
                report = next(tuning)
            except StopIteration as stop:
                return int(stop.value)
            frames += 1
            if deadline is not None and LOOKED_AT <= frames < enough:
                each = (time.monotonic() - began) / frames
                if time.monotonic() + (enough - frames) * each > deadline:
                    tuning.close()
                    self.slow = True
                    return 0
            if before + report.faults > self.faults:
                self.faults = before + report.faults
                message = f"{message}, slower after a loss that was not a number"
            yield step_report(report, began, message)


def mean_dice(scores: Mapping[int, float]) -> float | None:
    """Mean over labels; None where there are none."""
    return sum(scores.values()) / len(scores) if scores else None


def _part(deadline: float | None, share: float) -> float | None:
    now = time.monotonic()
    return None if deadline is None else now + share * (deadline - now)
