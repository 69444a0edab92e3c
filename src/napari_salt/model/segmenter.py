"""Backbone + adapted tail + label head: from one slice to the logits of all its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_salt.model.backbones.base import Activations
from napari_salt.model.batches import Batches
from napari_salt.model.device import autocast, autocast_dtype, on_spare_threads, to_device
from napari_salt.model.feature_cache import rounded
from napari_salt.model.features import SliceView, Taps, view_slice
from napari_salt.model.large_slice import LargeSlice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.framing import Framing, Intensity
    from napari_salt.model.head import LabelHead
    from napari_salt.model.large_paint import DrawnPixels
    from napari_salt.regions import RegionPlanes

UNUSED_TAPS = ("stage0",)
"""Taps that the head leaves out: at full frame resolution the filters say the same for a fraction of the memory."""


@dataclass(frozen=True, eq=False)
class EncodedSlice:
    """A slice after the frozen prefix: view for the head, tail input (T, …) and prefix taps (T, C, h, w), by frame."""

    view: SliceView
    tail_input: Tensor
    taps: dict[str, Tensor]

    def frame(self, number: int) -> EncodedSlice:
        """One frame of it alone, so that no pass through the tail holds more."""
        layout = self.view.layout
        one = slice(number, number + 1)
        return EncodedSlice(
            replace(self.view, layout=replace(layout, origins=layout.origins[one])),
            self.tail_input[one],
            {name: values[one] for name, values in self.taps.items()},
        )


def head_taps(backbone: Backbone) -> Taps:
    """Name and channels of the taps that feed the head, in order."""
    return tuple((n, c) for n, c in backbone.tap_channels.items() if n not in UNUSED_TAPS)


class Encoder:
    """Runs the frozen prefix on slices, through the cache where there is one.

    ``batches`` says how many frames run at once; ``along_stack`` tells whether the position of a slice in its stack
    means anything.
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
    ) -> None:
        self.backbone = backbone
        self.intensity = intensity
        self.framing = framing
        self.cache = cache
        self.device = device or torch.device("cpu")
        self.batches = Batches(self.device)
        self.along_stack = along_stack
        self._kept = {name for name, _ in head_taps(backbone)}

    def view(self, plane: NDArray[Any], index: int, count: int) -> tuple[SliceView, Tensor]:
        """View of slice ``index`` of ``count``, and its frames (T, 3, S, S)."""
        return view_slice(plane, self._depth(index, count), self.intensity, self.framing)

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
        """Prefix of ``frames`` (B, 3, S, S) on the device, in one pass; only the taps that the head uses."""
        if self.cache is None:
            # rounded all the same: masks must not depend on whether a job's slices fit into a cache
            return rounded(self._run(frames))
        # frame by frame, so that a later job finds them whatever its batches are
        single = frames.split(1)
        keys = [self.cache.key(frame, *self._context()) for frame in single]
        found = [self.cache.get(key, self.device) for key in keys]
        missing = [i for i, one in enumerate(found) if one is None]
        if missing:
            fresh = self._run(frames if len(missing) == len(found) else frames[missing])
            for i, one in zip(missing, _split(rounded(fresh)), strict=True):
                self.cache.put(keys[i], one)
                found[i] = one
        there = [one for one in found if one is not None]
        return there[0] if len(there) == 1 else _join(there)

    def _context(self) -> tuple[str, ...]:
        """What decides the activations besides the pixels."""
        dtype = autocast_dtype(self.device)
        precision = () if dtype is None else (str(dtype),)
        return self.backbone.weights_sha256, f"cut {self.backbone.tail_blocks}", *precision

    def steps(self, plane: NDArray[Any], index: int, count: int) -> Iterator[EncodedSlice | None]:
        """Encode a whole slice; yields None after each batch of frames and the slice at the end."""
        view, frames = self.view(plane, index, count)
        parts: list[Activations] = []
        for found in self.batches.run(len(frames), lambda part: self.prefix(frames[part])):
            parts.append(found)
            yield None
        whole = _join(parts)
        yield EncodedSlice(view, whole.tail_input, whole.taps)

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
            yield EncodedSlice(large.samples(number, rows, columns), one.tail_input, one.taps)

    def _run(self, frames: Tensor) -> Activations:
        with on_spare_threads(), autocast(self.device):
            found = self.backbone.prefix(to_device(frames, self.device))
        kept = {name: values.float() for name, values in found.taps.items() if name in self._kept}
        return Activations(found.tail_input.float(), kept)


def _split(activations: Activations) -> list[Activations]:
    """One for each frame."""
    return [
        Activations(
            activations.tail_input[i : i + 1],
            {name: values[i : i + 1] for name, values in activations.taps.items()},
        )
        for i in range(len(activations.tail_input))
    ]


def _join(parts: Sequence[Activations]) -> Activations:
    """The frames of all parts, in order."""
    taps = {name: torch.cat([one.taps[name] for one in parts]) for name in parts[0].taps}
    return Activations(torch.cat([one.tail_input for one in parts]), taps)


class Segmenter(nn.Module):
    """An own copy of the backbone's tail, adapted or not, under one head."""

    def __init__(self, tail: nn.Module, head: LabelHead) -> None:
        super().__init__()
        self.tail = tail
        self.head = head

    def taps(self, activations: Activations | EncodedSlice) -> dict[str, Tensor]:
        """All taps of the head (T, C, h, w), in its order; differentiable in the tail."""
        return join_taps(self.head.taps, activations, self.tail)

    def look(self, encoder: Encoder, frames: Tensor) -> dict[str, Tensor]:
        """The same of ``frames`` (T, 3, S, S) that are only looked at, and not learned from."""
        activations = encoder.prefix(frames)
        with on_spare_threads():
            return self.taps(activations)

    def deep_at(self, encoded: EncodedSlice, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, C) standardised taps at pixels of the slice; differentiable in the tail."""
        return self.head.tap_standard(encoded.view.taps_at(self.taps(encoded), rows, columns))

    def probabilities(self, encoded: EncodedSlice) -> Tensor:
        """(K + 1, *detail): background and every label in one pass."""
        return self.head.assemble(encoded.view, [self.head.frame_maps(self.taps(encoded))])


def join_taps(
    taps: Taps, activations: Activations | EncodedSlice, tail: nn.Module
) -> dict[str, Tensor]:
    """Taps of prefix and ``tail`` together (T, C, h, w) float32, in the order of ``taps``."""
    with autocast(activations.tail_input.device):
        found = {**activations.taps, **tail(activations.tail_input)}
    return {name: found[name].float() for name, _ in taps}
