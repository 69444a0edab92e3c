"""The contrast at which another stack looks like the painted one.

Where labels are told by intensity alone, masks say little of the contrast: they are as sure of wrong ones (measured).
What the network sees says it. Pixels of the labels are looked at through smoothed slices, so that the noise of either
stack has no part in it: the range of the smoothed intensities tells what is darkest and brightest, and at the right
gamma the mean and the spread of each feature are those of the painted pixels. Only one number is chosen by that; no
feature is changed, as in the alignment of moments it is taken from (Sun & Saenko, Deep CORAL, 2016).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_salt.model.encoder import Encoder
from napari_salt.model.features import tap_length
from napari_salt.model.framing import Intensity
from napari_salt.model.instruments import slices_to_see
from napari_salt.model.limits import measure_limits
from napari_salt.model.segmenter import join_taps
from napari_salt.records import StackInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from napari_salt.model.drawing import TrainingSlice
    from napari_salt.model.encoder import EncodedSlice
    from napari_salt.model.features import Standard, Taps
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.records import IntensityChoice, Planes

BLUR = 2.0
"""Standard deviation, in pixels, of the Gaussian that slices are smoothed with."""
STEP = 2**0.25
"""Factor between two gammas that are tried."""
MOST_STEPS = 3
"""So many of them up or down at the most."""
MOST_LOOKS = 2 + MOST_STEPS
"""Contrasts that are looked at: none, one step either way, and on to one side."""
FLOOR = 0.1
"""Part of a feature's spread over all painted pixels that is added to its spread over those of the labels: what hardly
varies there would count for too much."""
PIXELS_A_SLICE = 1000
"""Drawn of the masks of each slice that is looked at."""
FEWEST_PIXELS = 20
"""Pixels of labels from which their features can be told."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """What the painted labels look like through smoothed slices.

    Attributes
    ----------
    low, high
        (C,) limits of the smoothed stack, in parts of the intensity range of the stack itself.
    mean, deviation
        (D,) of each feature over the painted pixels of labels.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    deviation: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """For an adapter file."""
        return {name: getattr(self, name) for name in ("low", "high", "mean", "deviation")}

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], channels: int, length: int) -> Likeness:
        """Inverse of `tensors`; KeyError or ValueError where they are not those of so many channels and features."""
        found = Likeness(*(tensors[name].float() for name in ("low", "high", "mean", "deviation")))
        shapes = [tuple(one.shape) for one in found.tensors().values()]
        if shapes != [(channels,), (channels,), (length,), (length,)]:
            raise ValueError("sizes")
        return found

    def range_of(self, smoothed: Intensity, measured: Intensity) -> Intensity:
        """The range of another stack with its noise left out, from the limits of its ``smoothed`` slices.

        ``measured`` is its range as it is, kept where nothing of the painted one is left when that is smoothed.
        """
        ends = torch.stack([self.low, self.high]).double().numpy()
        bottom, top = np.array(smoothed.low), np.array(smoothed.high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            unit = (top - bottom) / (ends[1] - ends[0])
            low, high = bottom - ends[0] * unit, top + (1 - ends[1]) * unit
        if not (np.isfinite([low, high]).all() and (high > low).all()):
            return measured
        return replace(measured, low=tuple(low.tolist()), high=tuple(high.tolist()))

    def distance(self, values: Tensor, weights: Tensor, standard: Standard) -> float:
        """How unlike the painted pixels of labels those with features ``values`` (M, D) are; 0 for the same moments.

        ``weights`` (M,) say how many pixels each stands for, ``standard`` how features vary over all painted pixels.
        """
        mean, deviation = moments(values, weights)
        unit = self.deviation + FLOOR * standard.deviation.to(self.deviation)
        apart = ((mean - self.mean) / unit).square() + (
            (deviation - self.deviation) / unit
        ).square()
        return float(apart.mean())


class SmoothPlanes:
    """Planes under a Gaussian; pixels that are not finite count as 0."""

    def __init__(self, planes: Planes) -> None:
        self._planes = planes
        self.info: StackInfo = replace(planes.info, dtype="float64")

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)``, float32 or float64."""
        plane = np.asarray(self._planes.plane(index))
        kind = np.result_type(plane.dtype, np.float32)
        finite = np.nan_to_num(plane.astype(kind), posinf=0.0, neginf=0.0)
        blur = (BLUR, BLUR) + (0.0,) * (plane.ndim - 2)
        found: NDArray[Any] = ndimage.gaussian_filter(finite, blur)
        return found

    def seen_by(self, encoder: Encoder, choice: IntensityChoice) -> Encoder:
        """An encoder like ``encoder`` for these planes, by their own percentiles of ``choice``."""
        limits = measure_limits(self, choice)
        return Encoder(
            encoder.backbone,
            Intensity(limits.low, limits.high),
            encoder.framing,
            cache=encoder.cache,
            device=encoder.device,
            along_stack=False,
            pretrained_tail=encoder.pretrained_tail,
        )


@dataclass(frozen=True)
class Match:
    """``gamma`` at which a stack is most like the painted one, and the part of the ``distance`` that is left at it."""

    gamma: float
    distance: float


def moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (D,) each, of ``values`` (M, D) with ``weights`` (M,)."""
    share = (weights / weights.sum())[:, None]
    mean = (share * values).sum(0)
    return mean, (share * (values - mean).square()).sum(0).sqrt()


def measure_likeness(
    encoder: Encoder,
    planes: Planes,
    frames: Sequence[Sequence[TrainingSlice]],
    taps: Taps,
    tail: nn.Module,
    choice: IntensityChoice,
) -> Generator[float, None, Likeness | None]:
    """Of the painted stack that ``encoder`` is for; yields the share done, 0..1. None without pixels of labels.

    ``frames`` are those of each painted slice, with the pixels that were drawn from it.
    """
    smooth = SmoothPlanes(planes)
    seeing = smooth.seen_by(encoder, choice)
    by_index = {each[0].index: each for each in frames}
    targets = {index: torch.cat([one.targets for one in each]) for index, each in by_index.items()}
    shown = slices_to_see({index: set(rows.tolist()) for index, rows in targets.items()})
    values, weights = [], []
    for done, index in enumerate(shown):
        inside = [one.at(one.targets > 0) for one in by_index[index]]
        rows = torch.cat([one.rows for one in inside])
        columns = torch.cat([one.columns for one in inside])
        for found in _features_at(seeing, smooth, index, rows, columns, taps, tail):
            if found is not None:
                values.append(found)
                weights += [one.weights for one in inside]
            yield done / len(shown)
    if sum(map(len, values)) < FEWEST_PIXELS:
        return None
    own, smoothed = encoder.intensity, seeing.intensity
    low, span = np.array(own.low), np.subtract(own.high, own.low)
    ends = (torch.from_numpy((np.array(end) - low) / span) for end in (smoothed.low, smoothed.high))
    bottom, top = (end.float() for end in ends)
    return Likeness(bottom, top, *moments(torch.cat(values), torch.cat(weights)))


def match_contrast(
    likeness: Likeness,
    segmenter: Segmenter,
    seeing: Encoder,
    smooth: SmoothPlanes,
    masks: Mapping[int, NDArray[np.bool_]],
) -> Generator[float, None, Match]:
    """The contrast under which the pixels of ``masks`` (Y, X), by slice, are most like those painted.

    ``seeing`` is the encoder of the ``smooth`` planes. Yields the share done, 0..1, after each pass of the network.
    """
    head = segmenter.head
    drawn = {index: _draw(mask, index) for index, mask in masks.items() if mask.any()}
    if sum(len(rows) for rows, _, _ in drawn.values()) < FEWEST_PIXELS:
        return Match(1.0, 1.0)
    weights = torch.cat([each for _, _, each in drawn.values()])
    plain = seeing.intensity
    known: dict[int, float] = {}

    def look(step: int) -> Generator[float, None, None]:
        seeing.intensity = replace(plain, gamma=STEP**step)
        values = []
        for place, (index, (rows, columns, _)) in enumerate(drawn.items()):
            for found in _features_at(
                seeing, smooth, index, rows, columns, head.taps, segmenter.tail
            ):
                if found is not None:
                    values.append(found)
                yield (len(known) + place / len(drawn)) / MOST_LOOKS
        known[step] = likeness.distance(torch.cat(values), weights, head.tap_standard)

    for step in (0, -1, 1):
        yield from look(step)
    side = -1 if known[-1] < known[1] else 1
    step = side
    while known[step] == min(known.values()) and abs(step) < MOST_STEPS:
        step += side
        yield from look(step)
    return lowest(known)


def lowest(known: Mapping[int, float]) -> Match:
    """The least of the distances that are known at some steps in a row, 0 among them.

    Between steps it is that of the parabola through the lowest and its two neighbours.
    """
    best = min(known, key=lambda step: (known[step], abs(step)))
    off, least = 0.0, known[best]
    if best - 1 in known and best + 1 in known:
        before, after = known[best - 1], known[best + 1]
        bend = before - 2 * least + after
        if bend > 0:
            off = 0.5 * (before - after) / bend
            least -= 0.25 * (before - after) * off
    return Match(round(STEP ** (best + off), 3), least / known[0] if known[0] > 0 else 1.0)


def _draw(mask: NDArray[np.bool_], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and weights, (M,) each, of some pixels of a mask (Y, X)."""
    inside = np.flatnonzero(mask)
    count = min(len(inside), PIXELS_A_SLICE)
    picked = np.random.default_rng(seed).choice(inside, count, replace=False)
    rows, columns = np.divmod(picked, mask.shape[1])
    weights = torch.full((count,), len(inside) / count)
    return torch.from_numpy(rows), torch.from_numpy(columns), weights


@torch.no_grad()
def _features_at(
    encoder: Encoder,
    planes: SmoothPlanes,
    index: int,
    rows: Tensor,
    columns: Tensor,
    taps: Taps,
    tail: nn.Module,
) -> Iterator[Tensor | None]:
    """(M, D) features at pixels of a slice, on the CPU, at the end; None after each pass through prefix or tail."""
    whole: EncodedSlice | None = None
    for whole in encoder.steps(planes, index):
        if whole is None:
            yield None
    assert whole is not None, "an encoder ends with the slice"
    frame_of, _ = whole.view.layout.locate(rows, columns)
    found = torch.empty(len(rows), tap_length(taps))
    for number in frame_of.unique().tolist():
        here, frame = frame_of == number, whole.frame(number)
        seen = join_taps(taps, frame, tail)
        found[here] = frame.view.taps_at(seen, rows[here], columns[here]).cpu()
        yield None
    yield found
