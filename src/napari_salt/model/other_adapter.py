"""The adapter for other stacks: it draws them towards what the frozen backbone sees; a slice left out judges it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model import mixing, probe
from napari_salt.model.adapters import adapter_state, attach, count_parameters, merge
from napari_salt.model.features import Standard
from napari_salt.model.invariance import draw_together
from napari_salt.model.progress import reports, step_report
from napari_salt.model.queries import fit_queries
from napari_salt.model.tuning import TRY_AGAIN

if TYPE_CHECKING:
    from napari_salt.model.glances import Glance
    from napari_salt.model.training_set import TrainingSet
    from napari_salt.records import FitRecord, FitSettings, StepReport

DEFAULT_STEPS = 12
DEFAULT_SECONDS = 45.0
"""For the steps where neither those nor a time budget were asked for."""
JUDGE_ITERATIONS = 30
NO_SLICE_SPARED = 2
"""Painted slices up to which the adapter sees all of them; labels it never sees."""
DRAWING = "changing the backbone so that other stacks look alike"
JUDGING = "finding out whether that helps"


class OtherAdapter:
    """The tail for other stacks, and how it came to be.

    Parameters
    ----------
    data
        The painted slices.
    tail
        That of the painted stack, which stays if nothing better is found.
    own, glances
        The painted slices themselves, and what instruments show of them.

    Attributes
    ----------
    tail
        The one to see other stacks with.
    layers
        State of its adapter; empty for the tail of the painted stack.
    steps, parameters
        Steps kept, and numbers that the adapter trains.
    before, after
        Dice on a slice left out, seen through the instruments; None where that was not tried.
    tried, asked
        How many slices were painted when it was tried, and how many steps were asked for.
    """

    def __init__(
        self,
        data: TrainingSet,
        tail: nn.Module,
        settings: FitSettings,
        own: Sequence[Glance],
        glances: Sequence[Glance],
    ) -> None:
        self.data, self.tail, self.settings = data, tail, settings
        self.own, self.glances = own, glances
        self.layers: dict[str, Tensor] = {}
        self.steps = self.parameters = 0
        self.before: float | None = None
        self.after: float | None = None
        self.tried = self.asked = 0
        self._seen: dict[nn.Module, Tensor] = {}

    def find(
        self, layers: Mapping[str, Tensor], earlier: FitRecord | None, deadline: float | None
    ) -> Generator[StepReport, None, None]:
        """Train an adapter and keep it where it helps, or take over what an ``earlier`` round found.

        ``layers`` are the state to start from, ``deadline`` is a `time.monotonic`.
        """
        steps = self.settings.steps
        if earlier is not None and _still_good(earlier, self.data.count, steps):
            self._go_on(layers, earlier)
            return
        seconds = None if steps else DEFAULT_SECONDS
        if deadline is not None:
            seconds = max(0.0, deadline - time.monotonic())
        yield from self._train(layers, steps or DEFAULT_STEPS, seconds)

    def _train(
        self, layers: Mapping[str, Tensor], steps: int, seconds: float | None
    ) -> Generator[StepReport, None, None]:
        data, tail = self.data, self._adapted_tail(layers)
        with torch.no_grad():
            plain = {one.key: one.tail_taps(self.tail) for one in self.own}
        standard = Standard.measure(torch.cat(list(plain.values())))
        targets = {key: standard(values) for key, values in plain.items()}
        fold = data.trial_fold() if data.count > 1 else 0
        spared = fold if data.count > NO_SLICE_SPARED else None
        training = [
            one for one in self.glances if spared is None or bool((one.fold != spared).any())
        ]
        drawing = draw_together(
            tail, training, targets, standard, steps=steps, seconds=seconds, seed=data.seed
        )
        began = time.monotonic()
        while True:
            try:
                report = next(drawing)
            except StopIteration as stop:
                done = int(stop.value)
                break
            yield step_report(report, began, DRAWING)
        if not done:
            return
        self.tried, self.asked = data.count, steps
        self.before = yield from reports("scoring", self._judge(fold, self.tail), JUDGING)
        self.after = yield from reports("scoring", self._judge(fold, tail), JUDGING)
        if self.before is not None and self.after is not None and self.after >= self.before:
            self.layers, self.steps, self.tail = adapter_state(tail), done, tail
        self._seen = {one: values for one, values in self._seen.items() if one is self.tail}

    def _adapted_tail(self, layers: Mapping[str, Tensor]) -> nn.Module:
        """A tail with an adapter that starts from ``layers``, on the pretrained weights."""
        settings, tail = self.settings, self.data.tail()
        attach(
            tail,
            settings.kind,
            self.data.backbone.adaptable_layers(tail),
            rank=settings.rank,
            low_rank=settings.low_rank,
            seed=settings.seed,
            state=dict(layers) or None,
        )
        self.parameters = count_parameters(tail)
        return tail

    def _go_on(self, layers: Mapping[str, Tensor], earlier: FitRecord) -> None:
        """Take over what an earlier round found."""
        self.before, self.after = earlier.elsewhere_before, earlier.elsewhere_after
        self.tried, self.asked = earlier.elsewhere_tried, earlier.elsewhere_asked
        if earlier.elsewhere_steps:
            tail = self._adapted_tail(layers)
            merge(tail)
            self.layers, self.steps, self.tail = dict(layers), earlier.elsewhere_steps, tail

    def _judge(self, fold: int, tail: nn.Module) -> Generator[float, None, float | None]:
        """Mean Dice of queries that have not seen the ``fold``, on its pixels through the instruments."""
        each = [*self.own, *self.glances]
        own = yield from self._taps(self.own, tail)
        deep = torch.cat([own, (yield from self.glance_taps(tail))])
        standard = Standard.measure(deep)
        deep = standard(deep)
        targets = torch.cat([one.targets for one in each])
        outside = torch.cat([one.fold for one in each]) != fold
        seen = torch.cat(
            [torch.full_like(one.fold, number >= len(self.own)) for number, one in enumerate(each)]
        )
        judged = ~outside & seen.bool() & torch.isin(targets, targets[outside].unique())
        if not bool(judged.any()):
            return None
        queries, bias = yield from fit_queries(
            deep[outside], targets[outside], self.data.rows, probe.PENALTY, JUDGE_ITERATIONS
        )
        rows = (deep[judged] @ queries.T + bias).argmax(1)
        scores = mixing.sampled_dice(rows, targets[judged], torch.ones(len(rows)))
        return sum(scores.values()) / len(scores) if scores else None

    def glance_taps(self, tail: nn.Module) -> Generator[float, None, Tensor]:
        """The taps of all glances through instruments, kept as long as the ``tail`` may still be chosen."""
        if tail not in self._seen:
            self._seen[tail] = yield from self._taps(self.glances, tail)
        return self._seen[tail]

    def forget(self) -> None:
        """Free the taps of the glances."""
        self._seen.clear()

    def _taps(self, each: Sequence[Glance], tail: nn.Module) -> Generator[float, None, Tensor]:
        """(M, C) of all glances as ``tail`` sees them."""
        found = []
        for one in each:
            found.append(one.taps(self.data.taps, tail))
            yield len(found) / len(each)
        return torch.cat(found)


def _still_good(earlier: FitRecord, slices: int, steps: int | None) -> bool:
    """Whether what an earlier round found is not worth finding again."""
    same = (steps or DEFAULT_STEPS) == earlier.elsewhere_asked
    return same and slices < TRY_AGAIN * earlier.elsewhere_tried
