"""SAM with a plain ViT encoder: ViT-B, -L, -H, and any other size.

The network is that of the ``segment-anything`` package. The sizes are read off the shapes of the
checkpoint, so that every checkpoint of this architecture loads: Meta's, MedSAM's, or a small one
for tests. Frames are normalised by SAM's own pixel mean and deviation here, so that callers always
give 0..1. Taps are the outputs of four evenly spaced blocks, ``block<i>`` (C, h, w) on the patch
grid (h = w = S / 16), and the ``neck`` (256, h, w).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_salt.errors import WeightsError
from napari_salt.model.backbones.base import Activations, Backbone, Identity, freeze

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

DEFAULT_TAIL_BLOCKS = 2
TAP_COUNT = 4
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""SAM's normalisation, for red, green, blue in 0..255."""

EMBEDDING = 256
"""Channels of the image embedding, the same in every SAM."""


@dataclass(frozen=True)
class VitSize:
    """What sets one ViT encoder apart: sizes in channels, blocks, and pixels of the frame."""

    width: int
    depth: int
    heads: int
    patch: int
    frame_size: int
    window: int
    global_blocks: tuple[int, ...]

    @property
    def grid(self) -> int:
        """Patches along a side of the frame."""
        return self.frame_size // self.patch

    @property
    def tapped_blocks(self) -> tuple[int, ...]:
        """Evenly spaced blocks whose output is tapped, the last one included."""
        count = min(TAP_COUNT, self.depth)
        return tuple((i + 1) * self.depth // count - 1 for i in range(count))


def size_of(state: Mapping[str, Tensor]) -> VitSize:
    """Sizes of the encoder in a SAM state dict; WeightsError when it is not one."""
    try:
        _, grid, _, width = state["image_encoder.pos_embed"].shape
        patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
        depth = 1 + max(
            int(found.group(1))
            for name in state
            if (found := re.match(r"image_encoder\.blocks\.(\d+)\.", name))
        )
        tables = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(depth)]
    except (KeyError, ValueError) as error:
        raise _misfit() from error
    # a block's table of relative positions spans its window: 2·side - 1 entries
    sides = [(entries + 1) // 2 for entries, _ in tables]
    windows = {side for side in sides if side != grid}
    if len(windows) > 1:
        raise _misfit()
    return VitSize(
        width=width,
        depth=depth,
        heads=width // tables[0][1],
        patch=patch,
        frame_size=grid * patch,
        window=windows.pop() if windows else 0,
        global_blocks=tuple(i for i, side in enumerate(sides) if side == grid),
    )


def architecture(state: Mapping[str, Tensor]) -> str:
    """``sam-vit-b``, ``-l``, ``-h``, or a name that tells the sizes of another ViT."""
    size = size_of(state)
    known = {(768, 12): "b", (1024, 24): "l", (1280, 32): "h"}
    return f"sam-vit-{known.get((size.width, size.depth), f'{size.width}x{size.depth}')}"


class SamVit(Backbone):
    """SAM with a ViT encoder, cut ``tail_blocks`` blocks before its neck (default 2).

    ``state`` is the checkpoint's state dict; its tensors are taken over without a copy.
    WeightsError when it does not fit.
    """

    def __init__(
        self, identity: Identity, state: Mapping[str, Tensor], *, tail_blocks: int | None = None
    ) -> None:
        size = size_of(state)
        count = min(DEFAULT_TAIL_BLOCKS, size.depth) if tail_blocks is None else tail_blocks
        if not 0 <= count <= size.depth:
            raise ValueError(f"tail_blocks is 0 to {size.depth}, not {count}")
        network = _build(size, state)
        freeze(network)
        encoder: Any = network["image_encoder"]
        first = size.depth - count
        taps = [i for i in size.tapped_blocks if i >= first]
        super().__init__(
            identity,
            frame_size=size.frame_size,
            tap_channels={f"block{i}": size.width for i in size.tapped_blocks}
            | {"neck": EMBEDDING},
            tail=_Tail(encoder, first, taps),
            prompt_encoder=network["prompt_encoder"],
            mask_decoder=network["mask_decoder"],
            multimask=True,
        )
        self.tail_blocks = count
        self.size = size
        self._patch_embed: nn.Module = encoder.patch_embed
        self._positions: nn.Parameter = encoder.pos_embed
        self._blocks = nn.ModuleList(encoder.blocks[:first])
        self._tapped = frozenset(size.tapped_blocks)
        self.register_buffer("_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1) / 255, False)
        self.register_buffer("_std", torch.tensor(PIXEL_STD).view(3, 1, 1) / 255, False)
        self.eval()

    def _run_prefix(self, frames: Tensor) -> Activations:
        normalised = (frames - self.get_buffer("_mean")) / self.get_buffer("_std")
        x = self._patch_embed(normalised) + self._positions
        taps: dict[str, Tensor] = {}
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in self._tapped:
                taps[f"block{i}"] = x.permute(0, 3, 1, 2)
        return Activations(x, taps)


class _Tail(nn.Module):
    """Blocks from ``first`` on, and the neck: patches (B, h, w, C) → taps from there on."""

    def __init__(self, encoder: Any, first: int, taps: list[int]) -> None:
        super().__init__()
        # keyed by the block's number in the whole encoder, wherever the network was cut
        self.blocks = nn.ModuleDict(
            {str(i): encoder.blocks[i] for i in range(first, len(encoder.blocks))}
        )
        self.neck: nn.Module = encoder.neck
        self._tapped = frozenset(taps)

    def forward(self, tail_input: Tensor) -> dict[str, Tensor]:
        x, taps = tail_input, {}
        for i, block in self.blocks.items():
            x = block(x)
            if int(i) in self._tapped:
                taps[f"block{i}"] = x.permute(0, 3, 1, 2)
        taps["neck"] = self.neck(x.permute(0, 3, 1, 2))
        return taps


def _build(size: VitSize, state: Mapping[str, Tensor]) -> nn.ModuleDict:
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        TwoWayTransformer,
    )

    # without storage: the checkpoint's tensors become the parameters, so nothing is held twice and
    # no random numbers are drawn
    with torch.device("meta"):
        network = nn.ModuleDict(
            {
                "image_encoder": ImageEncoderViT(
                    img_size=size.frame_size,
                    patch_size=size.patch,
                    embed_dim=size.width,
                    depth=size.depth,
                    num_heads=size.heads,
                    out_chans=EMBEDDING,
                    norm_layer=partial(nn.LayerNorm, eps=1e-6),
                    use_rel_pos=True,
                    window_size=size.window,
                    global_attn_indexes=size.global_blocks,
                ),
                "prompt_encoder": PromptEncoder(
                    embed_dim=EMBEDDING,
                    image_embedding_size=(size.grid, size.grid),
                    input_image_size=(size.frame_size, size.frame_size),
                    mask_in_chans=16,
                ),
                "mask_decoder": MaskDecoder(
                    transformer_dim=EMBEDDING,
                    transformer=TwoWayTransformer(
                        depth=2, embedding_dim=EMBEDDING, num_heads=8, mlp_dim=2048
                    ),
                ),
            }
        )
    parts = tuple(f"{part}." for part in network)
    wanted = {name: tensor.float() for name, tensor in state.items() if name.startswith(parts)}
    try:
        network.load_state_dict(wanted, strict=True, assign=True)
    except RuntimeError as error:
        raise _misfit() from error
    return network


def _misfit() -> WeightsError:
    return WeightsError(
        "The checkpoint has not the shape of SAM with a ViT encoder; give another one, "
        "or a backbone by name."
    )
