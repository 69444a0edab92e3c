"""The held-out score of a round, made up for later: fits without some of the slices take longer than the fit itself.

A later round need not wait for it. What such fits decide beside, how queries and forest are mixed, is taken from the
round before until there are half as many painted slices more.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_salt.model.batches import with_fallback
from napari_salt.model.device import pick_device
from napari_salt.model.progress import loading, reports
from napari_salt.model.revisit import check_paint, revisit
from napari_salt.model.tuning import mean_dice
from napari_salt.records import (
    AnnotatedSlice,
    FitRecord,
    FitSettings,
    Label,
    Planes,
    StepReport,
)

if TYPE_CHECKING:
    import torch

    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.model.feature_cache import FeatureCache

LATER_NOTE = "Not scored yet: the masks of this round come first."
NO_SCORE_NOTE = "No slice could be held out that is new to the network: no score."


def score(
    planes: Planes,
    annotated: Sequence[AnnotatedSlice],
    adapter: AdapterFile,
    settings: FitSettings,
    *,
    cache: FeatureCache | None = None,
) -> Generator[StepReport, None, FitRecord]:
    """Score an ``adapter`` that `fit` has left without: on each painted slice a fit is judged that has not seen it.

    Parameters
    ----------
    planes, annotated
        The stack that it was fitted to, and the paint as it was then.
    settings
        Only the device has a say.
    cache
        Where activations are kept between jobs.

    Returns
    -------
    FitRecord
        The adapter's with what `fit` would have told of the score.

    Raises
    ------
    InputError
        Nothing painted, an unknown id, only one kind of pixel, other shapes or channels, unknown device.
    AdapterError
        The base weights are not the adapter's.
    JobFailed
        The memory of this computer does not do.
    """
    painted = check_paint(planes, annotated, adapter)

    def work(device: torch.device) -> Generator[StepReport, None, FitRecord]:
        data = (yield from revisit(planes, painted, adapter, device, cache)).data
        folds = yield from reports("scoring", data.fit_folds())
        return scored(adapter.info.record, data.score(data.mixed(folds)), adapter.labels)

    return (yield from with_fallback(pick_device(settings.device), work, loading))


def scored(record: FitRecord, scores: dict[int, float], labels: Sequence[Label]) -> FitRecord:
    """The record of a first fit with the held-out Dice of each row of the head."""
    return replace(
        record,
        held_out_before=mean_dice(scores),
        held_out_after=mean_dice(scores),
        held_out_by_label=named(scores, labels),
        score_note="" if scores else NO_SCORE_NOTE,
    )


def named(scores: dict[int, float], labels: Sequence[Label]) -> tuple[tuple[str, float], ...]:
    """Scores by row of the head as scores by label name."""
    return tuple((labels[row - 1].name, round(dice, 4)) for row, dice in scores.items())
