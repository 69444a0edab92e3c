"""Which annotated pixels the fits learn from, and the frames that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_salt.model import probe
from napari_salt.model.encoder import EncodedSlice
from napari_salt.model.large_paint import MOST_FRAMES, DrawnPixels, draw_large
from napari_salt.records import BACKGROUND, AnnotatedSlice, Label
from napari_salt.sparse_plane import SparsePlane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.framing import Layout

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
        rows, columns, targets, weights = draw_pixels(row_of[np.asarray(one.targets)], share, rng)
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


def draw_pixels(
    targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]], count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw up to ``count`` annotated pixels of one slice, rare labels more often (by the inverse root of their area).

    A label that chance leaves out gets one pixel on top, so that no paint is lost.
    ``targets`` (Y, X) int64, negative = unlabelled. Returns rows, columns, targets and weights, each (M,).
    """
    flat = targets.ravel()
    known = np.flatnonzero(flat >= 0)
    labels = flat[known]
    area = np.bincount(labels).astype(np.float64)
    chance = area[labels] ** -0.5
    chance /= chance.sum()
    count = min(count, len(known))
    if count == len(known):
        picked, weights = np.arange(len(known)), np.ones(len(known))
    else:
        picked = rng.choice(len(known), count, replace=False, p=chance)
        missed = np.setdiff1d(labels, labels[picked])
        extra = [rng.choice(np.flatnonzero(labels == label)) for label in missed]
        picked = np.concatenate([picked, np.array(extra, picked.dtype)])
        drawn = np.bincount(labels[picked], minlength=len(area))
        weights = (area / np.maximum(drawn, 1))[labels[picked]]
    row, column = np.divmod(known[picked], targets.shape[1])
    return (
        torch.from_numpy(row),
        torch.from_numpy(column),
        torch.from_numpy(labels[picked]),
        torch.from_numpy(weights.astype(np.float32)),
    )
