"""Whether forests look along the stack: where pixels left out are told better by what slices beside a slice show."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from napari_salt.model import mixing, probe
from napari_salt.model.device import spare_threads
from napari_salt.model.progress import reports, reports_until, shares
from napari_salt.model.volume_filters import looks_along
from napari_salt.records import BACKGROUND, UNLABELLED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_salt.model.encoder import Encoder
    from napari_salt.model.forest import Forest
    from napari_salt.model.probe import Fitted, Samples
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.model.training_set import TrainingSet
    from napari_salt.records import AnnotatedSlice, Planes, StepReport

LOOKING = "looking at the slices beside"
FIRST_TREES = 8
"""Trees by which that is decided, a multiple of `TREES_AT_ONCE`."""
PIECES = 8
"""Pieces of a label, on the mean over labels, that a single painted slice must show."""
WORTH, WORTH_IN_ONE = 0.85, 0.95
"""Part of the squared error that may be left for it, on whole slices left out and on parts of a single one. Where it is
less that is gained, masks of other slices were as often worse as better (measured)."""


def look_along(
    data: TrainingSet,
    folds: dict[int, Fitted],
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    painted: Sequence[AnnotatedSlice],
    deadline: float | None = None,
) -> Generator[StepReport, None, dict[int, Fitted]]:
    """Let the forests see `volume_filters` where pixels left out are told better so.

    Parameters
    ----------
    data, encoder, planes, painted
        What is learned from, and what it was made of; all later fits of ``data`` do as chosen here.
    folds
        Those of `TrainingSet.fit_folds`, which do not look along the stack.
    segmenter
        Of a fit that does not either; it gets another forest where that is better.
    deadline
        `time.monotonic` at which all stays as it is.

    Returns
    -------
    dict[int, Fitted]
        The folds as chosen.
    """
    if not (looks_along(planes.info) and can_tell(painted)):
        return folds
    yield from reports("scoring", data.measure_volume(encoder, planes), LOOKING)
    assert data.volume is not None  # measured
    choosing = with_volume(data.samples, data.volume, folds, seed=data.seed, jobs=spare_threads())
    chosen = yield from reports_until(deadline, "scoring", choosing, LOOKING)
    if chosen is None:
        return folds
    data.look_along(True)
    forest = yield from reports("scoring", data.fit_forest(), LOOKING)
    segmenter.head.set_forest(forest, looks_along=True)
    return chosen


def can_tell(painted: Sequence[AnnotatedSlice]) -> bool:
    """Whether pixels left out of so many slices can tell what the slices beside are worth.

    Of a single slice parts are left out. Where they show one thing, cut at one height, all of them seem to gain (a
    tumour lost up to .07 Dice on other slices); many things are cut at many heights.
    """
    return len(painted) > 1 or shows_many_things(painted[0])


def shows_many_things(painted: AnnotatedSlice) -> bool:
    """Whether a slice is complete and shows `PIECES` pieces of each label on the mean: parts of it tell of others."""
    targets = np.asarray(painted.targets)
    labels = set(np.unique(targets).tolist()) - {UNLABELLED, BACKGROUND}
    pieces = sum(ndimage.label(targets == one)[1] for one in labels)
    return painted.complete and pieces >= PIECES * max(1, len(labels))


def with_volume(
    samples: Samples,
    volume: Tensor,
    folds: Mapping[int, Fitted],
    *,
    seed: int = 0,
    jobs: int = 1,
) -> Generator[float, None, dict[int, Fitted] | None]:
    """The ``folds`` with forests that see ``volume`` (M, V), where pixels left out are told better so; else None.

    `FIRST_TREES` of both decide. ``folds`` are those of `probe.fit_folds` on ``samples`` that have no volume, ``seed``
    and ``jobs`` as there. Yields the share done, 0..1.
    """
    seeing, known = replace(samples, volume=volume), mixing.judged(samples)
    rows, few = len(next(iter(folds.values())).bias), min(FIRST_TREES, probe.FOLD_TREES)
    each = 0.5 / len(folds)
    first: dict[int, Forest] = {}
    without = including = 0.0
    for fold, fitted in folds.items():
        inside = seeing.part(samples.fold != fold)
        growing = probe.grow_forest(inside, fitted.directions, rows, few, seed, jobs)
        first[fold] = yield from shares(growing, len(first) * each, each)
        judges = seeing.part((samples.fold == fold) & known)
        if len(judges.targets):
            seen = probe.seen_by_forest(judges, fitted.directions)
            without += _squared_error(fitted.forest.first(few), seen, judges)
            including += _squared_error(first[fold], seen, judges)
    in_one = bool((samples.slice_of == samples.slice_of[0]).all())
    if including >= (WORTH_IN_ONE if in_one else WORTH) * without:
        return None
    found: dict[int, Fitted] = {}
    for fold, fitted in folds.items():
        inside = seeing.part(samples.fold != fold)
        growing = probe.grow_forest(
            inside, fitted.directions, rows, probe.FOLD_TREES, seed, jobs, first[fold]
        )
        forest = yield from shares(growing, 0.5 + len(found) * each, each)
        found[fold] = replace(fitted, forest=forest, volume=True)
    return found


def _squared_error(forest: Forest, seen: NDArray[np.float32], samples: Samples) -> float:
    """Brier score (Brier 1950) of ``samples``, summed over the pixels that they stand for.

    A small forest is sure of what it has hardly seen: the cross entropy would look at little else.
    """
    found = torch.from_numpy(forest.probabilities(seen))
    right = F.one_hot(samples.targets, found.shape[1])
    return float((samples.weights * (found - right).square().sum(1)).sum())
