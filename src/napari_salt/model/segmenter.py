"""Backbone + adapted tail + label head: from one slice to the logits of all its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_salt.model.backbones.base import PretrainedTail
from napari_salt.model.device import autocast, on_spare_threads

if TYPE_CHECKING:
    from napari_salt.model.backbones.base import Activations
    from napari_salt.model.encoder import EncodedSlice, Encoder
    from napari_salt.model.features import Taps
    from napari_salt.model.head import LabelHead


class Segmenter(nn.Module):
    """The backbone's tail, or an adapted copy of it, under one head."""

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

    def probabilities(self, encoded: EncodedSlice) -> Tensor:
        """(K + 1, *detail): background and every label in one pass."""
        return self.head.assemble(encoded.view, [self.head.frame_maps(self.taps(encoded))])


def join_taps(
    taps: Taps, activations: Activations | EncodedSlice, tail: nn.Module
) -> dict[str, Tensor]:
    """Taps of prefix and ``tail`` together (T, C, h, w) float32, in the order of ``taps``."""
    if isinstance(tail, PretrainedTail) and activations.tail_taps:
        found = {**activations.taps, **activations.tail_taps}
    else:
        with autocast(activations.tail_input.device):
            found = {**activations.taps, **tail(activations.tail_input)}
    return {name: found[name].float() for name, _ in taps}
