"""Segment slices by label name: label image, uncertainty, and a summary for the suggester."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from napari_salt.errors import AdapterError, InputError, UnknownLabelName
from napari_salt.model import elsewhere
from napari_salt.model.adapter_file import DAMAGED, AdapterFile, build_segmenter
from napari_salt.model.backbones.base import PretrainedTail
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.batches import with_fallback
from napari_salt.model.conditions import NOT_OF_THIS, Conditions, Kin
from napari_salt.model.contrast import matched_intensity
from napari_salt.model.device import pick_device, set_threads
from napari_salt.model.encoder import Encoder
from napari_salt.model.feature_cache import FeaturesInMemory
from napari_salt.model.framing import Intensity, intensity_for
from napari_salt.model.input_checks import check_channels, check_slices, check_unit
from napari_salt.model.limits import measure_limits, measured_slices
from napari_salt.model.noise import compared_slices, measure_noise, noise_of
from napari_salt.model.progress import shares, without_shares
from napari_salt.model.segment_slices import (
    Kept,
    and_beside,
    probability_maps,
    segment_slices,
    segment_steadied,
)
from napari_salt.model.segmenter import Segmenter
from napari_salt.model.thresholds import FEW, Thresholds, choose_thresholds, sampled
from napari_salt.model.volume_filters import slices_around
from napari_salt.records import SlicePrediction
from napari_salt.regions import is_large

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.intensity import Limits
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.records import Label, Planes


LOOK_SHARE = 0.25
"""Part of `prepare` that thresholds take where the contrast is compared, too."""


def predict(
    planes: Planes,
    adapter: AdapterFile,
    slices: Sequence[int],
    *,
    labels: Sequence[str] | None = None,
    device: str = "auto",
    cache: FeatureCache | None = None,
    tell: Callable[[str], None] | None = None,
    conditions: Conditions | None = None,
) -> Generator[SlicePrediction | None, None, None]:
    """Segment ``slices`` of a stack in the order given.

    A GPU gets the frames of several slices at a time, as its free memory allows; where it has too little, the rest runs
    on the CPU.

    Parameters
    ----------
    planes
        The stack; read one slice at a time.
    labels
        Exact trained names to segment; None = all of them. Pixels of other labels become 0.
    cache
        Where prefix activations of earlier jobs may lie.
    tell
        Called with a message for the user when the work moves to the CPU, and when another stack's contrast is matched.
    conditions
        What `prepare` chose for this stack; None = choose now.

    Yields
    ------
    SlicePrediction or None
        One prediction for each slice; None after each pass through the network (a caller may stop there).

    Raises
    ------
    InputError
        Other channels than trained on, intensities of another unit than those of the adapter's window, an unknown
        label name, a slice outside the stack, ``conditions`` of another adapter.
    AdapterError
        The base weights are not the adapter's.
    JobFailed
        The memory of this computer does not do for one frame.
    """
    chosen = _chosen(adapter, labels)
    check_slices(planes, slices)
    check_channels(planes, adapter.info)
    tell = _once(tell)
    if conditions is None:
        cache = cache or FeaturesInMemory()  # slices that are looked at now have their turn later
        preparing = prepare(planes, adapter, device=device, cache=cache, tell=tell)
        conditions = yield from without_shares(preparing)
    if cache is not None and not cache.holds(len(slices) * _frames_of_large(planes, adapter)):
        # a stack that outgrows the limit would only push out what the next round needs
        cache = cache.reading()
    if len(conditions.thresholds) not in (0, len(adapter.labels)):
        raise InputError(NOT_OF_THIS)
    seen, left = conditions, deque(slices)

    def work(target: torch.device) -> Generator[SlicePrediction | None, None, None]:
        segmenter, encoder = _network(planes, adapter, seen, target, cache)
        yield from _segmented(segmenter, encoder, planes, adapter, left, chosen, seen, tell)

    yield from with_fallback(pick_device(device), work, tell)


def _segmented(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    adapter: AdapterFile,
    left: deque[int],
    chosen: list[Label] | None,
    seen: Conditions,
    tell: Callable[[str], None],
) -> Generator[SlicePrediction | None, None, None]:
    """The slices that are ``left``, as many at a time as fill a batch; each is taken out when it is segmented."""
    begin = Thresholds(seen.thresholds, cores=seen.kin != "other")
    beside: dict[int, Kept] = {}
    while left:
        group = [left[i] for i in range(min(len(left), _slices_at_once(encoder, planes)))]
        asked = (segmenter, encoder, planes, group, adapter.labels, chosen)
        found = (
            segment_steadied(*asked, seen.noise, beside, begin)
            if seen.noise
            else segment_slices(*asked, tell, begin)
        )
        for one in found:
            if one is not None:
                left.popleft()
            yield one


def prepare(
    planes: Planes,
    adapter: AdapterFile,
    *,
    device: str = "auto",
    cache: FeatureCache | None = None,
    tell: Callable[[str], None] | None = None,
    limits: Limits | None = None,
) -> Generator[float, None, Conditions]:
    """Choose intensities, contrast and thresholds for a stack; yields the share done, 0..1, where a caller may stop.

    Only the slices of `slices_to_prepare` are read. ``limits`` are those of `measure_limits` where they are at hand;
    other parameters and errors as `predict`.
    """
    check_channels(planes, adapter.info)
    choice = adapter.info.intensity_choice
    limits = limits or measure_limits(planes, choice)
    check_unit(planes.info, limits, adapter.info)
    intensity = intensity_for(choice, limits)
    kin = _kin(planes, adapter, limits, intensity)
    seen = Conditions(
        *(intensity.low, intensity.high, intensity.method, intensity.gamma),
        kin=kin,
        volume=adapter.looks_along(kin, planes.info),
    )

    telling = _once(tell)

    def look(target: torch.device) -> Generator[float, None, Conditions]:
        return (yield from _looked(planes, adapter, seen, target, cache, telling))

    def told(message: str) -> float:
        telling(message)
        return 0.0

    return (yield from with_fallback(pick_device(device), look, told))


def _looked(
    planes: Planes,
    adapter: AdapterFile,
    seen: Conditions,
    device: torch.device,
    cache: FeatureCache | None,
    tell: Callable[[str], None],
) -> Generator[float, None, Conditions]:
    """What a few slices say of a stack that is ``seen`` by its own range; yields the share done, 0..1."""
    # absolute intensities mean the same everywhere
    compare = seen.elsewhere and seen.method != "window"
    few = seen.elsewhere or len(adapter.info.record.slices) <= FEW
    choose = few and adapter.info.areas_told and not is_large(planes.info)
    if not (compare or choose):
        noise = measure_noise(planes, Intensity(seen.low, seen.high, seen.method, seen.gamma))
        return replace(seen, noise=noise)
    segmenter, encoder = _network(planes, adapter, seen, device, cache)
    if compare:  # the encoder keeps what is found
        matching = matched_intensity(segmenter, encoder, planes, adapter, tell)
        found = yield from shares(matching, 0.0, 1 - LOOK_SHARE)
        seen = replace(seen, low=found.low, high=found.high, gamma=found.gamma)
    seen = replace(seen, noise=measure_noise(planes, encoder.intensity))
    if choose:
        part = LOOK_SHARE if compare else 1.0
        looking = _thresholds(segmenter, encoder, planes, adapter, seen)
        seen = replace(seen, thresholds=(yield from shares(looking, 1 - part, part)))
    return seen


def _thresholds(
    segmenter: Segmenter, encoder: Encoder, planes: Planes, adapter: AdapterFile, seen: Conditions
) -> Generator[float, None, tuple[float, ...]]:
    """Those of `choose_thresholds`, by a few slices that nobody painted; yields the share done, 0..1."""
    painted = () if seen.elsewhere else adapter.info.record.slices
    indices = [
        index for index in elsewhere.slices_to_look_at(planes.info.shape[0]) if index not in painted
    ]
    looks: list[NDArray[np.float32]] = []
    for found in probability_maps(segmenter, encoder, planes, indices, seen.noise):
        if found is not None:
            looks.append(sampled(found))
        yield len(looks) / len(indices)
    return choose_thresholds(looks)


def _kin(planes: Planes, adapter: AdapterFile, limits: Limits, intensity: Intensity) -> Kin:
    """What a stack of these ``limits`` is to an adapter: alike is one of the painted range and noise."""
    info = adapter.info
    if elsewhere.fingerprint(planes.info, limits) == info.stack:
        return "painted"
    alike = (
        adapter.sees_alike(planes.info)
        and elsewhere.on_one_scale(adapter.trained_intensity(), intensity)
        and elsewhere.as_noisy(info.noise, noise_of(planes, intensity))
    )
    return "alike" if alike else "other"


def slices_to_prepare(count: int, *, volume: bool = False) -> list[int]:
    """The slices of a stack of ``count`` that `prepare` may read; rising.

    ``volume`` is that of the adapter's description: slices may be seen together with those around them.
    """
    looked_at = _with_those_beside(elsewhere.slices_to_look_at(count), count)
    if volume:
        looked_at = _with_those_around(looked_at, count)
    return sorted({*measured_slices(count), *looked_at, *compared_slices(count)})


def slices_to_read(slices: Sequence[int], count: int, conditions: Conditions) -> list[int]:
    """The slices of a stack of ``count`` that `predict` reads for ``slices``; rising."""
    found = set(slices)
    if conditions.noise:
        found = _with_those_beside(slices, count)
    if conditions.volume:
        found = _with_those_around(found, count)
    return sorted(found)


def _with_those_beside(slices: Sequence[int], count: int) -> set[int]:
    return {index for one in slices for index in and_beside(one, count)}


def _with_those_around(slices: Set[int], count: int) -> set[int]:
    return {index for one in slices for index in slices_around(one, count)}


def _once(tell: Callable[[str], None] | None) -> Callable[[str], None]:
    """``tell``, if there is one, but nothing twice: where two parts of the work move to the CPU, say."""
    known: set[str] = set()

    def told(message: str) -> None:
        if tell is not None and message not in known:
            known.add(message)
            tell(message)

    return told


def _frames_of_large(planes: Planes, adapter: AdapterFile) -> int:
    """Frames of a slice where it is large; any other counts as one."""
    if not is_large(planes.info):
        return 1
    return len(adapter.framing().layout(*planes.info.shape[1:]).origins)


def _network(
    planes: Planes,
    adapter: AdapterFile,
    seen: Conditions,
    device: torch.device,
    cache: FeatureCache | None,
) -> tuple[Segmenter, Encoder]:
    """The network for a stack as it is ``seen``."""
    if seen.volume and is_large(planes.info):
        raise AdapterError(DAMAGED)  # no fit to such slices looks along the stack
    set_threads()
    backbone = warm_backbone(adapter.info.backbone, device)
    segmenter = build_segmenter(adapter, backbone, kin=seen.kin, looks_along=seen.volume).to(device)
    return segmenter, Encoder(
        backbone,
        Intensity(seen.low, seen.high, seen.method, seen.gamma),
        adapter.framing(),
        cache=cache,
        device=device,
        along_stack=adapter.along_stack(seen.kin),
        volume=seen.volume,
        pretrained_tail=isinstance(segmenter.tail, PretrainedTail),
    )


def _slices_at_once(encoder: Encoder, planes: Planes) -> int:
    """As many as fill a batch of frames, at least one."""
    _, height, width = planes.info.shape
    return max(1, encoder.batches.size // len(encoder.framing.layout(height, width).origins))


def _chosen(adapter: AdapterFile, names: Sequence[str] | None) -> list[Label] | None:
    if names is None:
        return None
    by_name = {label.name: label for label in adapter.labels}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        known = ", ".join(f"'{name}'" for name in by_name)
        raise UnknownLabelName(
            f"This adapter was never trained on '{unknown[0]}'; it knows {known}."
        )
    return [by_name[name] for name in names]
