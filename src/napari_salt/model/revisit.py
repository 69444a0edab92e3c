"""The training data that an adapter was fitted to, made once more from its paint."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_salt.errors import AdapterError
from napari_salt.model.adapter_file import DAMAGED, AdapterFile, build_segmenter
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.device import set_threads
from napari_salt.model.encode_painted import encode_painted
from napari_salt.model.encoder import Encoder
from napari_salt.model.framing import intensity_for
from napari_salt.model.input_checks import check_annotations, check_channels, check_slices
from napari_salt.model.limits import measure_limits
from napari_salt.model.look_along import LOOKING
from napari_salt.model.progress import loading, reports
from napari_salt.model.training_set import TrainingSet
from napari_salt.model.volume_filters import looks_along
from napari_salt.records import AnnotatedSlice, Planes, StepReport
from napari_salt.regions import is_large

if TYPE_CHECKING:
    import torch

    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class Revisited:
    """What `fit` worked with: how slices were seen, what was drawn of them, and what came out."""

    encoder: Encoder
    data: TrainingSet
    segmenter: Segmenter


def check_paint(
    planes: Planes, annotated: Sequence[AnnotatedSlice], adapter: AdapterFile
) -> list[AnnotatedSlice]:
    """The paint that can be learned from; InputError where it, or the stack, is not what ``adapter`` knows."""
    painted = check_annotations(planes, annotated, adapter.labels)
    check_slices(planes, [one.index for one in painted])
    check_channels(planes, adapter.info)
    return painted


def revisit(
    planes: Planes,
    painted: list[AnnotatedSlice],
    adapter: AdapterFile,
    device: torch.device,
    cache: FeatureCache | None,
) -> Generator[StepReport, None, Revisited]:
    """Encode and draw as the fit of ``adapter`` did; the paint has been checked with `check_paint`.

    Raises
    ------
    AdapterError
        The base weights are not the adapter's, or it cannot have been fitted to this stack.
    """
    yield loading("loading weights")
    info, layers = adapter.info, adapter.layer_state()
    if info.volume and not looks_along(planes.info):
        raise AdapterError(DAMAGED)  # no fit to such a stack looks along it
    set_threads()
    backbone = warm_backbone(info.backbone, device)
    segmenter = build_segmenter(adapter, backbone).to(device)
    choice, seed = info.intensity_choice, info.record.seed
    encoder = Encoder(
        backbone,
        intensity_for(choice, measure_limits(planes, choice)),
        adapter.framing(),
        cache=cache,
        device=device,
        along_stack=info.along_stack,
        pretrained_tail=not (layers or is_large(planes.info)),
    )
    encoded = yield from encode_painted(encoder, planes, painted, info.labels, seed)
    data = TrainingSet(
        backbone,
        encoded,
        painted,
        info.labels,
        segmenter.head.embeddings.cpu(),
        seed=seed,
        device=device,
        layers=layers,
    )
    measuring = data.measure(segmenter.head.tap_standard)
    yield from reports("embedding", measuring, "sampling painted pixels")
    if info.volume:
        yield from reports("embedding", data.measure_volume(encoder, planes), LOOKING)
        data.look_along(True)
    data.linear_share, data.row_scale = info.linear_share, info.row_scale
    return Revisited(encoder, data, segmenter)
