"""Blocks of TinyViT run strip by strip, for inference on a CPU.

The modules of the network make arrays of up to 64 MB for each operation. Memory that large comes fresh from the
operating system every time, one page fault after another, and has left the processor's caches before the next
operation reads it. Here the same operations run on a strip of rows (or a few windows, or tokens) at a time, through to
the block's output. The results differ from the modules' by float32 rounding alone, a few millionths of the largest
value. Nothing here can be differentiated or adapted; the tail keeps its modules.

Maps are (B, H, W, C) throughout; tokens (B, H·W, C) are the same memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

STRIP_BYTES = 4 * 1024**2
"""Size of the widest array inside a strip; 1 to 8 MB were equally fast where it was measured, 12 MB slower."""
FLOAT_BYTES = 4
FUSED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether oneDNN can add the bias and apply GELU while a product is written; what torch.compile calls, not public."""
FEWEST_ROWS = 4


def patch_embed(module: Any, frames: Tensor) -> Tensor:
    """``PatchEmbed`` of 1 x 1 convolutions: (B, 3, S, S) → (B, S, S, C)."""
    first, _, last = module.seq
    x = frames.permute(0, 2, 3, 1)
    strips = _strips(x.shape[1], _row_bytes(x, last))
    return torch.cat([_linear(_linear_gelu(x[:, a:b], first), last) for a, b in strips], 1)


def conv_block(block: Any, x: Tensor) -> Tensor:
    """``MBConv``: (B, H, W, C) → the same."""
    out = torch.empty_like(x)
    for a, b in _strips(x.shape[1], _row_bytes(x, block.conv1)):
        # one row more on either side for the 3 x 3 convolution
        low, high = max(0, a - 1), min(x.shape[1], b + 1)
        inner = _depthwise(_linear_gelu(x[:, low:high], block.conv1), block.conv2)
        rows = functional.gelu(inner[:, a - low : b - low])
        out[:, a:b] = functional.gelu(_linear(rows, block.conv3).add_(x[:, a:b]))
    return out


def merging(module: Any, x: Tensor) -> Tensor:
    """``PatchMerging``: (B, H, W, C) → (B, ⌈H/s⌉, ⌈W/s⌉, C'), s its stride of 1 or 2."""
    stride = module.conv2.stride[0]
    out = []
    for a, b in _strips(x.shape[1], _row_bytes(x, module.conv1)):
        # strips and their margins begin at even rows, so that the stride keeps its phase
        low, high = max(0, a - 2), min(x.shape[1], b + 1)
        inner = _depthwise(_linear_gelu(x[:, low:high], module.conv1), module.conv2)
        first, count = (a - low) // stride, -(-(b - a) // stride)
        rows = functional.gelu(inner[:, first : first + count])
        out.append(_linear(rows, module.conv3))
    return torch.cat(out, 1)


def attention_block(block: Any, x: Tensor) -> Tensor:
    """``TinyViTBlock``: attention in windows, a depthwise convolution, and two layers a token; (B, H, W, C)."""
    batch, height, width, channels = x.shape
    side = block.window_size
    down, right = -(-height // side), -(-width // side)
    padded = functional.pad(x, (0, 0, 0, right * side - width, 0, down * side - height))
    grid = (batch, down, side, right, side, channels)
    windows = padded.view(grid).transpose(2, 3).reshape(-1, side * side, channels)
    windows = _attention(block.attn, windows).view(batch, down, right, side, side, channels)
    mixed = windows.transpose(2, 3).reshape(padded.shape)[:, :height, :width]
    local = _depthwise(x + mixed, block.local_conv)
    return _token_layers(block.mlp, local.reshape(-1, channels)).view(x.shape)


def _attention(module: Any, windows: Tensor) -> Tensor:
    """``Attention`` of (windows, tokens, C), a few windows at a time."""
    count, tokens, _ = windows.shape
    out = torch.empty_like(windows)
    step = max(1, STRIP_BYTES // (tokens * module.qkv.out_features * FLOAT_BYTES))
    for start in range(0, count, step):
        here = windows[start : start + step]
        mixed = _linear(module.norm(here), module.qkv)
        heads = mixed.view(len(here), tokens, module.num_heads, -1).transpose(1, 2)
        query, key, value = heads.split([module.key_dim, module.key_dim, module.d], dim=3)
        # in eval mode the module keeps the biases of all pairs of tokens in a table
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=module.ab[None], scale=module.scale
        )
        joined = found.transpose(1, 2).reshape(len(here), tokens, module.dh)
        out[start : start + step] = _linear(joined, module.proj)
    return out


def _token_layers(module: Any, tokens: Tensor) -> Tensor:
    """``tokens`` (M, C) plus ``Mlp`` of them."""
    out = torch.empty_like(tokens)
    step = max(1, STRIP_BYTES // (module.fc1.out_features * FLOAT_BYTES))
    for start in range(0, len(tokens), step):
        here = tokens[start : start + step]
        inner = _linear_gelu(module.norm(here), module.fc1)
        out[start : start + step] = _linear(inner, module.fc2).add_(here)
    return out


def _strips(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) row of each strip; all but the last have an even number of rows."""
    step = max(FEWEST_ROWS, STRIP_BYTES // row_bytes // 2 * 2)
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


def _row_bytes(x: Tensor, widest: nn.Conv2d) -> int:
    """Bytes of one row of all frames of ``x`` after the convolution ``widest``."""
    return x.shape[0] * x.shape[2] * widest.out_channels * FLOAT_BYTES


def _linear(x: Tensor, layer: Any, then: str = "none") -> Tensor:
    """A Linear, or a 1 x 1 convolution, along the last axis."""
    weight = layer.weight.flatten(1)
    if FUSED:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, layer.bias, then, [], "none")
        return found
    plain = functional.linear(x, weight, layer.bias)
    return functional.gelu(plain) if then == "gelu" else plain


def _linear_gelu(x: Tensor, layer: Any) -> Tensor:
    return _linear(x, layer, then="gelu")


def _depthwise(x: Tensor, layer: nn.Conv2d) -> Tensor:
    maps: Tensor = layer(x.permute(0, 3, 1, 2))
    return maps.permute(0, 2, 3, 1)
