"""What `fit` can leave out, fitted later: all that an adapter needs for other stacks than the painted one.

Whoever segments the stack that was painted need not wait for it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_salt.model.adapter_file import AdapterFile, build_segmenter, repack
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.batches import with_fallback
from napari_salt.model.device import pick_device, set_threads
from napari_salt.model.encode_painted import encode_painted
from napari_salt.model.encoder import Encoder
from napari_salt.model.framing import intensity_for
from napari_salt.model.input_checks import check_annotations, check_channels, check_slices
from napari_salt.model.limits import measure_limits
from napari_salt.model.other_stacks import fit_other_stacks, likeness_for_others
from napari_salt.model.progress import reports
from napari_salt.model.training_set import TrainingSet
from napari_salt.records import AnnotatedSlice, FitSettings, Planes, StepReport
from napari_salt.regions import is_large

if TYPE_CHECKING:
    import torch

    from napari_salt.model.feature_cache import FeatureCache


def extend(
    planes: Planes,
    annotated: Sequence[AnnotatedSlice],
    adapter: AdapterFile,
    settings: FitSettings,
    *,
    cache: FeatureCache | None = None,
) -> Generator[StepReport, None, AdapterFile]:
    """Fit for other stacks what `fit` has left out of an ``adapter``; on the painted stack it stays as it is.

    Parameters
    ----------
    planes, annotated
        The stack that it was fitted to, and the paint; ids that the adapter does not know are refused.
    settings
        Device, and steps for the adapter of the layers; method, sizes and intensities are those of the ``adapter``.
    cache
        Where activations are kept between jobs.

    Returns
    -------
    AdapterFile
        The same with what other stacks need.

    Raises
    ------
    InputError
        Nothing painted, an unknown id, only one kind of pixel, other shapes or channels, unknown device.
    AdapterError
        The base weights are not the adapter's.
    JobFailed
        The memory of this computer does not do.
    """
    info = adapter.info
    painted = check_annotations(planes, annotated, info.labels)
    check_slices(planes, [one.index for one in painted])
    check_channels(planes, info)
    chosen = replace(
        settings,
        kind=info.kind,
        backbone=info.backbone,
        rank=info.rank,
        low_rank=info.low_rank,
        intensity=info.intensity_choice,
        seed=info.record.seed,
        other_stacks=True,
    )

    def work(device: torch.device) -> Generator[StepReport, None, AdapterFile]:
        return _extend(planes, painted, adapter, chosen, cache, device)

    def told(message: str) -> StepReport:
        return StepReport("loading", 0, 1, message=message)

    return (yield from with_fallback(pick_device(settings.device), work, told))


def _extend(
    planes: Planes,
    painted: list[AnnotatedSlice],
    adapter: AdapterFile,
    settings: FitSettings,
    cache: FeatureCache | None,
    device: torch.device,
) -> Generator[StepReport, None, AdapterFile]:
    yield StepReport("loading", 0, 1, message="loading weights")
    info, layers = adapter.info, adapter.layer_state()
    set_threads()
    backbone = warm_backbone(info.backbone, device)
    segmenter = build_segmenter(adapter, backbone).to(device)
    encoder = Encoder(
        backbone,
        intensity_for(settings.intensity, measure_limits(planes, settings.intensity)),
        adapter.framing(),
        cache=cache,
        device=device,
        along_stack=info.along_stack,
        pretrained_tail=not (layers or is_large(planes.info)),
    )
    encoded = yield from encode_painted(encoder, planes, painted, info.labels, settings.seed)
    data = TrainingSet(
        backbone,
        encoded,
        painted,
        info.labels,
        segmenter.head.embeddings.cpu(),
        seed=settings.seed,
        device=device,
        layers=layers,
    )
    measuring = data.measure(segmenter.head.tap_standard)
    yield from reports("embedding", measuring, "sampling painted pixels")
    data.linear_share, data.row_scale = info.linear_share, info.row_scale
    other = yield from fit_other_stacks(
        data, data.samples, segmenter, encoder, planes, settings, layers=layers
    )
    likeness = yield from likeness_for_others(data, segmenter.tail, encoder, planes, settings)
    record = info.record if other is None else other.told_in(info.record, segmenter.head)
    extended = replace(
        info,
        record=record,
        instruments=other is not None and other.instruments,
        this_stack_only=False,
    )
    return repack(adapter, extended, other, likeness)
