"""The painted slices as training data: drawn pixels, feature samples, fold fits, and segmenters made from them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_salt.model import probe
from napari_salt.model.adapters import load_adapter_state, merge
from napari_salt.model.features import Banks, Standard
from napari_salt.model.head import LabelHead
from napari_salt.model.probe import Fitted, Samples
from napari_salt.model.segmenter import EncodedSlice, Segmenter, head_taps, join_taps
from napari_salt.records import BACKGROUND, AnnotatedSlice, Label

if TYPE_CHECKING:
    from napari_salt.model.backbones.base import Backbone

MOST_SAMPLES, FEWEST_A_SLICE, MOST_A_SLICE = 30000, 1500, 20000
"""Pixels drawn in all, and the bounds of how many come from one slice."""


@dataclass(frozen=True, eq=False)
class TrainingSlice:
    """An encoded slice and the annotated pixels drawn from it: rows, columns, targets, weights, each (M,)."""

    index: int
    encoded: EncodedSlice
    rows: Tensor
    columns: Tensor
    targets: Tensor
    weights: Tensor


class TrainingSet:
    """Everything the fits share.

    Parameters
    ----------
    encoded, annotated
        The painted slices, in the same order.
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
        encoded: Sequence[EncodedSlice],
        annotated: Sequence[AnnotatedSlice],
        labels: Sequence[Label],
        embeddings: Tensor,
        *,
        seed: int,
        device: torch.device,
        layers: Mapping[str, Tensor] | None = None,
        learned_from: Collection[int] = (),
    ) -> None:
        self.backbone, self.device = backbone, device
        self.embeddings = embeddings
        self.layers = dict(layers or {})
        self._learned_from = frozenset(learned_from) if self.layers else frozenset()
        self.rows = len(embeddings)
        self.slices = _draw(encoded, annotated, labels, seed)
        self.frames = [_split_frames(one) for one in self.slices]
        self.banks = Banks(encoded[0].view.filters.shape[0], head_taps(backbone))
        self.filter_standard = Standard.measure(
            torch.cat([one.encoded.view.filters_at(one.rows, one.columns) for one in self.slices])
        )

    def measure(self) -> Generator[float, None, None]:
        """Sample the features at the drawn pixels; must be run once before any fit. Yields the share done, 0..1."""
        tail = self._starting_tail()
        raw: list[list[Tensor]] = []
        done, total = 0, sum(map(len, self.frames))
        for frames in self.frames:
            raw.append([])
            for one in frames:
                with torch.no_grad():
                    taps = join_taps(self.banks, one.encoded, tail)
                    found = one.encoded.view.taps_at(taps, one.rows, one.columns)
                raw[-1].append(found.cpu())
                done += 1
                yield done / total
        self.tap_standard = Standard.measure(torch.cat([one for found in raw for one in found]))
        self.samples = self._samples(raw)

    @property
    def count(self) -> int:
        """Number of painted slices."""
        return len(self.slices)

    @property
    def fresh(self) -> list[int]:
        """Numbers of the painted slices that the starting tail was not trained on."""
        return [i for i, one in enumerate(self.slices) if one.index not in self._learned_from]

    def trial_fold(self) -> int:
        """The fold to leave out of a trial: of the middle-most fresh slice, or of the middle one."""
        middle = self.count // 2
        number = min(self.fresh or [middle], key=lambda i: abs(i - middle))
        return number % min(self.count, probe.MOST_FOLDS)

    def fold(self, number: int) -> tuple[list[TrainingSlice], list[TrainingSlice]]:
        """Frames inside and outside of fold ``number``; whole slices are left out."""
        folds = min(self.count, probe.MOST_FOLDS)
        inside: list[TrainingSlice] = []
        outside: list[TrainingSlice] = []
        for index, frames in enumerate(self.frames):
            (outside if index % folds == number else inside).extend(frames)
        return inside, outside

    def everything(self) -> list[TrainingSlice]:
        """Frames of all painted slices."""
        return [one for frames in self.frames for one in frames]

    def fit_banks(self) -> Generator[float, None, Fitted]:
        """Convex fit of every bank on all samples."""
        return probe.fit_banks(self.samples, self.banks.parts, self.rows)

    def fit_folds(self) -> Generator[float, None, dict[int, Fitted]]:
        """The same without each fold in turn."""
        return probe.fit_folds(self.samples, self.banks.parts, self.rows)

    def held_out_logits(self, folds: Mapping[int, Fitted]) -> dict[str, Tensor]:
        """Out-of-fold logits (M, K + 1) of each bank."""
        return probe.held_out_logits(self.samples, self.banks.parts, folds)

    def stack(self, held_out: Mapping[str, Tensor], prior: Mapping[str, float]) -> dict[str, float]:
        """Weights of the banks, from the samples whose label a held-out fit can know."""
        known = probe.judged(self.samples)
        logits = {name: values[known] for name, values in held_out.items()}
        return probe.stack(logits, self.samples.targets[known], prior, self.count)

    def score(
        self, held_out: Mapping[str, Tensor], weights: Mapping[str, float]
    ) -> dict[int, float]:
        """Out-of-fold Dice by row on the `fresh` slices; empty where there are none.

        It is empty with one painted slice as well, where no whole slice was left out, and a label
        painted on the slices of one fold alone has none.
        """
        if self.count == 1 or not self.fresh:
            return {}
        logits = sum(weights[name] * values for name, values in held_out.items())
        assert isinstance(logits, Tensor)
        known = probe.judged(self.samples)
        known &= torch.isin(self.samples.slice_of, torch.tensor(self.fresh))
        rows, samples = logits[known].argmax(1), self.samples
        return probe.sampled_dice(rows, samples.targets[known], samples.weights[known])

    def tail(self) -> torch.nn.Module:
        """A fresh tail to attach adapters to, pretrained."""
        return self.backbone.make_tail().to(self.device)

    def segmenter(
        self, seen: Sequence[TrainingSlice], fitted: Fitted, weights: Mapping[str, float]
    ) -> Segmenter:
        """A segmenter of the starting tail with queries from ``fitted``; rows absent from ``seen`` are never chosen."""
        tail = self._starting_tail()
        segmenter = Segmenter(tail, self._head(seen)).to(self.device)
        self.set_queries(segmenter, fitted, weights)
        return segmenter

    def set_queries(
        self, segmenter: Segmenter, fitted: Fitted, weights: Mapping[str, float]
    ) -> None:
        """Give the head the weighted sum of the fitted banks."""
        queries, bias = probe.combine(fitted, self.banks.parts, weights, self.banks.length)
        segmenter.head.set_queries(queries.to(self.device), bias.to(self.device))

    def _starting_tail(self) -> torch.nn.Module:
        tail = self.tail()
        if self.layers:
            load_adapter_state(tail, self.layers)
            merge(tail)
        return tail

    def _head(self, seen: Sequence[TrainingSlice]) -> LabelHead:
        absent = torch.ones(self.rows, dtype=torch.bool)
        absent[torch.cat([one.targets for one in seen]).unique()] = False
        return LabelHead(
            self.banks, self.embeddings, self.filter_standard, self.tap_standard, absent
        )

    def _samples(self, raw: Sequence[Sequence[Tensor]]) -> Samples:
        appearance, place = self.banks.appearance(), self.banks.place()
        values, blocks, numbers, targets, weights = [], [], [], [], []
        for number, (frames, found) in enumerate(zip(self.frames, raw, strict=True)):
            for one, taps in zip(frames, found, strict=True):
                view = one.encoded.view
                filters = self.filter_standard(view.filters_at(one.rows, one.columns))
                where = place(view.place_at(one.rows, one.columns))
                values.append(torch.cat([appearance(filters), where, self.tap_standard(taps)], 1))
                height, width = view.layout.size
                blocks.append((one.rows * 4 // height + one.columns * 4 // width) % 2)
                numbers.append(torch.full((len(one.rows),), number))
                targets.append(one.targets)
                weights.append(one.weights)
        return Samples(
            torch.cat(values),
            torch.cat(targets),
            torch.cat(numbers),
            torch.cat(blocks),
            torch.cat(weights),
        )


def _draw(
    encoded: Sequence[EncodedSlice],
    annotated: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    seed: int,
) -> list[TrainingSlice]:
    rng = np.random.default_rng(seed)
    row_of = np.full(1 << 16, -1, np.int64)
    row_of[BACKGROUND] = 0
    for row, label in enumerate(labels, start=1):
        row_of[label.label_id] = row
    share = int(np.clip(MOST_SAMPLES // len(annotated), FEWEST_A_SLICE, MOST_A_SLICE))
    return [
        TrainingSlice(one.index, slice_, *probe.draw_pixels(row_of[one.targets], share, rng))
        for one, slice_ in zip(annotated, encoded, strict=True)
    ]


def _split_frames(whole: TrainingSlice) -> list[TrainingSlice]:
    """One training slice for each frame that shows drawn pixels, so that no pass holds more than one frame."""
    view = whole.encoded.view
    if len(view.layout.origins) == 1:
        return [whole]
    frame_of, _ = view.layout.locate(whole.rows, whole.columns)
    found = []
    for frame in frame_of.unique().tolist():
        here = frame_of == frame
        layout = replace(view.layout, origins=(view.layout.origins[frame],))
        encoded = EncodedSlice(
            replace(view, layout=layout),
            whole.encoded.tail_input[frame : frame + 1],
            {name: values[frame : frame + 1] for name, values in whole.encoded.taps.items()},
        )
        found.append(
            TrainingSlice(
                whole.index,
                encoded,
                whole.rows[here],
                whole.columns[here],
                whole.targets[here],
                whole.weights[here],
            )
        )
    return found
