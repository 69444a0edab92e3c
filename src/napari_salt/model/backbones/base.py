"""What every backbone offers: a frozen prefix, a tail to adapt, taps, and SAM's own prompt decoder.

Frames are (B, 3, S, S) float32 in 0..1, S = ``frame_size``. The network is cut in two: the *prefix*
never changes, so its activations are computed once per frame and may be cached; the *tail* carries
the adapters. *Taps* are inner feature maps (B, C, h, w) of either part; the last is ``"neck"``, the
image embedding of SAM.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Activations:
    """Output of a prefix; every tensor has the batch as its first axis.

    ``tail_input`` is what the tail takes, in a layout of the backbone's own; ``taps`` are the
    feature maps (B, C, h, w) of the prefix, finest first; ``tail_taps`` those of the pretrained tail,
    where they are known. All float32, without gradients.
    """

    tail_input: Tensor
    taps: dict[str, Tensor]
    tail_taps: dict[str, Tensor] = field(default_factory=dict)


class PretrainedTail(nn.Module):
    """The tail of a backbone as it is, never to be adapted: what it gives may be known from an earlier job."""

    def __init__(self, tail: nn.Module) -> None:
        super().__init__()
        self.tail = tail

    def forward(self, tail_input: Tensor) -> dict[str, Tensor]:
        """Taps (B, C, h, w) of a ``tail_input``."""
        found: dict[str, Tensor] = self.tail(tail_input)
        return found


class PromptMasks(NamedTuple):
    """Masks of N prompts: ``logits`` (N, S, S), > 0 inside; ``quality`` (N,), the guessed IoU."""

    logits: Tensor
    quality: Tensor


@dataclass(frozen=True)
class Identity:
    """Which weights a backbone has.

    ``name`` is a registry name or the path that was asked for, ``architecture`` the network,
    ``weights_sha256`` the hash of the checkpoint file in hex.
    """

    name: str
    architecture: str
    weights_sha256: str


class Backbone(nn.Module, ABC):
    """A SAM image encoder cut into prefix and tail, frozen and in eval mode, with its decoder.

    Parameters
    ----------
    identity
        Name, architecture and hash.
    frame_size
        S, side of the square frame in pixels.
    tap_channels
        Channels C of every tap, of prefix and tail together, in order.
    tail
        The pretrained tail; copies of it are handed out.
    prompt_encoder, mask_decoder
        SAM's own, for `prompt_masks`.
    multimask
        Whether the decoder was trained to offer three masks for an ambiguous click.
    """

    tail_blocks: int
    """Trailing blocks that belong to the tail; set by each backbone."""

    def __init__(
        self,
        identity: Identity,
        *,
        frame_size: int,
        tap_channels: Mapping[str, int],
        tail: nn.Module,
        prompt_encoder: nn.Module,
        mask_decoder: nn.Module,
        multimask: bool,
    ) -> None:
        super().__init__()
        self.identity = identity
        self.frame_size = frame_size
        self.tap_channels = dict(tap_channels)
        self._multimask = multimask
        self._tail = tail
        self._prompt_encoder = prompt_encoder
        self._mask_decoder = mask_decoder

    @property
    def name(self) -> str:
        """Registry name, or the path that was asked for."""
        return self.identity.name

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the checkpoint file, in hex."""
        return self.identity.weights_sha256

    @torch.no_grad()
    def prefix(self, frames: Tensor) -> Activations:
        """Run the frozen part on ``frames`` (B, 3, S, S) float32 in 0..1."""
        # no_grad and not inference_mode: the tail is trained on these tensors, and autograd refuses
        # to keep inference tensors for its backward pass
        expected = (3, self.frame_size, self.frame_size)
        if tuple(frames.shape[1:]) != expected:
            raise ValueError(f"frames are (B, {expected}), not {tuple(frames.shape)}")
        return self._run_prefix(frames.contiguous(memory_format=torch.channels_last))

    def make_tail(self) -> nn.Module:
        """An own copy of the pretrained tail, frozen: ``tail(tail_input)`` gives a dict of taps.

        Its taps (B, C, h, w) are those that the prefix does not give, ``"neck"`` among them.
        """
        return copy.deepcopy(self._tail)

    def pretrained_tail(self) -> PretrainedTail:
        """The tail for those who do not change it; it is shared by all of them."""
        return PretrainedTail(self._tail)

    def adaptable_layers(self, tail: nn.Module) -> list[str]:
        """Names in a plain ``tail`` of what can carry an adapter: Linear and ungrouped Conv2d."""
        return [
            name
            for name, layer in tail.named_modules()
            if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        ]

    @torch.no_grad()
    def embedding(self, frames: Tensor) -> Tensor:
        """SAM's image embedding (B, 256, h, w) of ``frames``, by the pretrained weights."""
        taps: dict[str, Tensor] = self._tail(self.prefix(frames).tail_input)
        return taps["neck"]

    @torch.no_grad()
    def prompt_masks(
        self,
        embedding: Tensor,
        *,
        boxes: Tensor | None = None,
        points: tuple[Tensor, Tensor] | None = None,
    ) -> PromptMasks:
        """Masks of boxes or clicks in one frame, by SAM's frozen decoder.

        Parameters
        ----------
        embedding
            (256, h, w) or (1, 256, h, w), from `embedding` (of the pretrained backbone).
        boxes
            (N, 4) float: x0, y0, x1, y1 in frame pixels.
        points
            (N, P, 2) float: x, y in frame pixels; and (N, P) int: 1 inside, 0 outside, -1 no point.
            With boxes, N must agree.
        """
        if boxes is None and points is None:
            raise ValueError("give boxes or points")
        embedding = embedding.reshape(1, *embedding.shape[-3:])
        if boxes is not None:
            boxes = boxes.to(embedding)
        if points is not None:
            points = points[0].to(embedding), points[1].to(embedding.device)
        sparse, dense = self._prompt_encoder(points=points, boxes=boxes, masks=None)
        # one click may mean a part or the whole; SAM then offers three masks and rates them
        several = (
            self._multimask and boxes is None and points is not None and points[0].shape[1] == 1
        )
        logits, quality = self._mask_decoder(
            image_embeddings=embedding,
            image_pe=self._prompt_encoder.get_dense_pe(),  # type: ignore[operator]
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
        )
        best = quality.argmax(dim=1)
        rows = torch.arange(len(best), device=best.device)
        size = (self.frame_size, self.frame_size)
        masks = functional.interpolate(
            logits[rows, best][:, None], size=size, mode="bilinear", align_corners=False
        )
        return PromptMasks(masks[:, 0], quality[rows, best])

    @abstractmethod
    def _run_prefix(self, frames: Tensor) -> Activations:
        """The prefix on checked frames in channels-last memory."""


def freeze(module: nn.Module) -> nn.Module:
    """Eval mode, no gradients, and convolution kernels in channels-last memory."""
    for layer in module.modules():
        # a 1 x 1 kernel is the same memory either way; left plain, W + 0 keeps its strides, and
        # with them the very same convolution routine, to the last bit
        if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1):
            layer.to(memory_format=torch.channels_last)
    return module.eval().requires_grad_(False)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Replace every ``Sequential(Conv2d, BatchNorm2d)`` in ``module`` by one equal Conv2d.

    Exact up to float32 rounding: in eval mode both are one affine map. It halves the memory
    traffic. ``module`` must be in eval mode; it is changed and returned.
    """
    for name, child in module.named_children():
        layers = list(child.children()) if isinstance(child, nn.Sequential) else []
        match layers:
            case [nn.Conv2d() as conv, nn.BatchNorm2d() as norm]:
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
            case _:
                fold_batch_norms(child)
    return module
