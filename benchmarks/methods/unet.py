"""A small U-Net from scratch (MONAI): what deep learning does without a pretrained encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from methods import Segment, Trained
from methods.painted import unit_intensity
from napari_salt.records import BACKGROUND

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

STEPS = 300
BATCH = 4
CROP = 160
STRIDE = 16
"""Side lengths are padded to a multiple of this."""


def train(case: Case, steps: str = str(STEPS)) -> Trained:
    """Random crops, flips and contrasts; cross-entropy over painted pixels, weighted against rare labels."""
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ids = sorted(set().union(*(np.unique(p.targets).tolist() for p in case.annotated)) - {0})
    lookup = np.full(65536, -1)
    lookup[ids] = range(len(ids))
    unit = unit_intensity(case.train)
    images = [_channels_first(unit(paint.index)) for paint in case.annotated]
    targets = [torch.from_numpy(lookup[paint.targets]) for paint in case.annotated]
    counts = np.sum([np.bincount(t[t >= 0], minlength=len(ids)) for t in targets], axis=0)
    weights = torch.tensor(counts.max() / counts, dtype=torch.float32).sqrt()
    channels = len(images[0])
    net = UNet(
        2,
        channels,
        len(ids),
        (16, 32, 64, 128, 128),
        (2, 2, 2, 2),
        num_res_units=2,
        norm="instance",
    )
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=int(steps))
    for _ in range(int(steps)):
        crops = [_crop(images, targets, rng) for _ in range(BATCH)]
        logits = net(torch.stack([image for image, _ in crops]))
        target = torch.stack([target for _, target in crops])
        if not (target >= 0).any():
            continue
        loss = functional.cross_entropy(logits, target, weights, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    parameters = sum(p.numel() for p in net.parameters())
    back = np.array([0 if value == BACKGROUND else value for value in ids], np.uint16)
    return Trained(_segmenter(net.eval(), back), parameters, 4 * parameters)


def _segmenter(net: nn.Module, ids: NDArray[np.uint16]) -> Segment:
    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
        unit = unit_intensity(dataset)
        for index in slices:
            image = _channels_first(unit(index))
            rows, columns = image.shape[1:]
            with torch.inference_mode():
                logits = net(_padded(image, -rows % STRIDE, -columns % STRIDE)[None])
            yield ids[logits[0, :, :rows, :columns].argmax(0).numpy()]

    return segment


def _channels_first(plane: NDArray[np.float32]) -> Tensor:
    image = torch.from_numpy(plane)
    return image[None] if image.ndim == 2 else image.permute(2, 0, 1)


def _padded(image: Tensor, rows: int, columns: int) -> Tensor:
    return functional.pad(image[None], (0, columns, 0, rows), mode="replicate")[0]


def _crop(
    images: list[Tensor], targets: list[Tensor], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """One random square of one painted slice, perhaps mirrored, its contrast changed."""
    which = int(rng.integers(len(images)))
    image, target = images[which], targets[which]
    short = [max(0, CROP - size) for size in target.shape]
    image = _padded(image, *short)
    target = functional.pad(target, (0, short[1], 0, short[0]), value=-1)
    y, x = (int(rng.integers(size - CROP + 1)) for size in target.shape)
    image, target = image[:, y : y + CROP, x : x + CROP], target[y : y + CROP, x : x + CROP]
    if rng.random() < 0.5:
        image, target = image.flip(-1), target.flip(-1)
    image = image.clamp(min=0) ** float(np.exp(rng.uniform(-0.3, 0.3)))
    return image + float(rng.uniform(-0.05, 0.05)), target
