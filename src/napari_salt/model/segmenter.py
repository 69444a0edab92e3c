"""Backbone + adapted tail + label head: from one slice to the logits of all its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_salt.model.backbones.base import Activations
from napari_salt.model.feature_cache import rounded
from napari_salt.model.features import Banks, SliceView, view_slice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.framing import Framing, Intensity
    from napari_salt.model.head import LabelHead

UNUSED_TAPS = ("stage0",)
"""Taps that the head leaves out: at full frame resolution the filters say the same for a fraction of the memory."""


@dataclass(frozen=True, eq=False)
class EncodedSlice:
    """A slice after the frozen prefix: view for the head, tail input (T, …) and prefix taps (T, C, h, w), by frame."""

    view: SliceView
    tail_input: Tensor
    taps: dict[str, Tensor]


def head_taps(backbone: Backbone) -> tuple[tuple[str, int], ...]:
    """Name and channels of the taps that feed the head, in order."""
    return tuple((n, c) for n, c in backbone.tap_channels.items() if n not in UNUSED_TAPS)


class Encoder:
    """Runs the frozen prefix on slices, through the cache where there is one.

    ``batch`` is the number of frames in one pass.
    """

    def __init__(
        self,
        backbone: Backbone,
        intensity: Intensity,
        framing: Framing,
        *,
        cache: FeatureCache | None = None,
        device: torch.device | None = None,
        batch: int = 1,
    ) -> None:
        self.backbone = backbone
        self.intensity = intensity
        self.framing = framing
        self.cache = cache
        self.device = device or torch.device("cpu")
        self.batch = batch
        self._kept = {name for name, _ in head_taps(backbone)}

    def view(self, plane: NDArray[Any], index: int, count: int) -> tuple[SliceView, Tensor]:
        """View of slice ``index`` of ``count``, and its frames (T, 3, S, S)."""
        return view_slice(plane, index, count, self.intensity, self.framing)

    def activations(self, frames: Tensor) -> Iterator[Activations]:
        """Prefix of ``frames``, batch by batch; only the taps that the head uses."""
        for chunk in frames.split(self.batch):
            yield self._prefix(chunk)

    def steps(self, plane: NDArray[Any], index: int, count: int) -> Iterator[EncodedSlice | None]:
        """Encode a whole slice; yields None after each batch of frames and the slice at the end."""
        view, frames = self.view(plane, index, count)
        inputs: list[Tensor] = []
        taps: dict[str, list[Tensor]] = {}
        for found in self.activations(frames):
            inputs.append(found.tail_input)
            for name, values in found.taps.items():
                taps.setdefault(name, []).append(values)
            yield None
        joined = {name: torch.cat(values) for name, values in taps.items()}
        yield EncodedSlice(view, torch.cat(inputs), joined)

    def _prefix(self, frames: Tensor) -> Activations:
        if self.cache is None:
            return self._run(frames)
        key = self.cache.key(
            frames, self.backbone.weights_sha256, f"cut {self.backbone.tail_blocks}"
        )
        found = self.cache.get(key, self.device)
        if found is None:
            found = rounded(self._run(frames))
            self.cache.put(key, found)
        return found

    def _run(self, frames: Tensor) -> Activations:
        found = self.backbone.prefix(frames.to(self.device))
        kept = {name: values for name, values in found.taps.items() if name in self._kept}
        return Activations(found.tail_input, kept)


class Segmenter(nn.Module):
    """An own copy of the backbone's tail, adapted or not, under one head."""

    def __init__(self, tail: nn.Module, head: LabelHead) -> None:
        super().__init__()
        self.tail = tail
        self.head = head

    def taps(self, activations: Activations | EncodedSlice) -> dict[str, Tensor]:
        """All taps of the head (T, C, h, w), in its order; differentiable in the tail."""
        return join_taps(self.head.banks, activations, self.tail)

    def logits_at(self, encoded: EncodedSlice, rows: Tensor, columns: Tensor) -> Tensor:
        """(M, K + 1) at pixels of the slice; differentiable in tail and head."""
        return self.head.logits_at(encoded.view, self.taps(encoded), rows, columns)

    def logits(self, encoded: EncodedSlice) -> Tensor:
        """(K + 1, *detail): background and every label in one pass."""
        return self.head.assemble(encoded.view, [self.head.frame_maps(self.taps(encoded))])


def join_taps(
    banks: Banks, activations: Activations | EncodedSlice, tail: nn.Module
) -> dict[str, Tensor]:
    """Taps of prefix and ``tail`` together (T, C, h, w), in the order of ``banks``."""
    found = {**activations.taps, **tail(activations.tail_input)}
    return {name: found[name] for name, _ in banks.taps}
