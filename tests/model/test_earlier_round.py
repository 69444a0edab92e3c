"""What an earlier round tells the next one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from napari_salt.model.earlier_round import EarlierRound
from napari_salt.records import FitRecord, FitSettings, Label

LABELS = [Label(1, "core"), Label(4, "rim")]
SETTINGS = FitSettings(steps=0)
RECORD = FitRecord(
    kind="salt",
    backbone="lite-medsam",
    slices=(0, 3, 6, 9),
    steps=0,
    seconds=1.0,
    trainable_parameters=1,
    kept="first fit",
    no_gain=(4, 16, -1, -1),
    mixed_at=4,
    looked_at=3,
)


def adapter(layers=(), labels=LABELS, volume=True, kind="salt", **record):
    info = SimpleNamespace(
        record=replace(RECORD, **record),
        volume=volume,
        kind=kind,
        linear_share=0.1,
        row_scale=(1.0, 0.5, 1.0),
        rank=None,
        low_rank=None,
    )
    return SimpleNamespace(
        info=info, labels=labels, layer_state=lambda elsewhere=False: dict(layers)
    )


def before(of, count, labels=LABELS, settings=SETTINGS, score_later=True):
    return EarlierRound(of, labels, count, settings, score_later=score_later)


def test_a_first_round_carries_nothing():
    first = before(None, 4)
    assert (first.score_waits, first.look_holds, first.looks_along) == (False, False, False)
    assert (first.looked_at, first.learned_from, first.layers, first.no_gain) == (4, (), {}, ())
    assert first.layers_elsewhere() == ({}, None)


def test_where_the_score_waits_forests_look_as_before_too():
    later = before(adapter(), 5)  # half as many more than the three that the look was chosen with
    assert later.score_waits
    assert later.mix == (0.1, (1.0, 0.5, 1.0))
    assert (later.mixed_at, later.looked_at, later.looks_along) == (4, 3, True)
    at_once = before(adapter(), 5, score_later=False)
    assert (at_once.score_waits, at_once.look_holds) == (False, False)
    assert (at_once.looks_along, at_once.looked_at) == (False, 5)


def test_a_look_holds_until_half_as_many_slices_more():
    def looks(count, **changes):
        return before(adapter(**changes), count, score_later=False).look_holds

    assert [looks(count) for count in (2, 3, 4, 5)] == [False, True, True, False]
    assert not looks(3, looked_at=0)
    assert not looks(3, labels=LABELS[:1])


def test_a_trial_without_gain_counts_for_its_method_and_labels():
    assert before(adapter(), 5).no_gain == RECORD.no_gain
    assert before(adapter(labels=LABELS[::-1]), 5).no_gain == RECORD.no_gain, "in any order"
    assert before(adapter(labels=LABELS[:1]), 5).no_gain == ()
    assert before(adapter(), 5, settings=replace(SETTINGS, kind="lora")).no_gain == ()


def test_layers_for_other_stacks_are_of_one_method_and_their_trial_of_one_size():
    old = adapter(layers={"a": 1})
    assert before(old, 5).layers_elsewhere() == ({"a": 1}, RECORD)
    assert before(old, 5, settings=replace(SETTINGS, rank=3)).layers_elsewhere() == ({"a": 1}, None)
    other = before(old, 5, settings=replace(SETTINGS, kind="lora"))
    assert other.layers_elsewhere() == ({}, None)


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        (SETTINGS, True),
        (replace(SETTINGS, steps=8), False),
        (replace(SETTINGS, steps=8, kind="none"), True),
    ],
)
def test_a_score_does_not_wait_where_steps_are_asked_for(settings, waits):
    assert before(adapter(), 4, settings=settings).score_waits == waits


def test_nor_where_layers_were_adapted():
    assert not before(adapter(layers={"a": 1}), 4).score_waits
