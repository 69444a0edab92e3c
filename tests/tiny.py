"""A real network small enough for hundreds of slices in a test: a SAM of two blocks on frames of 64 pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

from napari_salt.engine.requests import AdaptRequest
from napari_salt.engine.tasks import finish, run_task
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label
from napari_salt.session.stack import Stack

LABELS = (Label(1, "disk", (1.0, 0.0, 0.0, 1.0)), Label(2, "box", (0.0, 1.0, 0.0, 1.0)))


def write_checkpoint(path: Path) -> Path:
    """Random weights, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Sam(
            ImageEncoderViT(
                img_size=64,
                embed_dim=16,
                depth=2,
                num_heads=2,
                out_chans=256,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=3,
                global_attn_indexes=(1,),
            ),
            PromptEncoder(256, (4, 4), (64, 64), 16),
            MaskDecoder(
                transformer_dim=256,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
                ),
            ),
        )
    torch.save(network.state_dict(), path)
    return path


def shapes(count: int, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A grey stack ``(N, Y, X)`` of a disk and a box on noise, and their labels."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((count, side, side), np.uint8)
    for index in range(count):
        labels[index][(rows - 8) ** 2 + (columns - 6 - index % 5) ** 2 < 20] = 1
        labels[index][14 : 20 + index % 3, 10:20] = 2
    image = np.array([20, 110, 200], np.uint8)[labels] + random.integers(0, 40, labels.shape)
    return image.astype(np.uint8), labels


def adapt(stack: Stack, labels: np.ndarray, checkpoint: Path, out: Path) -> Path:
    """An adapter of kind none from two slices."""
    painted = []
    for index in (1, len(labels) - 2):
        targets = np.where(labels[index] > 0, labels[index], BACKGROUND).astype(np.uint16)
        painted.append(AnnotatedSlice(index, targets, complete=True))
    settings = FitSettings(
        kind="none", backbone=str(checkpoint), steps=0, device="cpu", other_stacks=False
    )
    finish(run_task(AdaptRequest(tuple(painted), LABELS, settings, out), stack))
    return out


def write_work(folder: Path, count: int = 300) -> None:
    """tiny.pth, image.tif, labels.tif and a.salt.safetensors."""
    checkpoint = write_checkpoint(folder / "tiny.pth")
    image, labels = shapes(count)
    for name, stack in (("image", image), ("labels", labels)):
        tifffile.imwrite(folder / f"{name}.tif", stack, photometric="minisblack")
    adapt(Stack(image), labels, checkpoint, folder / "a.salt.safetensors")
