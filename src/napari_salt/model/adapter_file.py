"""Adapter files: everything needed to segment by label name, beside the base weights themselves.

A ``.salt.safetensors`` file holds the folded thin factors of every adapted layer, the label queries, the forest,
the text embeddings and the feature scaling, and its header holds an `AdapterInfo`. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_salt.errors import AdapterError, OutputError
from napari_salt.model.adapter_info import HEADER_KEY, SUFFIX, AdapterInfo, read_info
from napari_salt.model.adapters import load_adapter_state, merge
from napari_salt.model.features import Standard, tap_length
from napari_salt.model.filters import FILTERS_PER_CHANNEL
from napari_salt.model.forest import Forest
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.head import LabelHead
from napari_salt.model.segmenter import Segmenter

if TYPE_CHECKING:
    from napari_salt.model.backbones.base import Backbone
    from napari_salt.records import Label

__all__ = ["SUFFIX", "AdapterFile", "build_segmenter", "load_adapter", "read_info", "save_adapter"]

LAYERS = "adapter."
HEAD = "head."
FOREST, ELSEWHERE = "forest.", "elsewhere."
"""The forest, and the one that does not look at the position along the stack, where there is one."""
STANDARD = "standard."
KINDS = (
    *(torch.float32, torch.float16, torch.bfloat16),
    *(torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
)
"""What the tensors of a file may hold."""


@dataclass(frozen=True, eq=False)
class AdapterFile:
    """An adapter in memory: its description, and CPU tensors by name."""

    info: AdapterInfo
    tensors: Mapping[str, Tensor]

    @property
    def labels(self) -> tuple[Label, ...]:
        """Trained labels, in the order of the head's rows 1, 2, …"""
        return self.info.labels

    def label_embeddings(self) -> Tensor:
        """Unit text embeddings (K, E) of the trained label names."""
        return self.tensors[HEAD + "embeddings"][1:]

    def layer_state(self) -> dict[str, Tensor]:
        """State of the adapted layers, as `adapters.adapter_state` gave it."""
        return _group(self, LAYERS)

    def along_stack(self, elsewhere: bool) -> bool:
        """Whether to look at the position along a stack that is the painted one or is ``elsewhere``."""
        has_other = any(name.startswith(ELSEWHERE) for name in self.tensors)
        return self.info.along_stack and not (elsewhere and has_other)

    def check_base(self, backbone: Backbone) -> None:
        """AdapterError with both hashes when ``backbone`` has other base weights."""
        if backbone.weights_sha256 != self.info.weights_sha256:
            raise AdapterError(
                f"This adapter belongs to the base weights '{self.info.backbone}' with SHA-256 "
                f"{self.info.weights_sha256}, but '{backbone.name}' has {backbone.weights_sha256}; "
                "use the backbone it was trained on."
            )

    def framing(self) -> Framing:
        """How slices meet the network."""
        return Framing(self.info.frame_size, self.info.zoom, self.info.fine)

    def trained_intensity(self) -> Intensity:
        """Intensity scale of the stack it was trained on."""
        kept = self.info.intensity
        return Intensity(tuple(kept["low"]), tuple(kept["high"]), kept["method"])


def _group(adapter: AdapterFile, prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): values
        for name, values in adapter.tensors.items()
        if name.startswith(prefix)
    }


def pack(
    segmenter: Segmenter,
    layers: Mapping[str, Tensor],
    info: AdapterInfo,
    elsewhere: Forest | None = None,
) -> AdapterFile:
    """Gather a segmenter's head, the state of its adapted layers and a forest for other stacks into an adapter."""
    head = segmenter.head
    assert head.forest is not None, "a segmenter is packed after a fit"
    tensors = {LAYERS + name: values for name, values in layers.items()}
    tensors |= {HEAD + name: values for name, values in head.state_dict().items()}
    tensors |= {FOREST + name: values for name, values in head.forest.tensors().items()}
    if elsewhere is not None:
        tensors |= {ELSEWHERE + name: values for name, values in elsewhere.tensors().items()}
    tensors |= {
        STANDARD + "tap_mean": head.tap_standard.mean,
        STANDARD + "tap_deviation": head.tap_standard.deviation,
    }
    copies = {
        name: values.detach().to("cpu", copy=True).contiguous() for name, values in tensors.items()
    }
    return AdapterFile(info, copies)


def build_segmenter(
    adapter: AdapterFile, backbone: Backbone, *, along_stack: bool | None = None
) -> Segmenter:
    """The finished segmenter, with the adapter merged into an own copy of the backbone's tail.

    ``along_stack`` False takes the forest for other stacks; None the one that the adapter was scored with.

    Raises
    ------
    AdapterError
        Other base weights, or tensors that do not fit them.
    """
    adapter.check_base(backbone)
    info = adapter.info
    tail = backbone.make_tail()
    try:
        load_adapter_state(tail, adapter.layer_state())
        merge(tail)
        embeddings = adapter.tensors[HEAD + "embeddings"]
        _check_sizes(adapter, embeddings)
        head = LabelHead(
            info.taps,
            embeddings,
            Standard(
                adapter.tensors[STANDARD + "tap_mean"], adapter.tensors[STANDARD + "tap_deviation"]
            ),
            directions=info.directions,
        )
        head.set_mix(info.linear_share, info.row_scale)
        head.load_state_dict(_group(adapter, HEAD))
        along = info.along_stack if along_stack is None else along_stack
        group = FOREST if along == info.along_stack else ELSEWHERE
        features = info.channels * FILTERS_PER_CHANNEL + (3 if along else 2) + info.directions
        head.forest = Forest.from_tensors(_group(adapter, group), features, len(embeddings))
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise AdapterError(
            "The adapter file is damaged: some of its tensors are missing or of another shape; "
            "use another copy of it."
        ) from error
    return Segmenter(tail, head).eval().requires_grad_(False)


def _check_sizes(adapter: AdapterFile, embeddings: Tensor) -> None:
    """ValueError where description and tensors speak of other sizes, before anything of those sizes is made."""
    info = adapter.info
    rows, length = len(info.labels) + 1, tap_length(info.taps)
    found = [
        tuple(adapter.tensors[name].shape)
        for name in (HEAD + "text_map", HEAD + "residual", HEAD + "directions")
    ]
    expected = [(rows, length), (rows, length), (info.directions, length)]
    told = len(info.row_scale) in (0, rows)
    if found != expected or embeddings.ndim != 2 or len(embeddings) != rows or not told:
        raise ValueError("sizes")


def save_adapter(path: str | Path, adapter: AdapterFile) -> None:
    """Write to a temporary name and rename, so that a reader never sees half a file.

    Raises
    ------
    OutputError
        The folder is missing, not writable, or the disk is full; an older file stays as it was.
    """
    path = Path(path)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        save_file(dict(adapter.tensors), temporary, metadata={HEADER_KEY: adapter.info.to_json()})
        temporary.chmod(0o644)  # mkstemp makes it private; an adapter is there to be shared
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space" in str(error)
        reason = "the disk is full" if full else str(error)
        raise OutputError(
            f"The adapter could not be written to '{path}': {reason}; free some space or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)  # gone already where the renaming went well


def load_adapter(path: str | Path) -> AdapterFile:
    """Read an adapter file.

    Raises
    ------
    AdapterError
        Missing, damaged, or not an adapter of napari-salt.
    """
    info = read_info(path)
    damaged = AdapterError(
        f"The adapter '{path}' is damaged and cannot be read; use another copy of it."
    )
    try:
        # copies: a tensor that lies askew in the file's memory takes other vector instructions, and other roundings
        tensors = {name: values.clone() for name, values in load_file(path).items()}
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise damaged from error
    if any(values.dtype not in KINDS for values in tensors.values()):
        raise damaged
    if not all(
        torch.isfinite(values).all() for values in tensors.values() if values.is_floating_point()
    ):
        raise AdapterError(f"The adapter '{path}' holds values that are not numbers; adapt again.")
    return AdapterFile(info, tensors)
