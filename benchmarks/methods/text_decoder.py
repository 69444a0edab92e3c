"""Text token → SAM mask decoder, trained: how SALT and S-SAM prompt SAM, here on a frozen encoder.

The embedding of the label's name passes one affine map to a prompt token of the original decoder; map and decoder
are trained by gradient steps, each on a few (slice, label) pairs of one painted slice. The best of the labels'
sigmoids wins where it reaches one half.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from methods import Segment, Trained
from methods.frozen import embedding, filled, network
from methods.frozen import prepare as load
from napari_salt.model.label_prompts import embed_names

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

STEPS = 300
PAIRS = 4
"""Labels of a step, at most; each is a pass of its own through the decoder."""
RATE = 3e-4


class TextDecoder(nn.Module):
    """Label names as prompt tokens of a trainable copy of the original decoder."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        net = network()
        self.decoder = copy.deepcopy(net.mask_decoder).requires_grad_(True)
        text = embed_names(names)
        self.affine = nn.Linear(text.shape[1], self.decoder.transformer_dim)
        self.register_buffer("text", text)
        self.register_buffer("position", net.prompt_encoder.get_dense_pe())
        self.register_buffer("no_mask", net.prompt_encoder.no_mask_embed.weight[:, :, None, None])

    def forward(self, embedding: Tensor, which: Sequence[int]) -> Tensor:
        """Logits ``(K, 256, 256)`` of some labels in one frame, from its embedding ``(1, 256, 64, 64)``."""
        tokens = self.affine(self.text[list(which)])[:, None]
        masks, _ = self.decoder(
            image_embeddings=embedding,
            image_pe=self.position,
            sparse_prompt_embeddings=tokens,
            dense_prompt_embeddings=self.no_mask.expand(len(tokens), -1, *embedding.shape[2:]),
            multimask_output=False,
        )
        return masks[:, 0]


def prepare() -> None:
    """Load the weights, which no method is timed for."""
    load()
    embed_names(["background"])


def train(case: Case, steps: str = str(STEPS)) -> Trained:
    """Partial Dice and cross-entropy on painted pixels, AdamW with a one-cycle schedule."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    painted = set().union(*(np.unique(p.targets).tolist() for p in case.annotated))
    ids = [key for key in case.train.names if key in painted]
    net = TextDecoder([case.train.names[key] for key in ids])
    size = filled(*case.train.images.shape[1:3])
    slices = [
        (embedding(case.train, p.index), torch.from_numpy(p.targets.astype(int)))
        for p in case.annotated
    ]
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=int(steps))
    for _ in range(int(steps)):
        encoded, target = slices[int(rng.integers(len(slices)))]
        which = rng.choice(len(ids), min(PAIRS, len(ids)), replace=False)
        logits = _native(net(encoded, which), size, tuple(target.shape))
        wanted = torch.stack([(target == ids[place]).float() for place in which])
        loss = _loss(logits[:, target > 0], wanted[:, target > 0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    count = sum(p.numel() for p in parameters)
    return Trained(_segmenter(net.eval(), np.array([0, *ids], np.uint16)), count, 4 * count)


def _segmenter(net: TextDecoder, ids: NDArray[np.uint16]) -> Segment:
    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
        shape = dataset.images.shape[1:3]
        for index in slices:
            encoded = embedding(dataset, index)
            with torch.inference_mode():
                logits = _native(net(encoded, range(len(net.text))), filled(*shape), shape)
            best, which = logits.max(0)
            yield ids[torch.where(best >= 0, which + 1, 0).numpy()]

    return segment


def _native(logits: Tensor, size: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
    """Logits of the frame ``(K, 256, 256)`` at the slice's own pixels ``(K, Y, X)``."""
    filled = logits[None, :, : size[0], : size[1]]
    return functional.interpolate(filled, shape, mode="bilinear", align_corners=False)[0]


def _loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Soft Dice plus cross-entropy over the painted pixels ``(K, P)``, each label alike."""
    probability = logits.sigmoid()
    both = (probability * wanted).sum(1)
    soft = 1 - (2 * both + 1) / (probability.sum(1) + wanted.sum(1) + 1)
    return soft.mean() + functional.binary_cross_entropy_with_logits(logits, wanted)
