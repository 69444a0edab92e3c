"""Guarded fine-tuning: a trial run that leaves slices out finds how far to go, then all slices are used.

Whether a change of the backbone helps is decided on slices that neither the queries nor the adapter
have seen. Where it does not help, the convex first fit is kept, so that adapting never loses to it on
held-out slices.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_salt.model.adapters import adapter_state, attach, count_parameters
from napari_salt.model.fine_tune import TuneReport, TuneResult, fine_tune, mean_dice
from napari_salt.records import StepReport

if TYPE_CHECKING:
    from torch import Tensor

    from napari_salt.model.probe import Fitted
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.model.training_set import TrainingSet
    from napari_salt.records import FitSettings

DEFAULT_STEPS = 16
FEWEST_SLICES = 3
"""Painted slices from which one can be spared for the trial."""
TRIAL_SHARE = 0.5
"""Share of the remaining time budget that the trial may take."""
DEFAULT_BUDGET = 75.0
"""Seconds for both runs where neither steps nor a time budget were asked for."""
WORTH = 0.001
"""Held-out Dice that must be gained for a change of the backbone to be kept."""
SCORE_NOTE = "Dice on slices left out of a trial run, whose best state was kept."
STALE_NOTE = "The score is of the first fit on slices that no earlier round has trained on."


@dataclass(frozen=True, eq=False)
class Tuned:
    """What became of the adapter.

    ``layers`` is its portable state (empty: unchanged), ``steps`` those kept, ``parameters`` how many
    numbers it trains, ``before`` and ``after`` held-out Dice by row (empty: nothing new was learned of it).
    """

    layers: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    parameters: int = 0
    before: dict[int, float] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    note: str = ""


def tune(
    data: TrainingSet,
    segmenter: Segmenter,
    folds: Mapping[int, Fitted],
    weights: Mapping[str, float],
    settings: FitSettings,
    deadline: float | None,
) -> Generator[StepReport, None, Tuned]:
    """Fine-tune ``segmenter`` in place where that helps on held-out slices; else leave it as it is."""
    steps = DEFAULT_STEPS if settings.steps is None else settings.steps
    if settings.kind == "none" or steps == 0:
        return Tuned()
    if deadline is None and settings.steps is None:
        deadline = time.monotonic() + DEFAULT_BUDGET
    if deadline is not None and time.monotonic() >= deadline:
        return Tuned(note="The time was up after the first fit, which is kept.")
    run = _Run(data, settings, steps)
    if data.count < FEWEST_SLICES:
        if settings.steps is None:
            return Tuned(note="With fewer than 3 painted slices only the label queries are fitted.")
        return (yield from run.final(segmenter, steps, deadline))
    trial = yield from run.trial(folds, weights, _part(deadline, TRIAL_SHARE))
    before, after = mean_dice(trial.start_scores), mean_dice(trial.scores)
    if before is None or after is None or after - before < WORTH:
        return Tuned(
            parameters=run.parameters,
            note="Fine-tuning the backbone gained nothing on held-out slices; the first fit is kept.",
        )
    tuned = yield from run.final(segmenter, trial.best, deadline)
    if len(data.fresh) < data.count:
        # the fold may hold slices of an earlier round: good enough to choose by, not to publish
        return replace(tuned, note=STALE_NOTE)
    return replace(tuned, before=trial.start_scores, after=trial.scores, note=SCORE_NOTE)


class _Run:
    """Trial and final run of one adapter."""

    def __init__(self, data: TrainingSet, settings: FitSettings, steps: int) -> None:
        self.data, self.settings, self.steps = data, settings, steps
        self.parameters = 0

    def trial(
        self, folds: Mapping[int, Fitted], weights: Mapping[str, float], deadline: float | None
    ) -> Generator[StepReport, None, TuneResult]:
        """Train without one fold, from queries fitted without it; its best step is what counts."""
        number = self.data.trial_fold()
        inside, outside = self.data.fold(number)
        segmenter = self.data.segmenter(inside, folds[number], weights)
        self._attach(segmenter)
        return (
            yield from self._reports(
                fine_tune(
                    segmenter,
                    inside,
                    outside,
                    steps=self.steps,
                    deadline=deadline,
                    seed=self.settings.seed,
                ),
                "finding how far to go",
            )
        )

    def final(
        self, segmenter: Segmenter, steps: int, deadline: float | None
    ) -> Generator[StepReport, None, Tuned]:
        """Train ``segmenter`` on all painted slices for the first ``steps`` of the schedule."""
        self._attach(segmenter)
        tuning = fine_tune(
            segmenter,
            self.data.everything(),
            (),
            steps=self.steps,
            stop_after=steps,
            deadline=deadline,
            seed=self.settings.seed,
        )
        result = yield from self._reports(tuning, "adapting")
        layers = adapter_state(segmenter.tail) if result.steps else {}
        return Tuned(layers, result.steps, self.parameters)

    def _attach(self, segmenter: Segmenter) -> None:
        # adapters sit on the pretrained weights, also when they continue an earlier round
        segmenter.tail = self.data.tail()
        attach(
            segmenter.tail,
            self.settings.kind,
            self.data.backbone.adaptable_layers(segmenter.tail),
            rank=self.settings.rank,
            low_rank=self.settings.low_rank,
            seed=self.settings.seed,
            state=self.data.layers or None,
        )
        self.parameters = count_parameters(segmenter.tail)

    def _reports(
        self, tuning: Generator[TuneReport, None, TuneResult], message: str
    ) -> Generator[StepReport, None, TuneResult]:
        began = time.monotonic()
        while True:
            try:
                report = next(tuning)
            except StopIteration as stop:
                result: TuneResult = stop.value
                return result
            left = None
            if report.step:
                spent = time.monotonic() - began
                left = spent / report.step * (report.steps - report.step)
            yield StepReport(
                "adapting",
                report.step,
                report.steps,
                report.loss,
                left,
                report.held_out,
                message=message,
            )


def _part(deadline: float | None, share: float) -> float | None:
    now = time.monotonic()
    return None if deadline is None else now + share * (deadline - now)
