"""The painted slices as training data: drawn pixels, feature samples, fits, and segmenters made from them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_salt.model import mixing, probe
from napari_salt.model.adapters import load_adapter_state, merge
from napari_salt.model.device import spare_threads
from napari_salt.model.drawing import Painting, TrainingSlice, drawn_frames
from napari_salt.model.encoder import EncodedSlice, Encoder, head_taps
from napari_salt.model.features import Standard
from napari_salt.model.head import LabelHead
from napari_salt.model.probe import Begun, Fitted, Samples
from napari_salt.model.segmenter import Segmenter, join_taps
from napari_salt.model.thresholds import (
    FEW,
    NO_THRESHOLDS,
    Thresholds,
    areas_told,
    choose_thresholds,
)
from napari_salt.records import AnnotatedSlice, Label

if TYPE_CHECKING:
    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.features import Taps
    from napari_salt.model.forest import Forest
    from napari_salt.records import Planes


class TrainingSet:
    """Everything the fits share.

    Parameters
    ----------
    encoded, annotated
        The painted slices, in the same order; of large ones what was drawn and encoded already.
    embeddings
        Unit text embeddings (K + 1, E) of "background" and the names of ``labels``.
    layers
        State of adapted layers to start from, or None for the pretrained tail.
    learned_from
        Slices that ``layers`` were trained on: no score on them is honest any more.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoded: Sequence[EncodedSlice] | Painting,
        annotated: Sequence[AnnotatedSlice],
        labels: Sequence[Label],
        embeddings: Tensor,
        *,
        seed: int,
        device: torch.device,
        layers: Mapping[str, Tensor] | None = None,
        learned_from: Collection[int] = (),
    ) -> None:
        self.backbone, self.device, self.seed = backbone, device, seed
        self.embeddings = embeddings
        self.layers = dict(layers or {})
        self._learned_from = frozenset(learned_from) if self.layers else frozenset()
        self.rows = len(embeddings)
        self.frames = drawn_frames(encoded, annotated, labels, seed)
        # as for masks, see `predict`
        few = len(annotated) <= FEW and not isinstance(encoded, Painting)
        self._has_thresholds = few and areas_told(annotated)
        self.taps = head_taps(backbone)
        self.linear_share = mixing.LINEAR_SHARE
        self.row_scale: tuple[float, ...] = ()
        self.volume: Tensor | None = None

    def measure(self, tap_standard: Standard | None = None) -> Generator[float, None, None]:
        """Sample the features at the drawn pixels; must be run once before any fit. Yields the share done, 0..1.

        ``tap_standard`` is that of an earlier fit to go by; None = the features' own.
        """
        raw = yield from self._tap_values(self.starting_tail())
        self.tap_standard = tap_standard or Standard.measure(raw)
        self.frames = [
            [replace(one, encoded=one.encoded.without_tail_taps()) for one in frames]
            for frames in self.frames
        ]
        each = self.everything()
        self.samples = Samples(
            self.tap_standard(raw),
            torch.cat([one.encoded.view.samples_at(one.rows, one.columns) for one in each]),
            torch.cat([one.targets for one in each]),
            torch.cat([torch.full((len(one.rows),), one.number) for one in each]),
            torch.cat([one.fold for one in each]),
            torch.cat([one.weights for one in each]),
        )

    def measure_volume(self, encoder: Encoder, planes: Planes) -> Generator[float, None, None]:
        """Sample what slices beside say of the drawn pixels, for `look_along`; yields the share done, 0..1.

        One painted slice after the other, and no more than the samples is held. ``encoder`` and ``planes`` are those
        that the set was made with.
        """
        found: list[Tensor] = []
        for done, frames in enumerate(self.frames, start=1):
            view = frames[0].encoded.view
            volume = encoder.volume_filters(planes, frames[0].index, view)
            for one in frames:
                view = replace(one.encoded.view, volume=volume)
                found.append(view.volume_at(one.rows, one.columns))
            yield done / self.count
        self.volume = torch.cat(found)

    @property
    def looks_along(self) -> bool:
        """Whether forests see `volume_filters`."""
        return self.samples.volume is not None

    def look_along(self, wanted: bool) -> None:
        """Whether forests are to see `volume_filters` from now on, which `measure_volume` has sampled."""
        self.samples = replace(self.samples, volume=self.volume if wanted else None)

    @property
    def count(self) -> int:
        """Number of painted slices."""
        return len(self.frames)

    @property
    def told_by_intensity(self) -> bool:
        """Whether labels are told by intensity: the queries, which read features alone, have less say than usual."""
        return self.linear_share < mixing.LINEAR_SHARE

    @property
    def folds(self) -> int:
        """Number of folds that whole slices make."""
        return min(self.count, probe.MOST_FOLDS)

    @property
    def fresh(self) -> list[int]:
        """Numbers of the painted slices that the starting tail was not trained on."""
        return [i for i, one in enumerate(self.frames) if one[0].index not in self._learned_from]

    def trial_fold(self) -> int:
        """The fold to leave out of a trial: of the middle-most fresh slice, or of the middle one."""
        middle = self.count // 2
        number = min(self.fresh or [middle], key=lambda i: abs(i - middle))
        return number % self.folds

    def everything(self) -> list[TrainingSlice]:
        """Frames of all painted slices."""
        return [one for frames in self.frames for one in frames]

    def outside(self, fold: int) -> list[TrainingSlice]:
        """Frames of all painted slices but those of ``fold``."""
        return [one for one in self.everything() if one.number % self.folds != fold]

    def fit_all(self, samples: Samples | None = None) -> Generator[float, None, Fitted]:
        """First fit on ``samples`` (None = all of them)."""
        fitting = probe.fit_all(samples or self.samples, self.rows, seed=self.seed, jobs=_jobs())
        return self._mixed((yield from fitting))

    def fit_first(self) -> Generator[float, None, Begun]:
        """The first third of `fit_all`, good enough for a look."""
        fitting = probe.fit_first(self.samples, self.rows, seed=self.seed, jobs=_jobs())
        begun = yield from fitting
        return replace(begun, fitted=self._mixed(begun.fitted))

    def fit_rest(self, begun: Begun) -> Generator[float, None, Fitted]:
        """What `fit_all` gives, from what `fit_first` gave."""
        fitting = probe.fit_rest(self.samples, begun, seed=self.seed, jobs=_jobs())
        return self._mixed((yield from fitting))

    def fit_folds(self) -> Generator[float, None, dict[int, Fitted]]:
        """The same, smaller, without each fold in turn."""
        return probe.fit_folds(self.samples, self.rows, seed=self.seed, jobs=_jobs())

    def fit_without(self, fold: int, samples: Samples) -> Generator[float, None, Fitted]:
        """The same for one fold, on ``samples`` as another tail sees them."""
        fitting = probe.fit_without(samples, fold, self.rows, seed=self.seed, jobs=_jobs())
        return self._mixed((yield from fitting))

    def fit_forest(self) -> Generator[float, None, Forest]:
        """The forest of `fit_all` alone."""
        return probe.fit_forest(self.samples, self.rows, seed=self.seed, jobs=_jobs())

    def choose_mix(
        self, folds: Mapping[int, Fitted], *, many_things: bool = False
    ) -> dict[int, Fitted]:
        """Choose part of the queries and scale of the rows, by the pixels left out, for this and all later fits.

        ``folds`` are those of `fit_folds`; the same with what was chosen. With one slice no whole one was left out,
        and the scale is touched only if it shows ``many_things``, see
        `look_along.shows_many_things`.
        """
        self.linear_share = mixing.choose_share(self.samples, folds)
        if self.count > 1 or many_things:
            powers = mixing.AREA_POWERS if self.count > 1 else mixing.MORE_POWERS
            self.row_scale = mixing.choose_row_scale(self.samples, self.mixed(folds), powers)
        return self.mixed(folds)

    def mixed(self, folds: Mapping[int, Fitted]) -> dict[int, Fitted]:
        """The ``folds`` as everything here is mixed."""
        return {fold: self._mixed(one) for fold, one in folds.items()}

    def _mixed(self, fitted: Fitted) -> Fitted:
        return replace(fitted, linear_share=self.linear_share, row_scale=self.row_scale)

    def judges(self, left_out: int) -> Generator[float, None, dict[int, tuple[Tensor, Tensor]]]:
        """For each fold but ``left_out`` the queries fitted without either."""
        return probe.fit_judges(self.samples, left_out, self.rows)

    def score_on(
        self, fold: int, fitted: Fitted, samples: Samples | None = None
    ) -> dict[int, float]:
        """Dice by row of a fit on the samples of one fold, of the labels that occur in others too."""
        samples = samples or self.samples
        inside = samples.part((samples.fold == fold) & mixing.judged(samples))
        return self._dice(fitted.probabilities(inside), inside.targets, inside.weights)

    def score(self, folds: Mapping[int, Fitted]) -> dict[int, float]:
        """Out-of-fold Dice by row on the `fresh` slices; empty where there are none.

        It is empty with one painted slice as well, where no whole slice was left out, and a label
        painted on the slices of one fold alone has none.
        """
        if self.count == 1 or not self.fresh:
            return {}
        known = mixing.judged(self.samples)
        known &= torch.isin(self.samples.slice_of, torch.tensor(self.fresh))
        found = mixing.held_out(self.samples, folds)[known]
        return self._dice(found, self.samples.targets[known], self.samples.weights[known])

    def _dice(self, found: Tensor, targets: Tensor, weights: Tensor) -> dict[int, float]:
        """Dice by row of probabilities (M, R), where labels begin as they do in masks; pieces need no core."""
        by_row = found.T.float().cpu().numpy()
        begin = NO_THRESHOLDS
        if self._has_thresholds:
            chosen = choose_thresholds([by_row], weights.cpu().numpy())
            begin = Thresholds(chosen, cores=False)
        rows = torch.from_numpy(begin.rows(by_row, by_row.argmax(0))).to(targets)
        return mixing.sampled_dice(rows, targets, weights)

    def with_tail(self, tail: torch.nn.Module) -> Generator[float, None, Samples]:
        """The samples as another tail sees them."""
        raw = yield from self._tap_values(tail)
        return replace(self.samples, deep=self.tap_standard(raw))

    def tail(self) -> torch.nn.Module:
        """A fresh tail to attach adapters to, pretrained."""
        return self.backbone.make_tail().to(self.device)

    def starting_tail(self) -> torch.nn.Module:
        """The pretrained tail, or that of the earlier round."""
        if not self.layers:
            return self.backbone.pretrained_tail()
        tail = self.tail()
        load_adapter_state(tail, self.layers)
        merge(tail)
        return tail

    def segmenter(self, fitted: Fitted) -> Segmenter:
        """A segmenter of the starting tail with a fit of all samples."""
        head = self.head(fitted, self.tap_standard)
        return Segmenter(self.starting_tail(), head).to(self.device)

    def head(self, fitted: Fitted, tap_standard: Standard) -> LabelHead:
        """A head with a fit to taps of this standard, on the device."""
        absent = torch.ones(self.rows, dtype=torch.bool)
        absent[self.samples.targets.unique()] = False
        head = LabelHead(
            self.taps,
            self.embeddings,
            tap_standard,
            directions=len(fitted.directions),
            absent=absent,
        ).to(self.device)
        head.set_fit(fitted)
        return head

    def _tap_values(self, tail: torch.nn.Module) -> Generator[float, None, Tensor]:
        return tap_values(self.taps, self.everything(), tail)


def tap_values(
    taps: Taps, each: Sequence[TrainingSlice], tail: torch.nn.Module
) -> Generator[float, None, Tensor]:
    """(M, C) taps at the drawn pixels, not standardised, on the CPU; yields the share done, 0..1."""
    found: list[Tensor] = []
    for one in each:
        with torch.no_grad():
            seen = join_taps(taps, one.encoded, tail)
            found.append(one.encoded.view.taps_at(seen, one.rows, one.columns).cpu())
        yield len(found) / len(each)
    return torch.cat(found)


def _jobs() -> int:
    """Trees that grow at the same time; the outcome does not depend on it."""
    return spare_threads()
