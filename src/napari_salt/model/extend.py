"""What `fit` can leave out, fitted later: all that an adapter needs for other stacks than the painted one.

Whoever segments the stack that was painted need not wait for it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_salt.model.adapter_file import AdapterFile, repack
from napari_salt.model.batches import with_fallback
from napari_salt.model.device import pick_device
from napari_salt.model.other_stacks import fit_other_stacks, likeness_for_others
from napari_salt.model.progress import loading
from napari_salt.model.revisit import check_paint, revisit
from napari_salt.records import AnnotatedSlice, FitSettings, Planes, StepReport

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
    painted, info = check_paint(planes, annotated, adapter), adapter.info
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

    return (yield from with_fallback(pick_device(settings.device), work, loading))


def _extend(
    planes: Planes,
    painted: list[AnnotatedSlice],
    adapter: AdapterFile,
    settings: FitSettings,
    cache: FeatureCache | None,
    device: torch.device,
) -> Generator[StepReport, None, AdapterFile]:
    again = yield from revisit(planes, painted, adapter, device, cache)
    data, segmenter, encoder = again.data, again.segmenter, again.encoder
    info, layers = adapter.info, adapter.layer_state()
    other = yield from fit_other_stacks(
        data, data.samples, segmenter, encoder, planes, settings, layers=layers
    )
    likeness = yield from likeness_for_others(data, segmenter.tail, encoder, planes, settings)
    record = info.record if other is None else other.told_in(info.record, segmenter.head)
    extended = replace(info, record=record, this_stack_only=False)
    if other is not None:
        extended = other.described_in(extended)
    return repack(adapter, extended, other, likeness)
