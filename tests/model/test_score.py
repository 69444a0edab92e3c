"""A later round's score may come after its masks, and is the one that the fit would have told of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.errors import InputError
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.earlier_round import EarlierRound
from napari_salt.model.fit import fit
from napari_salt.model.other_stacks import FITTING
from napari_salt.model.predict import predict
from napari_salt.model.score import LATER_NOTE, NO_SCORE_NOTE, score, scored
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label

pytestmark = pytest.mark.usefixtures("same_random_state", "small_network")

SETTINGS = FitSettings(device="cpu", other_stacks=False)
LABELS = [Label(1, "square"), Label(4, "frame")]
SLICES, MORE = (0, 2, 4), (0, 2, 4, 6)


@pytest.fixture
def stack(planes_of):
    rng = np.random.default_rng(0)
    truth = np.full((8, 32, 32), BACKGROUND, np.uint16)
    truth[:, 20:28, 2:30] = 4
    for index, one in enumerate(truth):
        one[2 + index : 12 + index, 6:20] = 1
    image = 300 + 400 * (truth == 1) + 200 * (truth == 4) + rng.normal(0, 90, truth.shape)
    return planes_of(image.astype(np.float32)), truth


def paint(truth, slices):
    return [AnnotatedSlice(index, truth[index], complete=True) for index in slices]


@pytest.fixture
def first(stack):
    planes, truth = stack
    return run(fit(planes, paint(truth, SLICES), LABELS, SETTINGS))[0]


def second(stack, init, *, settings=SETTINGS, slices=MORE, labels=LABELS, score_later=True):
    planes, truth = stack
    fitting = fit(
        planes, paint(truth, slices), labels, settings, init=init, score_later=score_later
    )
    return run(fitting)


def without_seconds(record):
    return replace(record, seconds=0.0)


def test_a_first_round_is_scored_at_once(stack, first):
    assert not first.score_waits
    assert first.record.mixed_at == 3
    assert 0 < first.record.held_out_before < 1
    planes, truth = stack
    fitting = fit(planes, paint(truth, SLICES), LABELS, SETTINGS, score_later=True)
    at_once, _ = run(fitting)
    assert without_seconds(at_once.record) == without_seconds(first.record)


def test_the_score_of_a_fit_is_found_again(stack, first, tmp_path):
    planes, truth = stack
    path = tmp_path / "a.salt.safetensors"
    save_adapter(path, first.adapter)
    record, reports = run(score(planes, paint(truth, SLICES), load_adapter(path), SETTINGS))
    assert record == first.record
    assert {report.phase for report in reports} >= {"loading", "scoring"}


def test_a_second_round_leaves_its_score_for_later_and_keeps_the_mix(stack, first):
    mix = 0.1, (1.0, 0.5, 0.25)
    info = replace(first.adapter.info, linear_share=mix[0], row_scale=mix[1])
    outcome, reports = second(stack, replace(first.adapter, info=info))
    assert outcome.score_waits
    assert outcome.record == outcome.adapter.info.record
    assert outcome.record.score_note == LATER_NOTE
    assert outcome.record.held_out_before is outcome.record.held_out_after is None
    assert outcome.record.held_out_by_label == ()
    assert outcome.record.mixed_at == 3, "and not 4: it is as old as it was"
    assert (outcome.adapter.info.linear_share, outcome.adapter.info.row_scale) == mix
    scoring = [one for one in reports if getattr(one, "phase", "") == "scoring"]
    assert {one.message for one in scoring} == {FITTING}, "nothing but what other stacks need"


def test_but_for_mix_and_score_it_is_the_same_round(stack, first):
    at_once, _ = second(stack, first.adapter, score_later=False)
    assert not at_once.score_waits
    assert at_once.record.mixed_at == 4
    mixed = at_once.adapter.info
    info = replace(first.adapter.info, linear_share=mixed.linear_share, row_scale=mixed.row_scale)
    later, _ = second(stack, replace(first.adapter, info=info))
    assert later.adapter.tensors.keys() == at_once.adapter.tensors.keys()
    assert all(
        torch.equal(values, at_once.adapter.tensors[name])
        for name, values in later.adapter.tensors.items()
    )
    planes, truth = stack
    record, _ = run(score(planes, paint(truth, MORE), later.adapter, SETTINGS))
    assert without_seconds(replace(record, mixed_at=4)) == without_seconds(at_once.record)
    masks = [
        [one.labels for one in predict(planes, outcome.adapter, [1, 5]) if one is not None]
        for outcome in (later, at_once)
    ]
    assert all(map(np.array_equal, *masks))


def test_a_first_look_is_mixed_as_the_round_before(stack, first):
    planes, truth = stack
    info = replace(first.adapter.info, linear_share=0.0)
    fitting = fit(
        planes,
        paint(truth, MORE),
        LABELS,
        SETTINGS,
        init=replace(first.adapter, info=info),
        preview=3,
        score_later=True,
    )
    _, reports = run(fitting)
    looks = [report.adapter for report in reports if hasattr(report, "adapter")]
    assert [one.info.linear_share for one in looks] == [0.0, 0.0]


@pytest.mark.parametrize(
    "change",
    [
        {"slices": (0, 1, 2, 4, 6)},  # half as many more
        {"settings": replace(SETTINGS, steps=1)},
        {"labels": [LABELS[0], Label(4, "rim")]},
        {"slices": (0, 2)},
    ],
)
def test_a_round_of_another_kind_is_scored_at_once(stack, first, change):
    outcome, _ = second(stack, first.adapter, **change)
    assert not outcome.score_waits
    assert outcome.record.mixed_at == len(change.get("slices", MORE))
    assert outcome.record.score_note != LATER_NOTE


def test_it_holds_until_half_as_many_slices_more(first):
    def holds(count, **changed):
        info = first.adapter.info
        record = replace(info.record, **changed)
        init = replace(first.adapter, info=replace(info, record=record))
        return EarlierRound(init, LABELS, count, SETTINGS, score_later=True).score_waits

    assert [holds(count) for count in (2, 3, 4, 5)] == [False, True, True, False]
    assert not holds(4, mixed_at=0), "an adapter of an older version does not say"
    assert not holds(1, mixed_at=1), "nothing is left out of a single slice"


def test_an_adapted_network_is_judged_at_once(stack):
    planes, truth = stack
    settings = replace(SETTINGS, steps=1)
    outcome, _ = run(fit(planes, paint(truth, SLICES), LABELS, settings))
    assert outcome.adapter.layer_state(), "with few slices steps are taken without a trial"
    later = EarlierRound(outcome.adapter, LABELS, 3, SETTINGS, score_later=True)
    assert not later.score_waits


def test_where_nothing_could_be_left_out_the_record_says_so(first):
    record = scored(first.record, {}, LABELS)
    assert record.held_out_after is None
    assert record.score_note == NO_SCORE_NOTE


def test_what_cannot_be_scored_is_refused_before_work_starts(stack, first):
    planes, truth = stack
    with pytest.raises(InputError, match="unknown label id 9"):
        next(score(planes, paint(np.where(truth == 4, 9, truth), SLICES), first.adapter, SETTINGS))
    with pytest.raises(InputError, match="paint at least one slice"):
        next(score(planes, [], first.adapter, SETTINGS))
