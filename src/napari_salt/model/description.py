"""What an adapter says of itself, gathered from a fit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_salt import __version__
from napari_salt.model.adapter_info import AdapterInfo
from napari_salt.model.elsewhere import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_salt.intensity import Limits
    from napari_salt.model.encoder import Encoder
    from napari_salt.model.head import LabelHead
    from napari_salt.records import (
        AdapterKind,
        FitRecord,
        FitSettings,
        IntensityChoice,
        Label,
        StackInfo,
    )


def describe(
    stack: StackInfo,
    limits: Limits,
    labels: Sequence[Label],
    encoder: Encoder,
    head: LabelHead,
    settings: FitSettings,
    record: FitRecord,
    *,
    kind: AdapterKind,
    areas_told: bool,
) -> AdapterInfo:
    """The description of what was fitted to a stack of these ``limits``, with layers adapted by ``kind``."""
    identity = encoder.backbone.identity
    return AdapterInfo(
        labels=tuple(labels),
        backbone=identity.name,
        architecture=identity.architecture,
        weights_sha256=identity.weights_sha256,
        kind=kind,
        rank=settings.rank,
        low_rank=settings.low_rank,
        intensity=_intensity(encoder, settings.intensity, limits),
        stack=fingerprint(stack, limits),
        channels=stack.channels,
        rgb=stack.rgb,
        frame_size=encoder.framing.frame_size,
        zoom=encoder.framing.zoom,
        fine=encoder.framing.detail_ratio(*stack.shape[1:]),
        along_stack=encoder.along_stack,
        volume=head.looks_along,
        directions=len(head.directions),
        linear_share=head.linear_share,
        row_scale=head.row_scale,
        areas_told=areas_told,
        this_stack_only=not settings.other_stacks,
        taps=head.taps,
        text_model=settings.text_model,
        record=record,
        spacing=stack.spacing,
        units=stack.units,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def _intensity(encoder: Encoder, choice: IntensityChoice, limits: Limits) -> dict[str, Any]:
    """What the adapter tells of it, see `AdapterInfo.intensity`."""
    scale = encoder.intensity
    told = {"method": scale.method, "low": list(scale.low), "high": list(scale.high)}
    if choice.method == "percentile":
        return told | {"percentiles": [choice.low, choice.high]}
    return told | {"least": list(limits.least), "most": list(limits.most)}
