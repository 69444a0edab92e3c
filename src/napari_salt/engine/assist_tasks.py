"""Tasks of the box tool: look at a slice ahead of time, answer a box with a mask."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from napari_salt.engine.requests import AssistMask, BoxRequest, EmbedRequest
from napari_salt.records import Planes, StepReport

if TYPE_CHECKING:
    from napari_salt.model.assist import Assistant


def embed(request: EmbedRequest, planes: Planes) -> Generator[StepReport | None, None, None]:
    """Embed one slice; nothing comes back, the engine keeps it."""
    yield StepReport("loading", 0, 0, message="Loading the network")
    assistant = _assistant(request, planes)
    yield StepReport("embedding", 0, 1)
    assistant.embed()


def box_mask(request: BoxRequest, planes: Planes) -> Generator[AssistMask, None, None]:
    """Masks of one box, the first one quick, a better one after it where there is one."""
    for mask in _assistant(request, planes).masks(request.box):
        yield AssistMask(request.index, mask)


def _assistant(request: EmbedRequest | BoxRequest, planes: Planes) -> Assistant:
    from napari_salt.model.assist import Assistant, intensity_of
    from napari_salt.model.backbones.registry import warm_backbone
    from napari_salt.model.device import pick_device

    backbone = warm_backbone(request.backbone, pick_device(request.device))
    intensity = intensity_of(planes, request.stack_key, request.intensity)
    return Assistant(backbone, planes.plane(request.index), intensity)
