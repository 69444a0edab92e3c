"""What is fitted for other stacks than the painted one: a head blind to the place along the stack, and an adapter.

Beside the painted slices themselves it learns from what made-up instruments show of them, see `instruments`. The
adapter draws both together, see `other_adapter`, and is kept where labels are found at least as well for it on a slice
left out. On the painted stack neither is asked.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model import probe
from napari_salt.model.device import spare_threads
from napari_salt.model.elsewhere import slices_to_look_at
from napari_salt.model.features import Standard
from napari_salt.model.glances import Glance, glances_at, seen_through
from napari_salt.model.instruments import seen_planes, slices_to_see
from napari_salt.model.likeness import measure_likeness
from napari_salt.model.noise import noise_of
from napari_salt.model.other_adapter import OtherAdapter
from napari_salt.model.probe import Samples
from napari_salt.model.progress import reports, reports_until, shares
from napari_salt.records import StepReport
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_salt.model.adapter_info import AdapterInfo
    from napari_salt.model.encoder import Encoder
    from napari_salt.model.forest import Forest
    from napari_salt.model.head import LabelHead
    from napari_salt.model.likeness import Likeness
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.model.training_set import TrainingSet
    from napari_salt.records import FitRecord, FitSettings, Planes

SEEN_SHARE = 2
"""Pixels seen through instruments, for each of the painted slices themselves."""
LOOKING = "seeing the painted slices as other instruments would"
FITTING = "fitting for other stacks"


@dataclass(frozen=True, eq=False)
class OtherStacks:
    """``head`` for other stacks, ``layers`` the state of its adapter (empty: the tail of the painted stack).

    ``volume_forest`` sees `volume_filters` as well, for stacks on which those mean the same. ``alike_forest`` goes with
    the head for the painted stack, and knows no place along it. ``steps`` are those kept,
    ``parameters`` how many numbers the adapter trains, ``before`` and ``after`` the Dice on a slice left out, seen
    through the instruments (None: not tried), ``tried`` how many slices were painted then and ``asked`` how many steps
    were asked for, ``instruments`` whether the head has learned from what those show, ``noise`` then that of the
    painted stack.
    """

    head: LabelHead
    volume_forest: Forest | None = None
    alike_forest: Forest | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    parameters: int = 0
    before: float | None = None
    after: float | None = None
    tried: int = 0
    asked: int = 0
    instruments: bool = False
    noise: float | None = None

    def described_in(self, info: AdapterInfo) -> AdapterInfo:
        """The description of an adapter for the painted stack, with what it is to tell of this."""
        return replace(info, instruments=self.instruments, noise=self.noise)

    def told_in(self, record: FitRecord, head: LabelHead) -> FitRecord:
        """The record of a fit with ``head`` for the painted stack, with what it is to tell of this."""
        trained = max(record.trainable_parameters, head.query_parameters + self.parameters)
        return replace(
            record,
            trainable_parameters=trained,
            elsewhere_steps=self.steps,
            elsewhere_before=self.before,
            elsewhere_after=self.after,
            elsewhere_tried=self.tried,
            elsewhere_asked=self.asked,
        )


def fit_other_stacks(
    data: TrainingSet,
    samples: Samples,
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    settings: FitSettings,
    *,
    layers: Mapping[str, Tensor],
    earlier: FitRecord | None = None,
    deadline: float | None = None,
) -> Generator[StepReport, None, OtherStacks | None]:
    """Fit head and adapter for other stacks; None where that is not wanted and the head does not look along the stack.

    Where intensity tells the labels, see `TrainingSet.told_by_intensity`, what instruments show blurs that: gray and
    white matter lost up to .12 Dice on other stacks, so none are looked through there.

    Parameters
    ----------
    samples
        The painted slices themselves, as the tail of ``segmenter`` sees them.
    segmenter
        For the painted stack, its tail adapted or not.
    encoder, planes
        What ``data`` was made of.
    layers
        State of adapted layers to start from; empty for the pretrained ones.
    earlier
        Of the round that ``layers`` come from, where that had the same method and ranks. It is not tried again before
        there are `TRY_AGAIN` times as many painted slices: the adapter hardly depends on a slice more.
    deadline
        `time.monotonic` at which no instrument is looked through any more.
    """
    work = _Work(data, samples, segmenter, encoder, planes, settings)
    if settings.other_stacks and not data.told_by_intensity:
        yield from work.look(deadline)
    if not (work.glances or encoder.along_stack or data.looks_along):
        return None
    adapter = OtherAdapter(data, segmenter.tail, settings, work.own, work.glances)
    if settings.kind != "none" and settings.steps != 0 and work.glances:
        yield from adapter.find(layers, earlier, deadline)
    return (yield from reports("scoring", work.fit(adapter), FITTING))


def likeness_for_others(
    data: TrainingSet,
    tail: nn.Module,
    encoder: Encoder,
    planes: Planes,
    settings: FitSettings,
    deadline: float | None = None,
) -> Generator[StepReport, None, Likeness | None]:
    """What the painted labels look like to ``tail``, where that is to tell the contrast of other stacks; else None.

    That is so where intensity tells the labels, see `likeness`, and intensities are no absolute ones.
    """
    choice = settings.intensity
    wanted = settings.other_stacks and choice.method != "window"
    if not (wanted and data.told_by_intensity) or is_large(planes.info):
        return None
    measuring = measure_likeness(encoder, planes, data.frames, data.taps, tail, choice)
    return (yield from reports_until(deadline, "scoring", measuring, FITTING))


class _Work:
    """The parts of `fit_other_stacks`, in the order in which it calls them."""

    def __init__(
        self,
        data: TrainingSet,
        samples: Samples,
        segmenter: Segmenter,
        encoder: Encoder,
        planes: Planes,
        settings: FitSettings,
    ) -> None:
        self.data, self.samples, self.own_head = data, samples, segmenter.head
        self.encoder, self.planes, self.settings = encoder, planes, settings
        self.own: list[Glance] = []
        self.glances: list[Glance] = []

    def look(self, deadline: float | None) -> Generator[StepReport, None, None]:
        """See the painted slices through the instruments."""
        data, encoder = self.data, self.encoder
        by_index = {frames[0].index: frames for frames in data.frames}
        looked_at = slices_to_look_at(self.planes.info.shape[0])
        choice = self.settings.intensity
        seen = seen_planes(self.planes, encoder.intensity, choice, looked_at)
        labels = {
            index: set(torch.cat([one.targets for one in frames]).tolist())
            for index, frames in by_index.items()
        }
        shown = slices_to_see(labels)
        total = len(seen) * len(shown)
        most = -(-SEEN_SHARE * len(self.samples.targets) // total)
        kept = self._kept(most)
        self.own = [
            one
            for frames, its in zip(data.frames, kept, strict=True)
            for one in glances_at(frames, its)
        ]
        began = time.monotonic()
        for done, (planes, index) in enumerate(product(seen, shown)):
            if deadline is not None and time.monotonic() > deadline:
                return
            left = (time.monotonic() - began) / done * (total - done) if done else None
            told = StepReport("embedding", done, total, seconds_left=left, message=LOOKING)
            yield told
            seeing = seen_through(encoder, planes, by_index[index], volume=data.looks_along)
            for frames in seeing:
                yield told
                if frames is not None:
                    self.glances += glances_at(frames, kept[frames[0].number])

    def _kept(self, most: int) -> list[list[Tensor]]:
        """For each painted slice and frame some of its drawn pixels, no more than about ``most`` a slice."""
        generator = torch.Generator().manual_seed(self.data.seed)
        found = []
        for frames in self.data.frames:
            part = min(1.0, most / sum(len(one.rows) for one in frames))
            counts = [len(one.rows) for one in frames]
            found.append(
                [
                    torch.randperm(count, generator=generator)[: max(1, round(part * count))]
                    for count in counts
                ]
            )
        return found

    def fit(self, adapter: OtherAdapter) -> Generator[float, None, OtherStacks]:
        """The head and the forests, on what the tail kept sees of the painted slices and through the instruments."""
        data, samples = self.data, self.samples
        if adapter.steps:
            samples = yield from data.with_tail(adapter.tail)
        own = samples.detail[:, :-1] if self.encoder.along_stack else samples.detail
        if self.glances:
            seen = yield from adapter.glance_taps(adapter.tail)
            adapter.forget()
            deep = torch.cat([data.tap_standard.undo(samples.deep), seen])
            standard, queries = Standard.measure(deep), None
            deep = standard(deep)
        else:  # the same features, so the same queries
            deep, standard = samples.deep, data.tap_standard
            queries = self.own_head.queries().detach().cpu(), self.own_head.bias.detach().cpu()
        detail = torch.cat([own, *(one.detail for one in self.glances)])
        targets = torch.cat([samples.targets, *(one.targets for one in self.glances)])
        zeros = torch.zeros_like(targets)
        everything = Samples(deep, detail, targets, zeros, zeros, torch.ones(len(targets)))
        fitting = probe.fit_other(
            everything, data.rows, queries=queries, seed=data.seed, jobs=spare_threads()
        )
        blind = self.encoder.along_stack and bool(self.glances)
        part = 1 / (1 + (samples.volume is not None) + blind)
        fitted = yield from shares(fitting, 0.0, part)
        volume_forest = alike_forest = None
        if samples.volume is not None:
            growing = self._grow_volume(everything, samples.volume, fitted.directions)
            volume_forest = yield from shares(growing, part, part)
        if blind:
            alike_forest = yield from shares(self._grow_alike(), 1 - part, part)
        return OtherStacks(
            data.head(fitted, standard),
            volume_forest,
            alike_forest,
            adapter.layers,
            adapter.steps,
            adapter.parameters,
            adapter.before,
            adapter.after,
            adapter.tried,
            adapter.asked,
            bool(self.glances),
            noise_of(self.planes, self.encoder.intensity) if self.glances else None,
        )

    def _grow_volume(
        self, everything: Samples, own: Tensor, directions: Tensor
    ) -> Generator[float, None, Forest]:
        """The forest for stacks that are looked along: it sees `volume_filters` of slices and glances."""
        volume = [own, *(one.volume for one in self.glances if one.volume is not None)]
        return self._grow(replace(everything, volume=torch.cat(volume)), directions)

    def _grow_alike(self) -> Generator[float, None, Forest]:
        """The forest for stacks that show things alike: on the painted slices alone, without the place along them."""
        samples = replace(self.samples, detail=self.samples.detail[:, :-1])
        return self._grow(samples, self.own_head.directions.cpu())

    def _grow(self, samples: Samples, directions: Tensor) -> Generator[float, None, Forest]:
        rows, seed = self.data.rows, self.data.seed
        trees, jobs = probe.OTHER_TREES, spare_threads()
        return probe.grow_forest(samples, directions, rows, trees, seed, jobs)
