"""The painted slices as training data: drawn pixels, feature samples, fits, and segmenters made from them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_salt.model import probe
from napari_salt.model.adapters import load_adapter_state, merge
from napari_salt.model.device import spare_threads
from napari_salt.model.encoder import EncodedSlice, Encoder, head_taps
from napari_salt.model.features import Standard
from napari_salt.model.head import LabelHead
from napari_salt.model.large_paint import MOST_FRAMES, DrawnPixels, draw_large
from napari_salt.model.probe import Begun, Fitted, Samples
from napari_salt.model.segmenter import Segmenter, join_taps
from napari_salt.records import BACKGROUND, AnnotatedSlice, Label
from napari_salt.sparse_plane import SparsePlane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.features import Taps
    from napari_salt.model.forest import Forest
    from napari_salt.model.framing import Layout
    from napari_salt.records import Planes

MOST_SAMPLES, FEWEST_A_SLICE, MOST_A_SLICE = 30000, 1500, 20000
"""Pixels drawn in all, and the bounds of how many come from one slice."""
BLOCKS = 4
"""A single slice is cut into so many rows and columns of blocks, of which every other one makes a fold."""


@dataclass(frozen=True, eq=False)
class TrainingSlice:
    """An encoded slice and the annotated pixels drawn from it.

    ``number`` counts the painted slices, ``index`` is its place in the stack; rows, columns, targets, weights and the
    fold of each pixel are (M,) each.
    """

    number: int
    index: int
    encoded: EncodedSlice
    rows: Tensor
    columns: Tensor
    targets: Tensor
    weights: Tensor
    fold: Tensor

    def at(self, kept: Tensor) -> TrainingSlice:
        """The same with those of the pixels that are ``kept`` (indices or truths)."""
        return replace(
            self,
            rows=self.rows[kept],
            columns=self.columns[kept],
            targets=self.targets[kept],
            weights=self.weights[kept],
            fold=self.fold[kept],
        )


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
        self.taps = head_taps(backbone)
        self.linear_share = probe.LINEAR_SHARE
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
        return self.linear_share < probe.LINEAR_SHARE

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
        self.linear_share = probe.choose_share(self.samples, folds)
        if self.count > 1 or many_things:
            powers = probe.AREA_POWERS if self.count > 1 else probe.MORE_POWERS
            self.row_scale = probe.choose_row_scale(self.samples, self.mixed(folds), powers)
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
        inside = samples.part((samples.fold == fold) & probe.judged(samples))
        rows = fitted.probabilities(inside).argmax(1)
        return probe.sampled_dice(rows, inside.targets, inside.weights)

    def score(self, folds: Mapping[int, Fitted]) -> dict[int, float]:
        """Out-of-fold Dice by row on the `fresh` slices; empty where there are none.

        It is empty with one painted slice as well, where no whole slice was left out, and a label
        painted on the slices of one fold alone has none.
        """
        if self.count == 1 or not self.fresh:
            return {}
        known = probe.judged(self.samples)
        known &= torch.isin(self.samples.slice_of, torch.tensor(self.fresh))
        rows = probe.held_out(self.samples, folds)[known].argmax(1)
        return probe.sampled_dice(rows, self.samples.targets[known], self.samples.weights[known])

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


def drawn_frames(
    encoded: Sequence[EncodedSlice] | Painting,
    annotated: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    seed: int,
) -> list[list[TrainingSlice]]:
    """Frames of each painted slice with the pixels drawn from it."""
    if isinstance(encoded, Painting):
        return _frames_of(encoded, annotated)
    return [_split_frames(one) for one in _draw(encoded, annotated, labels, seed)]


def _jobs() -> int:
    """Trees that grow at the same time; the outcome does not depend on it."""
    return spare_threads()


def _draw(
    encoded: Sequence[EncodedSlice],
    annotated: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    seed: int,
) -> list[TrainingSlice]:
    rng = np.random.default_rng(seed)
    row_of = _rows_of_ids(labels)
    share = int(np.clip(MOST_SAMPLES // len(annotated), FEWEST_A_SLICE, MOST_A_SLICE))
    folds = min(len(annotated), probe.MOST_FOLDS)
    found = []
    for number, (one, slice_) in enumerate(zip(annotated, encoded, strict=True)):
        rows, columns, targets, weights = probe.draw_pixels(
            row_of[np.asarray(one.targets)], share, rng
        )
        fold = torch.full((len(rows),), number % folds)
        if len(annotated) == 1:
            height, width = one.targets.shape
            fold = (rows * BLOCKS // height + columns * BLOCKS // width) % 2
        found.append(
            TrainingSlice(number, one.index, slice_, rows, columns, targets, weights, fold)
        )
    return found


def _rows_of_ids(labels: Sequence[Label]) -> NDArray[np.int64]:
    """(65536,): row of the head for each id, -1 where it has none."""
    row_of = np.full(1 << 16, -1, np.int64)
    row_of[BACKGROUND] = 0
    for row, label in enumerate(labels, start=1):
        row_of[label.label_id] = row
    return row_of


class Painting:
    """What was drawn of large slices, and the frames that show it, in the order of the painted slices."""

    def __init__(self) -> None:
        self.drawn: list[DrawnPixels] = []
        self.encoded: list[list[EncodedSlice]] = []

    @staticmethod
    def draw(
        annotated: Sequence[AnnotatedSlice], layout: Layout, labels: Sequence[Label], seed: int
    ) -> Iterator[DrawnPixels]:
        """Pixels of one slice after the other."""
        rng, row_of = np.random.default_rng(seed), _rows_of_ids(labels)
        share = int(np.clip(MOST_SAMPLES // len(annotated), FEWEST_A_SLICE, MOST_A_SLICE))
        most = max(1, MOST_FRAMES // len(annotated))
        for one in annotated:
            targets = one.targets
            plane = targets if isinstance(targets, SparsePlane) else SparsePlane.of(targets)
            yield draw_large(plane, layout, row_of, share, most, rng)

    def add(self, drawn: DrawnPixels, encoded: list[EncodedSlice]) -> None:
        """Take the frames of the next slice, rising by number."""
        self.drawn.append(drawn)
        self.encoded.append(encoded)


def _frames_of(
    painting: Painting, annotated: Sequence[AnnotatedSlice]
) -> list[list[TrainingSlice]]:
    """One training slice for each frame that was encoded."""
    folds = min(len(annotated), probe.MOST_FOLDS)
    found = []
    for number, (one, drawn) in enumerate(zip(annotated, painting.drawn, strict=True)):
        fold = np.full(len(drawn.rows), number % folds)
        if len(annotated) == 1:
            fold = (_block(drawn.rows) + _block(drawn.columns)) % 2
        frames = []
        for frame, encoded in zip(np.unique(drawn.frames), painting.encoded[number], strict=True):
            here = drawn.frames == frame
            rows, columns, targets, weights, folds_here = (
                torch.from_numpy(values[here])
                for values in (drawn.rows, drawn.columns, drawn.targets, drawn.weights, fold)
            )
            frames.append(
                TrainingSlice(
                    number, one.index, encoded, rows, columns, targets, weights, folds_here
                )
            )
        found.append(frames)
    return found


def _block(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of `BLOCKS` blocks each place lies in, from the first painted one to the last."""
    first, last = int(places.min()), int(places.max())
    return (places - first) * BLOCKS // (last + 1 - first)


def _split_frames(whole: TrainingSlice) -> list[TrainingSlice]:
    """One training slice for each frame that shows drawn pixels, so that no pass holds more than one frame."""
    view = whole.encoded.view
    if len(view.layout.origins) == 1:
        return [whole]
    frame_of, _ = view.layout.locate(whole.rows, whole.columns)
    found = []
    for frame in frame_of.unique().tolist():
        found.append(replace(whole.at(frame_of == frame), encoded=whole.encoded.frame(frame)))
    return found
