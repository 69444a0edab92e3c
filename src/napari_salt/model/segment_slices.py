"""Masks of slices: what the network says of each, by itself or together with the slices beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_salt.intensity import is_blank
from napari_salt.model.decide import contested, decide, direction, look_at, shown_ids
from napari_salt.model.framing import resize
from napari_salt.model.head import FrameMaps
from napari_salt.model.noise import Seen, steady
from napari_salt.model.segment_large import segment_large
from napari_salt.model.thresholds import NO_THRESHOLDS, Thresholds
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.encoder import Encoder
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.records import Label, Planes

SPARE_MAPS, SPARE_BYTES = 3, 256 * 2**20
"""What is kept of slices that may decide together with later ones, at most."""


def segment_slices(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    indices: Sequence[int],
    labels: Sequence[Label],
    chosen: Sequence[Label] | None = None,
    tell: Callable[[str], None] | None = None,
    thresholds: Thresholds = NO_THRESHOLDS,
) -> Generator[SlicePrediction | None, None, None]:
    """Masks of slices; those of a large one come from `segment_large`, which ``tell``s how far it is.

    ``thresholds`` are those of `decide`, of which large slices know nothing.
    """
    if not is_large(planes.info):
        yield from _segment_together(
            segmenter, encoder, planes, indices, labels, chosen, thresholds
        )
        return
    for index in indices:
        yield from segment_large(segmenter, encoder, planes, index, labels, chosen, tell)


@dataclass(frozen=True, eq=False)
class _Map:
    """Slice ``index``, (Y, X) or (Y, X, C), what the network says of it on the detail grid, and its look (2 C,)."""

    index: int
    plane: NDArray[Any]
    probabilities: NDArray[np.float32]
    look: Tensor

    def full(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K + 1, Y, X) from the detail grid."""
        height, width = self.plane.shape[:2]
        return resize(torch.from_numpy(probabilities), (height, width)).numpy()


@dataclass(frozen=True, eq=False)
class Kept:
    """A slice that decides together with others."""

    map: _Map
    seen: Seen


def _segment_together(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    indices: Sequence[int],
    labels: Sequence[Label],
    chosen: Sequence[Label] | None,
    thresholds: Thresholds,
) -> Generator[SlicePrediction | None, None, None]:
    """Masks of slices whose frames share batches, each by itself.

    ``labels`` are the rows 1, 2, … of the head, ``chosen`` those to show (None = all). Yields None after each batch of
    frames, and the predictions in the order of ``indices``.
    """
    for one in _maps(segmenter, encoder, planes, indices):
        if one is None:
            yield None
        else:
            full = one.full(one.probabilities)
            yield _prediction(full, one, labels, chosen, thresholds)


def segment_steadied(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    indices: Sequence[int],
    labels: Sequence[Label],
    chosen: Sequence[Label] | None,
    noise: float,
    beside: dict[int, Kept],
    thresholds: Thresholds = NO_THRESHOLDS,
) -> Generator[SlicePrediction | None, None, None]:
    """The same together with the slices ``beside``, where maps are kept for the next call that goes on from here."""
    for one in _steadied(segmenter, encoder, planes, indices, noise, beside):
        if one is None:
            yield None
        else:
            of, probabilities = one
            yield _prediction(of.full(probabilities), of, labels, chosen, thresholds)


def probability_maps(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    indices: Sequence[int],
    noise: float = 0.0,
) -> Generator[NDArray[np.float32] | None, None, None]:
    """(K + 1, h, w) of each slice, none of them large, on the detail grid, as masks of it are made from.

    With ``noise`` slices decide together with those beside them. None after each batch of frames.
    """
    if not noise:
        for one in _maps(segmenter, encoder, planes, indices):
            yield None if one is None else one.probabilities
        return
    for index in indices:  # those beside one are not those beside the next
        for found in _steadied(segmenter, encoder, planes, [index], noise, {}):
            yield None if found is None else found[1]


def _steadied(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    indices: Sequence[int],
    noise: float,
    beside: dict[int, Kept],
) -> Generator[tuple[_Map, NDArray[np.float32]] | None, None, None]:
    """Slices and what they say together with those ``beside`` them; None after each batch of frames."""
    count = planes.info.shape[0]
    wanted = {index: and_beside(index, count) for index in indices}
    needed = {index for all_of_them in wanted.values() for index in all_of_them}
    _forget(beside, needed)
    waiting = deque(indices)
    for one in _maps(segmenter, encoder, planes, sorted(needed - beside.keys())):
        if one is None:
            yield None
            continue
        image = encoder.intensity.apply(one.plane).numpy()
        beside[one.index] = Kept(one, Seen(image, one.probabilities))
        while waiting and all(index in beside for index in wanted[waiting[0]]):
            yield _steady(waiting.popleft(), beside, count, noise)
    while waiting:
        yield _steady(waiting.popleft(), beside, count, noise)


def _forget(beside: dict[int, Kept], needed: Set[int]) -> None:
    """Drop maps that are not ``needed`` now, but the last few: a job may go up and down from one slice in turns."""
    spare = [index for index in beside if index not in needed]
    if spare:
        size = beside[spare[0]].seen.probabilities.nbytes
        room = min(SPARE_MAPS, SPARE_BYTES // max(1, size))
        for gone in spare[: max(0, len(spare) - room)]:
            del beside[gone]


def _steady(
    index: int, beside: Mapping[int, Kept], count: int, noise: float
) -> tuple[_Map, NDArray[np.float32]]:
    """One slice and its probabilities on the detail grid, from the maps of it and its neighbours."""
    here = beside[index]
    others = [beside[other].seen for other in and_beside(index, count) if other != index]
    return here.map, steady(here.seen, others, noise)


@torch.inference_mode()
def _maps(
    segmenter: Segmenter, encoder: Encoder, planes: Planes, indices: Sequence[int]
) -> Generator[_Map | None, None, None]:
    """What the network says of slices, in the order of ``indices``; None after each batch of frames.

    Their frames share batches; batch by batch, so that memory does not grow with the frames.
    """
    if not indices:
        return
    shown = [planes.plane(index) for index in indices]
    seen = [encoder.view(planes, *one) for one in zip(indices, shown, strict=True)]
    views = [view for view, _ in seen]
    frames = torch.cat([frames for _, frames in seen]) if len(seen) > 1 else seen[0][1]
    owners = [number for number, (_, its) in enumerate(seen) for _ in its]

    def run(part: slice) -> list[tuple[FrameMaps, Tensor]]:
        taps = segmenter.look(encoder, frames[part])
        maps = segmenter.head.frame_maps(taps)
        return [
            (
                maps.frame(i),
                look_at(taps["neck"][i : i + 1], views[owner].layout),
            )
            for i, owner in enumerate(owners[part])
        ]

    ready: deque[tuple[FrameMaps, Tensor]] = deque()
    started = 0
    for found in encoder.batches.run(len(frames), run):
        ready.extend(found)
        yield None
        while started < len(views) and len(ready) >= len(views[started].layout.origins):
            view, index = views[started], indices[started]
            maps, looks = zip(*(ready.popleft() for _ in view.layout.origins), strict=True)
            detail = segmenter.head.assemble(view, maps, index).cpu().numpy()
            yield _Map(index, shown[started], detail, torch.stack(looks).mean(0))
            started += 1


def _prediction(
    probabilities: NDArray[np.float32],
    of: _Map,
    labels: Sequence[Label],
    chosen: Sequence[Label] | None,
    thresholds: Thresholds,
) -> SlicePrediction:
    """From probabilities (K + 1, Y, X), row 0 the background."""
    decision = decide(probabilities, shown_ids(labels, chosen), thresholds)
    unsure = decision.uncertainty
    doubts, areas = {}, {}
    for row, label in enumerate(labels, start=1):
        if chosen is None or label in chosen:
            around = contested(probabilities[row])
            doubts[label.label_id] = float(unsure[around].mean()) if around.any() else 0.0
            areas[label.label_id] = int(np.count_nonzero(decision.rows == row))
    doubt, look = float(unsure.mean()), direction(of.look)
    summary = SliceSummary(of.index, doubt, areas, doubts, look, is_blank(of.plane))
    return SlicePrediction(of.index, decision.labels, unsure.astype(np.float16), summary)


def and_beside(index: int, count: int) -> range:
    """A slice and its neighbours."""
    return range(max(0, index - 1), min(count, index + 2))
