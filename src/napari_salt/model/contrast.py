"""The contrast of another stack made that of the painted one, where it is another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.model import elsewhere
from napari_salt.model.likeness import MOST_LOOKS, SmoothPlanes, match_contrast
from napari_salt.model.progress import shares
from napari_salt.model.segment_large import LargeRun
from napari_salt.model.segment_slices import segment_slices
from napari_salt.records import SlicePrediction
from napari_salt.regions import is_large

if TYPE_CHECKING:
    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.model.decide import Decision
    from napari_salt.model.encoder import Encoder
    from napari_salt.model.framing import Intensity
    from napari_salt.model.likeness import Likeness
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.records import Label, Planes

LEFT = 0.98
"""Part of the distance to the painted pixels that must be left by a change of contrast, at the most. Where it fell by
about 1 % masks were as often worse as better, by 4 % and more always better (measured)."""
LEFT_ON_ONE_SCALE = 0.5
"""The same where the intensities span the painted range already: there the contrast rarely differs."""
NOISE_IN_RANGE = 0.05
"""Part of its range by which noise must have moved an end of it to be left out: smoothed slices tell the ends less well
where there is none."""
AS_GOOD_AS_ONE = 0.07
"""A gamma no farther from 1 is not told from it. Without these two bounds tissue of the same contrast lost .02 Dice."""


def matched_intensity(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    adapter: AdapterFile,
    tell: Callable[[str], None],
) -> Generator[float, None, Intensity]:
    """The range and contrast at which to see another stack, whose measured ones ``encoder`` has.

    Where the adapter knows what the painted labels look like, see `likeness`, features tell it; else it is changed
    where masks are clearly surer for it, see `elsewhere`. Yields the share done, 0..1, after each pass through the
    network.
    """
    likeness = None if is_large(planes.info) else adapter.likeness()
    if likeness is None:
        yield from _by_doubt(segmenter, encoder, planes, adapter)
    else:
        yield from _by_features(segmenter, encoder, planes, adapter, likeness)
    gamma = encoder.intensity.gamma
    if gamma != 1:
        tell(f"The contrast is matched to that of the painted stack (gamma {gamma:.2g})")
    return encoder.intensity


def _by_features(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    adapter: AdapterFile,
    likeness: Likeness,
) -> Generator[float, None, None]:
    measured = encoder.intensity
    smooth = SmoothPlanes(planes)
    seeing = smooth.seen_by(encoder, adapter.info.intensity_choice)
    without_noise = likeness.range_of(seeing.intensity, measured)
    if _far_apart(measured, without_noise):
        encoder.intensity = without_noise
    masks = {}
    one_look = 1 / (1 + MOST_LOOKS)
    looked_at = _looked_at(encoder, planes)
    for one in segment_slices(segmenter, encoder, planes, looked_at, adapter.labels):
        if one is not None:
            masks[one.index] = one.labels > 0
        yield one_look * len(masks) / len(looked_at)
    matching = match_contrast(likeness, segmenter, seeing, smooth, masks)
    match = yield from shares(matching, one_look, 1 - one_look)
    same = elsewhere.on_one_scale(adapter.trained_intensity(), measured)
    doubtful = match.distance > (LEFT_ON_ONE_SCALE if same else LEFT)
    if abs(match.gamma - 1) > AS_GOOD_AS_ONE and not doubtful:
        encoder.intensity = replace(encoder.intensity, gamma=match.gamma)


def _far_apart(measured: Intensity, without_noise: Intensity) -> bool:
    """Whether noise has moved an end of a ``measured`` range."""
    span = np.subtract(measured.high, measured.low)
    ends = (measured.low, without_noise.low), (measured.high, without_noise.high)
    return any(bool((np.abs(np.subtract(*end)) > NOISE_IN_RANGE * span).any()) for end in ends)


def _by_doubt(
    segmenter: Segmenter, encoder: Encoder, planes: Planes, adapter: AdapterFile
) -> Generator[float, None, None]:
    plain = encoder.intensity
    instruments = adapter.info.instruments
    lost = elsewhere.clearly(adapter.trained_intensity(), plain, instruments=instruments)
    looked_at = _looked_at(encoder, planes)
    doubts: dict[float, float | None] = {}
    each = 1 / len(elsewhere.GAMMAS) / len(looked_at)
    done = 0
    for gamma in elsewhere.GAMMAS:
        encoder.intensity = replace(plain, gamma=gamma)
        found: list[SlicePrediction | Decision] = []
        for index in looked_at:
            for one in _looks(segmenter, encoder, planes, index, adapter.labels, len(looked_at)):
                if one is not None:
                    found.append(one)
                yield done * each
            done += 1
        doubts[gamma] = elsewhere.doubt(found)
    encoder.intensity = replace(plain, gamma=elsewhere.surest(doubts, lost))


def _looked_at(encoder: Encoder, planes: Planes) -> list[int]:
    """Slices to look at; of large ones only some parts are."""
    count, *size = planes.info.shape
    if is_large(planes.info):
        return elsewhere.slices_to_look_at(count)
    return elsewhere.slices_to_look_at(count, len(encoder.framing.layout(*size).origins))


def _looks(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    index: int,
    labels: Sequence[Label],
    slices: int,
) -> Generator[SlicePrediction | Decision | None, None, None]:
    """Masks of a slice, or of some parts of a large one, of ``slices`` to look at."""
    if not is_large(planes.info):
        return segment_slices(segmenter, encoder, planes, [index], labels)
    run = LargeRun(segmenter, encoder, planes, index, labels)
    return run.glimpse(-(-elsewhere.LOOKED_AT // slices))
