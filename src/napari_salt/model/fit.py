"""Adapt to painted slices: encode, first fit, guarded fine-tuning; a generator of frozen reports."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from napari_salt.intensity import check_choice
from napari_salt.model.adapter_file import AdapterFile, pack
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.batches import with_fallback
from napari_salt.model.description import describe
from napari_salt.model.device import pick_device, set_threads
from napari_salt.model.earlier_round import EarlierRound, check_init
from napari_salt.model.encode_painted import encode_painted
from napari_salt.model.encoder import Encoder
from napari_salt.model.framing import choose_framing, intensity_for
from napari_salt.model.input_checks import (
    check_annotations,
    check_contrast,
    check_slices,
    check_window,
    painted_labels,
)
from napari_salt.model.label_prompts import embed_names
from napari_salt.model.limits import measure_limits
from napari_salt.model.look_along import LOOKING, look_along, shows_many_things
from napari_salt.model.other_stacks import OtherStacks, fit_other_stacks, likeness_for_others
from napari_salt.model.progress import loading, reports, reports_until
from napari_salt.model.score import LATER_NOTE, named, scored
from napari_salt.model.segment_slices import segment_slices
from napari_salt.model.segmenter import Segmenter
from napari_salt.model.thresholds import areas_told
from napari_salt.model.training_set import TrainingSet
from napari_salt.model.tuning import TIME_NOTE, Tuned, mean_dice, tune
from napari_salt.model.volume_filters import looks_along
from napari_salt.records import (
    BACKGROUND_NAME,
    AnnotatedSlice,
    FitRecord,
    FitSettings,
    Label,
    Planes,
    SlicePrediction,
    StepReport,
)
from napari_salt.regions import is_large

if TYPE_CHECKING:
    import torch

    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.likeness import Likeness


MOST_PREVIEWED = 100
"""Frames of a slice up to which it is segmented in the middle of a fit."""


@dataclass(frozen=True, eq=False)
class FirstFit:
    """A first fit, ready to segment: all of it, or as much as the preview takes; the rest follows."""

    adapter: AdapterFile


@dataclass(frozen=True, eq=False)
class FitOutcome:
    """The kept state and how it came to be."""

    adapter: AdapterFile
    record: FitRecord
    score_waits: bool = False
    """Whether the score was left for `score`."""


Report = StepReport | SlicePrediction | FirstFit


def fit(
    planes: Planes,
    annotated: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    settings: FitSettings,
    *,
    init: AdapterFile | None = None,
    preview: int | None = None,
    cache: FeatureCache | None = None,
    score_later: bool = False,
) -> Generator[Report, None, FitOutcome]:
    """Adapt a backbone to the painted slices of a stack.

    Parameters
    ----------
    planes
        The stack; only the painted slices, those around them (see `volume_filters`), a few for the intensity, and the
        preview are read.
    annotated
        What was painted; ids that are neither ``UNLABELLED``, ``BACKGROUND`` nor of ``labels`` are
        refused.
    labels
        What to segment. A label that nobody has painted is left out.
    init
        Adapter of an earlier round to start from; all of ``annotated`` is trained on again.
    preview
        A slice to segment as soon as the first fit stands, unless it is so large that this takes minutes.
    cache
        Where prefix activations are kept between jobs.
    score_later
        Whether to leave out the score where ``init`` tells how queries and forest are mixed, see `EarlierRound`.

    Yields
    ------
    StepReport
        At least about once a second.
    FirstFit
        When the first fit can already segment; with a preview once before it, after a third of the work, and once when
        it stands; again where a GPU ran out of memory later and the CPU starts anew.
    SlicePrediction
        The preview, ``provisional``.

    Raises
    ------
    InputError
        Nothing painted, an unknown id, only one kind of pixel, other shapes, unknown device or
        backbone, a stack of one value, a window that shows nothing of the stack.
    AdapterError
        ``init`` belongs to other base weights or was adapted with another method or to other intensities.
    JobFailed
        The memory of this computer does not do.
    """
    painted = check_annotations(planes, annotated, labels)
    check_choice(settings.intensity)
    check_slices(planes, [one.index for one in painted] + ([] if preview is None else [preview]))
    if init is not None:
        check_init(planes, init, settings)
    used = painted_labels(painted, labels)
    before = EarlierRound(init, used, len(painted), settings, score_later=score_later)

    def work(device: torch.device) -> Generator[Report, None, FitOutcome]:
        return _Fit(planes, painted, used, settings, before, preview, cache, device).run()

    return (yield from with_fallback(pick_device(settings.device), work, loading))


class _Fit:
    """One run of `fit`, step by step in the order of `run`."""

    def __init__(
        self,
        planes: Planes,
        painted: list[AnnotatedSlice],
        labels: list[Label],
        settings: FitSettings,
        before: EarlierRound,
        preview: int | None,
        cache: FeatureCache | None,
        device: torch.device,
    ) -> None:
        self.planes, self.painted, self.labels = planes, painted, labels
        self.settings, self.before, self.preview, self.cache = settings, before, preview, cache
        self.device = device
        self.began = 0.0

    def run(self) -> Generator[Report, None, FitOutcome]:
        """The whole fit."""
        yield loading("loading weights")
        check_contrast(self.planes, [one.index for one in self.painted])
        self.limits = measure_limits(self.planes, self.settings.intensity)
        check_window(self.settings.intensity, self.limits)
        set_threads()
        backbone = warm_backbone(self.settings.backbone, self.device)
        if self.before.adapter is not None:
            self.before.adapter.check_base(backbone)
        yield loading("reading label names")
        names = [BACKGROUND_NAME, *(label.name for label in self.labels)]
        embeddings = embed_names(names, self.settings.text_model)
        self.began = time.monotonic()
        encoder = self._encoder(backbone)
        data = yield from self._encode(encoder, backbone, embeddings)
        segmenter = yield from self._first_fit(encoder, data)
        deadline = self._deadline()
        record, tuned = yield from self._judge(encoder, data, segmenter, deadline)
        other, likeness = yield from self._for_others(encoder, data, segmenter, tuned, deadline)
        record = replace(record, seconds=self._seconds())
        if other is not None:
            record = other.told_in(record, segmenter.head)
        packed = self._pack(encoder, segmenter, tuned.layers, record, other, likeness)
        return FitOutcome(packed, record, self.before.score_waits)

    def _judge(
        self,
        encoder: Encoder,
        data: TrainingSet,
        segmenter: Segmenter,
        deadline: float | None,
    ) -> Generator[StepReport, None, tuple[FitRecord, Tuned]]:
        """Fits without some slices: what they say of this one, how it is mixed, and whether the backbone changes."""
        if self.before.score_waits:
            tuned = Tuned(note=LATER_NOTE)
            return self._record(segmenter, tuned, mixed_at=self.before.mixed_at), tuned
        folds = yield from reports_until(deadline, "scoring", data.fit_folds())
        if folds is None:
            tuned = Tuned(note=TIME_NOTE)
            return self._record(segmenter, tuned), tuned
        if not self.before.look_holds:
            folds = yield from look_along(
                data, folds, segmenter, encoder, self.planes, self.painted, deadline
            )
        # things on a large slice are not counted: it would be read whole for that
        countable = len(self.painted) == 1 and not is_large(self.planes.info)
        many_things = countable and shows_many_things(self.painted[0])
        folds = data.choose_mix(folds, many_things=many_things)
        segmenter.head.set_mix(data.linear_share, data.row_scale)
        scores = data.score(folds)
        if scores:
            yield StepReport(
                "scoring",
                100,
                100,
                held_out_dice=mean_dice(scores),
                held_out_by_label=named(scores, self.labels),
            )
        tuned = yield from tune(
            data, segmenter, folds, self.settings, deadline, self.before.no_gain
        )
        return self._record(segmenter, tuned, scores, mixed_at=data.count), tuned

    def _first_fit(self, encoder: Encoder, data: TrainingSet) -> Generator[Report, None, Segmenter]:
        """Fit, with the preview as soon as there is enough for a look."""
        if self.preview is None or not self._quick(encoder):
            fitted = yield from reports("first fit", data.fit_all())
            segmenter = data.segmenter(fitted)
        else:
            begun = yield from reports("first fit", data.fit_first())
            segmenter = data.segmenter(begun.fitted)
            yield FirstFit(self._pack(encoder, segmenter, {}, self._record(segmenter)))
            looked_at = [self.preview]
            for found in segment_slices(segmenter, encoder, self.planes, looked_at, self.labels):
                yield replace(found, provisional=True) if found else StepReport("segmenting", 0, 1)
            fitted = yield from reports("first fit", data.fit_rest(begun))
            segmenter.head.set_fit(fitted)
        yield FirstFit(self._pack(encoder, segmenter, {}, self._record(segmenter)))
        return segmenter

    def _for_others(
        self,
        encoder: Encoder,
        data: TrainingSet,
        segmenter: Segmenter,
        tuned: Tuned,
        deadline: float | None,
    ) -> Generator[StepReport, None, tuple[OtherStacks | None, Likeness | None]]:
        """What is fitted for other stacks, from where the earlier round left it."""
        layers, earlier = tuned.layers, None
        if not layers:
            layers, earlier = self.before.layers_elsewhere()
        other = yield from fit_other_stacks(
            data,
            tuned.samples or data.samples,
            segmenter,
            encoder,
            self.planes,
            self.settings,
            layers=layers,
            earlier=earlier,
            deadline=deadline,
        )
        likeness = yield from likeness_for_others(
            data, segmenter.tail, encoder, self.planes, self.settings, deadline
        )
        return other, likeness

    def _quick(self, encoder: Encoder) -> bool:
        """Whether a slice is segmented soon enough for a first look."""
        return len(encoder.framing.layout(*self.planes.info.shape[1:]).origins) <= MOST_PREVIEWED

    def _deadline(self) -> float | None:
        budget = self.settings.time_budget
        return None if budget is None else self.began + budget

    def _encoder(self, backbone: Backbone) -> Encoder:
        size = self.planes.info.shape[1:]
        framing = choose_framing(self.painted, size, backbone.frame_size)
        return Encoder(
            backbone,
            intensity_for(self.settings.intensity, self.limits),
            framing,
            cache=self.cache,
            device=self.device,
            along_stack=len(self.painted) > 1,  # one slice says nothing of how place carries over
            # many frames of large slices are held at a time: they take turns in the tail instead
            pretrained_tail=not (self.before.layers or is_large(self.planes.info)),
        )

    def _encode(
        self, encoder: Encoder, backbone: Backbone, embeddings: Tensor
    ) -> Generator[StepReport, None, TrainingSet]:
        encoded = yield from encode_painted(
            encoder, self.planes, self.painted, self.labels, self.settings.seed
        )
        data = TrainingSet(
            backbone,
            encoded,
            self.painted,
            self.labels,
            embeddings,
            seed=self.settings.seed,
            device=self.device,
            layers=self.before.layers,
            learned_from=self.before.learned_from,
        )
        yield from reports("embedding", data.measure(), "sampling painted pixels")
        if self.before.score_waits:
            data.linear_share, data.row_scale = self.before.mix
        # the earlier round may be of another stack
        if self.before.looks_along and looks_along(self.planes.info):
            yield from reports("embedding", data.measure_volume(encoder, self.planes), LOOKING)
            data.look_along(True)
            encoder.volume = True
        return data

    def _record(
        self,
        segmenter: Segmenter,
        tuned: Tuned | None = None,
        first_scores: dict[int, float] | None = None,
        mixed_at: int = 0,
    ) -> FitRecord:
        tuned, scores = tuned or Tuned(), first_scores or {}
        queries = segmenter.head.query_parameters
        record = FitRecord(
            kind=self.settings.kind,
            backbone=self.settings.backbone,
            slices=tuple(one.index for one in self.painted),
            steps=tuned.steps,
            seconds=self._seconds(),
            trainable_parameters=queries + tuned.parameters,
            kept="adapted" if tuned.steps else "first fit",
            seed=self.settings.seed,
            device=str(self.device),
            no_gain=tuned.no_gain,
            mixed_at=mixed_at,
            looked_at=self.before.looked_at if mixed_at else 0,
        )
        record = scored(record, scores, self.labels)
        if tuned.note:
            record = replace(record, score_note=tuned.note)
        if not tuned.after:
            return record
        return replace(
            record,
            held_out_before=mean_dice(tuned.before),
            held_out_after=mean_dice(tuned.after),
            held_out_by_label=named(tuned.after, self.labels),
        )

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 2)

    def _pack(
        self,
        encoder: Encoder,
        segmenter: Segmenter,
        layers: dict[str, Tensor],
        record: FitRecord,
        other: OtherStacks | None = None,
        likeness: Likeness | None = None,
    ) -> AdapterFile:
        kind = self.settings.kind
        if not layers and self.before.adapter is not None:
            layers = self.before.layers
            kind = self.before.adapter.info.kind if layers else kind
        info = describe(
            self.planes.info,
            self.limits,
            self.labels,
            encoder,
            segmenter.head,
            self.settings,
            record,
            kind=kind,
            areas_told=areas_told(self.painted),
        )
        if other is not None:
            info = other.described_in(info)
        return pack(segmenter, layers, info, other, likeness)
