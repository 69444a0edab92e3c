"""Read a checkpoint and tell which network it is of."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING

import torch

from napari_salt.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

WRAPPERS = ("model", "state_dict")
"""Keys under which training programs put the state dict."""

PREFIX = "module."
"""What a data-parallel wrapper puts before every name."""

_DAMAGED = (
    *(OSError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError),
    *(AssertionError, ArithmeticError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What PyTorch raises on files that are damaged, or no checkpoints."""


def read_state(path: Path) -> dict[str, Tensor]:
    """State dict of a checkpoint file on the CPU; nothing but tensors is ever unpickled.

    WeightsError when the file cannot be read or holds no state dict.
    """
    try:
        _check_sizes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint of plain tensors; "
            "give the path of a SAM checkpoint (.pth)."
        ) from error
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds no state dict; give the path of a SAM checkpoint (.pth).")
    return {
        str(name).removeprefix(PREFIX): tensor
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def _check_sizes(path: Path) -> None:
    """ValueError for an archive whose parts are larger than itself: PyTorch never compresses them."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError("a part is compressed")


def is_lite_medsam(state: Mapping[str, Tensor]) -> bool:
    """Whether the state is of LiteMedSAM's shape: a TinyViT encoder with a convolutional stem."""
    return "image_encoder.patch_embed.seq.0.c.weight" in state


def is_sam_vit(state: Mapping[str, Tensor]) -> bool:
    """Whether the state is of the shape of SAM with a plain ViT encoder, of any size."""
    return "image_encoder.pos_embed" in state and "image_encoder.neck.0.weight" in state
