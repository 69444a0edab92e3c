"""Adapter files: everything needed to segment by label name, beside the base weights themselves.

A ``.salt.safetensors`` file holds the folded thin factors of every adapted layer, the label queries, the forest,
the text embeddings and the feature scaling, and its header holds an `AdapterInfo`. Nothing in it is ever unpickled.
"""

from __future__ import annotations

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
from napari_salt.faults import FULL, advice
from napari_salt.model.adapter_header import metadata_of, seal
from napari_salt.model.adapter_info import SUFFIX, AdapterInfo, damaged, read_info
from napari_salt.model.adapters import load_adapter_state, merge
from napari_salt.model.elsewhere import as_fine, seen_alike_along
from napari_salt.model.features import Standard, tap_length
from napari_salt.model.filters import FILTERS_PER_CHANNEL
from napari_salt.model.forest import Forest
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.head import LabelHead
from napari_salt.model.likeness import Likeness
from napari_salt.model.mixing import LINEAR_SHARE
from napari_salt.model.segmenter import Segmenter
from napari_salt.model.volume_filters import VOLUME_FILTERS_PER_CHANNEL

if TYPE_CHECKING:
    from napari_salt.model.backbones.base import Backbone
    from napari_salt.model.conditions import Kin
    from napari_salt.model.other_stacks import OtherStacks
    from napari_salt.records import Label, StackInfo

__all__ = ["SUFFIX", "AdapterFile", "build_segmenter", "load_adapter", "read_info", "save_adapter"]

LAYERS = "adapter."
HEAD = "head."
FOREST = "forest."
STANDARD = "standard."
OTHER_LAYERS, OTHER_HEAD = "elsewhere_adapter.", "elsewhere_head."
OTHER_FOREST, OTHER_STANDARD = "elsewhere.", "elsewhere_standard."
"""The same for other stacks than the painted one, blind to the position along it, where there is such a head. Older
files have only a forest of their own there."""
OTHER_VOLUME_FOREST = "elsewhere_volume."
"""A forest for other stacks that sees `volume_filters`, where that for the painted stack does."""
ALIKE_FOREST = "alike."
"""A forest beside the head for the painted stack, blind to the position along it: for stacks that show things alike."""
LIKENESS = "likeness."
"""What the painted labels look like, where features tell the contrast of another stack."""
DAMAGED = "The adapter file is damaged: some of its tensors are missing or of another shape; use another copy of it."
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

    def layer_state(self, *, elsewhere: bool = False) -> dict[str, Tensor]:
        """State of the adapted layers, as `adapters.adapter_state` gave it, of the painted stack or those elsewhere."""
        return (_group(self, OTHER_LAYERS) if elsewhere else {}) or _group(self, LAYERS)

    @property
    def has_other_head(self) -> bool:
        """Whether there is a head for other stacks than the painted one."""
        return self._has(OTHER_FOREST)

    def likeness(self) -> Likeness | None:
        """What the painted labels look like, if it was measured; AdapterError where that is damaged."""
        tensors = _group(self, LIKENESS)
        if not tensors:
            return None
        try:
            return Likeness.from_tensors(
                tensors, len(self.info.intensity["low"]), tap_length(self.info.taps)
            )
        except (KeyError, ValueError) as error:
            raise AdapterError(DAMAGED) from error

    def sees_alike(self, stack: StackInfo) -> bool:
        """Whether what was learned from the painted slices alone is there for a ``stack`` that shows things alike.

        The voxels of both must be so; where nothing was learned through instruments there is no other head to avoid.
        """
        info = self.info
        if not info.instruments or info.noise is None:
            return False
        if info.along_stack and not self._has(ALIKE_FOREST):
            return False
        along = not info.volume or seen_alike_along(stack, info.spacing, info.units)
        return along and as_fine(stack, info.spacing, info.units)

    def looks_along(self, kin: Kin, stack: StackInfo) -> bool:
        """Whether the forest for a ``stack`` that is ``kin`` to the painted one sees `volume_filters`."""
        info = self.info
        if kin != "other" or not self.has_other_head:
            return info.volume
        there = self._has(OTHER_VOLUME_FOREST)
        return info.volume and there and seen_alike_along(stack, info.spacing, info.units)

    def along_stack(self, kin: Kin) -> bool:
        """Whether to look at the position along a stack that is ``kin`` to the painted one."""
        blind = kin == "alike" or (kin == "other" and self.has_other_head)
        return self.info.along_stack and not blind

    def _has(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.tensors)

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
    other: OtherStacks | None = None,
    likeness: Likeness | None = None,
) -> AdapterFile:
    """Gather a segmenter's head, the state of its adapted layers and what is for other stacks into an adapter."""
    tensors = {LAYERS + name: values for name, values in layers.items()}
    tensors |= _head_tensors(segmenter.head, HEAD, FOREST, STANDARD)
    tensors |= _tensors_for_others(other, likeness)
    return AdapterFile(info, _copied(tensors))


def repack(
    adapter: AdapterFile, info: AdapterInfo, other: OtherStacks | None, likeness: Likeness | None
) -> AdapterFile:
    """The same adapter with another description, and with this in place of what it has for other stacks."""
    kept = {name: values for name, values in adapter.tensors.items() if not _for_others(name)}
    return AdapterFile(info, kept | _copied(_tensors_for_others(other, likeness)))


def _for_others(name: str) -> bool:
    others = OTHER_LAYERS, OTHER_HEAD, OTHER_FOREST, OTHER_STANDARD, OTHER_VOLUME_FOREST
    return name.startswith((*others, ALIKE_FOREST, LIKENESS))


def _tensors_for_others(other: OtherStacks | None, likeness: Likeness | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    if other is not None:
        tensors |= {OTHER_LAYERS + name: values for name, values in other.layers.items()}
        tensors |= _head_tensors(other.head, OTHER_HEAD, OTHER_FOREST, OTHER_STANDARD)
        forests = (OTHER_VOLUME_FOREST, other.volume_forest), (ALIKE_FOREST, other.alike_forest)
        for prefix, forest in forests:
            if forest is not None:
                tensors |= {prefix + name: values for name, values in forest.tensors().items()}
    if likeness is not None:
        tensors |= {LIKENESS + name: values for name, values in likeness.tensors().items()}
    return tensors


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: values.detach().to("cpu", copy=True).contiguous() for name, values in tensors.items()
    }


def _head_tensors(
    head: LabelHead, at_head: str, at_forest: str, at_standard: str
) -> dict[str, Tensor]:
    assert head.forest is not None, "a head is packed after a fit"
    standard = head.tap_standard
    return {
        **{at_head + name: values for name, values in head.state_dict().items()},
        **{at_forest + name: values for name, values in head.forest.tensors().items()},
        at_standard + "tap_mean": standard.mean,
        at_standard + "tap_deviation": standard.deviation,
    }


def build_segmenter(
    adapter: AdapterFile,
    backbone: Backbone,
    *,
    kin: Kin = "painted",
    looks_along: bool | None = None,
) -> Segmenter:
    """The finished segmenter, with the adapter, where there is one, merged into an own copy of the backbone's tail.

    It is that for a stack of this ``kin``; "alike" only where the adapter `sees_alike`. ``looks_along`` tells whether
    its forest sees `volume_filters`, see `AdapterFile.looks_along`; None = where the painted one does.

    Raises
    ------
    AdapterError
        Other base weights, or tensors that do not fit them.
    """
    adapter.check_base(backbone)
    layers = adapter.layer_state(elsewhere=kin == "other")
    tail = backbone.make_tail() if layers else backbone.pretrained_tail()
    try:
        if layers:
            load_adapter_state(tail, layers)
            merge(tail)
        if looks_along is None:
            blind = kin == "other" and adapter.has_other_head
            looks_along = adapter.info.volume and not blind
        head = _head(adapter, kin, looks_along)
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise AdapterError(DAMAGED) from error
    return Segmenter(tail, head).eval().requires_grad_(False)


def _head(adapter: AdapterFile, kin: Kin, looks_along: bool) -> LabelHead:
    """The head for a stack of this ``kin``; errors where its tensors are not those of one."""
    info, other = adapter.info, kin == "other" and adapter.has_other_head
    at_head, at_forest, at_standard = HEAD, FOREST, STANDARD
    linear_share = info.linear_share
    if other:
        at_forest = OTHER_FOREST
        if any(name.startswith(OTHER_HEAD) for name in adapter.tensors):
            at_head, at_standard = OTHER_HEAD, OTHER_STANDARD
            linear_share = LINEAR_SHARE  # that of the painted stack was chosen for other queries
    elif kin == "alike" and info.along_stack:
        at_forest = ALIKE_FOREST
    _check_sizes(adapter, at_head, at_standard)
    embeddings = adapter.tensors[at_head + "embeddings"]
    standard = (adapter.tensors[at_standard + name] for name in ("tap_mean", "tap_deviation"))
    head = LabelHead(info.taps, embeddings, Standard(*standard), directions=info.directions)
    # between painted slices small labels come out too large; of another stack they are rather missed
    row_scale = info.row_scale if kin == "painted" else ()
    head.set_mix(linear_share, row_scale, info.record.slices)
    head.load_state_dict(_group(adapter, at_head))
    place = 3 if adapter.along_stack(kin) else 2
    volume = info.channels * VOLUME_FILTERS_PER_CHANNEL if looks_along else 0
    features = info.channels * FILTERS_PER_CHANNEL + place + info.directions + volume
    if other and looks_along:
        at_forest = OTHER_VOLUME_FOREST
    forest = Forest.from_tensors(_group(adapter, at_forest), features, len(embeddings))
    head.set_forest(forest, looks_along)
    return head


def _check_sizes(adapter: AdapterFile, at_head: str, at_standard: str) -> None:
    """ValueError where description and tensors speak of other sizes, before anything of those sizes is made."""
    info = adapter.info
    rows, length = len(info.labels) + 1, tap_length(info.taps)
    expected = {
        at_head + "text_map": (rows, length),
        at_head + "residual": (rows, length),
        at_head + "directions": (info.directions, length),
        at_standard + "tap_mean": (length,),
        at_standard + "tap_deviation": (length,),
    }
    embeddings = adapter.tensors[at_head + "embeddings"]
    sized = all(tuple(adapter.tensors[name].shape) == size for name, size in expected.items())
    told = len(info.row_scale) in (0, rows)
    if not sized or embeddings.ndim != 2 or len(embeddings) != rows or not told:
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
        save_file(dict(adapter.tensors), temporary, metadata=metadata_of(adapter.info))
        with temporary.open("r+b") as file:
            seal(file)
        temporary.chmod(0o644)  # mkstemp makes it private; an adapter is there to be shared
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        helps = advice(error)
        reason = "the disk is full" if helps == FULL else str(error)
        raise OutputError(
            f"The adapter could not be written to '{path}': {reason}; {helps or 'choose another folder'}."
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
    try:
        # copies: a tensor that lies askew in the file's memory takes other vector instructions, and other roundings
        tensors = {name: values.clone() for name, values in load_file(path).items()}
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path) from error
    if any(values.dtype not in KINDS for values in tensors.values()):
        raise damaged(path)
    if not all(
        torch.isfinite(values).all() for values in tensors.values() if values.is_floating_point()
    ):
        raise AdapterError(f"The adapter '{path}' holds values that are not numbers; adapt again.")
    return AdapterFile(info, tensors)
