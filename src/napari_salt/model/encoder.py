"""The frozen part of the network on slices, through the cache where there is one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_salt.model.backbones.base import Activations
from napari_salt.model.batches import Batches
from napari_salt.model.device import autocast, autocast_dtype, on_spare_threads, to_device
from napari_salt.model.feature_cache import rounded
from napari_salt.model.features import SliceView, Taps, view_slice
from napari_salt.model.large_slice import LargeSlice
from napari_salt.model.volume_filters import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.framing import Framing, Intensity
    from napari_salt.model.large_paint import DrawnPixels
    from napari_salt.records import Planes
    from napari_salt.regions import RegionPlanes

UNUSED_TAPS = ("stage0",)
"""Taps that the head leaves out: at full frame resolution the filters say the same for a fraction of the memory."""
TAIL_INPUT = "tail_input"


@dataclass(frozen=True, eq=False)
class EncodedSlice:
    """A slice after the frozen prefix: view for the head, tail input (T, …) and prefix taps (T, C, h, w), by frame.

    ``tail_taps`` are those of the pretrained tail, where they are known.
    """

    view: SliceView
    tail_input: Tensor
    taps: dict[str, Tensor]
    tail_taps: dict[str, Tensor] = field(default_factory=dict)

    def frame(self, number: int) -> EncodedSlice:
        """One frame of it alone, so that no pass through the tail holds more."""
        layout = self.view.layout
        one = slice(number, number + 1)
        return EncodedSlice(
            replace(self.view, layout=replace(layout, origins=layout.origins[one])),
            self.tail_input[one],
            _part(self.taps, one),
            _part(self.tail_taps, one),
        )

    def without_tail_taps(self) -> EncodedSlice:
        """The same for fits of another tail, in less memory."""
        return replace(self, tail_taps={})


def head_taps(backbone: Backbone) -> Taps:
    """Name and channels of the taps that feed the head, in order."""
    return tuple((n, c) for n, c in backbone.tap_channels.items() if n not in UNUSED_TAPS)


class Encoder:
    """Runs the frozen prefix on slices, through the cache where there is one.

    ``batches`` says how many frames run at once; ``along_stack`` tells whether the position of a slice in its stack
    means anything, ``volume`` whether `volume_filters` are looked at. With ``pretrained_tail`` its taps are found and
    cached as well, for jobs that do not change it.
    """

    def __init__(
        self,
        backbone: Backbone,
        intensity: Intensity,
        framing: Framing,
        *,
        cache: FeatureCache | None = None,
        device: torch.device | None = None,
        along_stack: bool = True,
        volume: bool = False,
        pretrained_tail: bool = False,
    ) -> None:
        self.backbone = backbone
        self.intensity = intensity
        self.framing = framing
        self.cache = cache
        self.device = device or torch.device("cpu")
        self.batches = Batches(self.device)
        self.along_stack = along_stack
        self.volume = volume
        self.pretrained_tail = pretrained_tail
        self._around = Surroundings(intensity, framing)
        self._tail = backbone.pretrained_tail()
        self._kept = {name for name, _ in head_taps(backbone)}

    def view(self, planes: Planes, index: int, plane: NDArray[Any]) -> tuple[SliceView, Tensor]:
        """View of slice ``index``, which is ``plane`` (Y, X[, C]), and its frames (T, 3, S, S)."""
        depth = self._depth(index, planes.info.shape[0])
        view, frames = view_slice(plane, depth, self.intensity, self.framing)
        if self.volume:
            view = replace(view, volume=self.volume_filters(planes, index, view))
        return view, frames

    def volume_filters(self, planes: Planes, index: int, view: SliceView) -> Tensor:
        """(V, *view.layout.grid): what the filters along the stack say of slice ``index``, whose ``view`` this is."""
        here = view.filters[: len(self.intensity.low)].clone()  # the rest need not be held
        return self._around.filters(planes, index, here)

    def large_slice(self, planes: RegionPlanes, index: int) -> LargeSlice:
        """Slice ``index``, to be looked at part by part."""
        count, height, width = planes.info.shape
        layout = self.framing.layout(height, width)
        return LargeSlice(planes, index, self._depth(index, count), self.intensity, layout)

    def _depth(self, index: int, count: int) -> float | None:
        if not self.along_stack:
            return None
        return 2 * index / (count - 1) - 1 if count > 1 else 0.0

    def prefix(self, frames: Tensor) -> Activations:
        """Prefix of ``frames`` (B, 3, S, S) on the device, in one pass; only the taps that the head uses.

        Those of the pretrained tail come with them where the encoder was made with ``pretrained_tail``.
        """
        keys = None
        if self.cache is not None:
            # frame by frame, so that a later job finds them whatever its batches are
            keys = [self.cache.key(frame, *self._context()) for frame in frames.split(1)]
        taps = self._kept_or_new(keys, lambda part: self._run(frames[part]))
        tail_input = taps.pop(TAIL_INPUT)
        if not self.pretrained_tail:
            return Activations(tail_input, taps)
        keys = None if keys is None else [f"{key}-tail" for key in keys]
        tail_taps = self._kept_or_new(keys, lambda part: self._run_tail(tail_input[part]))
        return Activations(tail_input, taps, tail_taps)

    def _kept_or_new(
        self,
        keys: Sequence[str] | None,
        make: Callable[[list[int] | slice], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Values of frames, by their ``keys`` in the cache; those that are not there ``make`` gives."""
        if self.cache is None or keys is None:
            # rounded all the same: masks must not depend on whether a job's slices fit into a cache
            return rounded(make(slice(None)))
        found = [self.cache.get(key, self.device) for key in keys]
        missing = [i for i, one in enumerate(found) if one is None]
        if missing:
            new = rounded(make(missing if len(missing) < len(found) else slice(None)))
            for place, i in enumerate(missing):
                found[i] = one = _part(new, slice(place, place + 1))
                self.cache.put(keys[i], one)
        return _join([one for one in found if one is not None])

    def _context(self) -> tuple[str, ...]:
        """What decides the activations besides the pixels."""
        dtype = autocast_dtype(self.device)
        precision = () if dtype is None else (str(dtype),)
        return self.backbone.weights_sha256, f"cut {self.backbone.tail_blocks}", *precision

    def steps(self, planes: Planes, index: int) -> Iterator[EncodedSlice | None]:
        """Encode a whole slice; yields None after each batch of frames and the slice at the end."""
        view, frames = self.view(planes, index, planes.plane(index))
        parts: list[Activations] = []
        for found in self.batches.run(len(frames), lambda part: self.prefix(frames[part])):
            parts.append(found)
            yield None
        yield EncodedSlice(
            view,
            torch.cat([one.tail_input for one in parts]) if len(parts) > 1 else parts[0].tail_input,
            _join([one.taps for one in parts]),
            _join([one.tail_taps for one in parts]),
        )

    def painted_steps(
        self, planes: RegionPlanes, index: int, drawn: DrawnPixels
    ) -> Iterator[EncodedSlice | None]:
        """Encode the frames of a large slice that show drawn pixels, rising; None after each batch, then each frame."""
        large = self.large_slice(planes, index)
        numbers = np.unique(drawn.frames).tolist()
        parts: list[Activations] = []
        for found in self.batches.run(
            len(numbers), lambda part: self.prefix(large.frames(numbers[part]))
        ):
            parts += _split(found)
            yield None
        for number, one in zip(numbers, parts, strict=True):
            here = drawn.frames == number
            rows, columns = (torch.from_numpy(p[here]) for p in (drawn.rows, drawn.columns))
            yield EncodedSlice(
                large.samples(number, rows, columns), one.tail_input, one.taps, one.tail_taps
            )

    def _run(self, frames: Tensor) -> dict[str, Tensor]:
        with on_spare_threads(), autocast(self.device):
            found = self.backbone.prefix(to_device(frames, self.device))
        kept = {name: values.float() for name, values in found.taps.items() if name in self._kept}
        return {TAIL_INPUT: found.tail_input.float(), **kept}

    @torch.no_grad()
    def _run_tail(self, tail_input: Tensor) -> dict[str, Tensor]:
        with on_spare_threads(), autocast(self.device):
            found = self._tail(tail_input)
        return {name: values.float() for name, values in found.items() if name in self._kept}


def _part(values: Mapping[str, Tensor], part: slice) -> dict[str, Tensor]:
    """Of some frames."""
    return {name: each[part] for name, each in values.items()}


def _join(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The frames of all parts, in order."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: torch.cat([one[name] for one in parts]) for name in parts[0]}


def _split(activations: Activations) -> list[Activations]:
    """One for each frame."""
    found = []
    for i in range(len(activations.tail_input)):
        one = slice(i, i + 1)
        taps, tail_taps = _part(activations.taps, one), _part(activations.tail_taps, one)
        found.append(Activations(activations.tail_input[one], taps, tail_taps))
    return found
