from __future__ import annotations

import pytest

from napari_salt import wording
from napari_salt.records import FitRecord, Round, StackInfo, StepReport


def record(**changes):
    values = {
        "kind": "salt",
        "backbone": "lite-medsam",
        "slices": (3, 8),
        "steps": 150,
        "seconds": 41.2,
        "trainable_parameters": 12_345,
        "kept": "adapted",
        "held_out_before": 0.85,
        "held_out_after": 0.912,
    }
    return FitRecord(**{**values, **changes})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (9.4, "9 s"), (59.7, "1 min"), (80, "1 min 20 s"), (3900, "1 h 5 min")],
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ((4,), "slice 4"),
        ((4, 5, 6), "slices 4 to 6"),
        ((4, 6, 9), "3 slices from 4 to 9"),
    ],
)
def test_slices(indices, text):
    assert wording.slices(indices) == text


@pytest.mark.parametrize(("count", "text"), [(640_000, "640 kB"), (1_234_567, "1.2 MB")])
def test_size(count, text):
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (StepReport("loading", 0, 1), "loading weights…"),
        (StepReport("embedding", 3, 5), "embedding 3/5"),
        (StepReport("adapting", 84, 150, 0.3, 9.2), "adapting 84/150 (9 s left)"),
        (StepReport("loading", 0, 0, message="Loading the network"), "loading the network…"),
        (
            StepReport("segmenting", 61, 152, message="now on the CPU"),
            "segmenting 61/152 · now on the CPU",
        ),
    ],
)
def test_report(report, text):
    assert wording.report(report) == text


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (StackInfo((152, 233, 197), units=("mm",) * 3), "152 slices · 233 × 197 · 1 mm"),
        (
            StackInfo((9, 4, 5), spacing=(2.0, 0.5, 0.5), units=("um",) * 3),
            "9 slices · 4 × 5 · 2 × 0.5 × 0.5 µm",
        ),
        (StackInfo((1, 4, 5), channels=3, rgb=True), "1 slice · 4 × 5 · colour"),
        (
            StackInfo((7, 4, 5), units=("s", "um", "um")),
            "7 slices · 4 × 5 · 1 s × 1 µm × 1 µm",
        ),
    ],
)
def test_facts(info, text):
    assert wording.facts(info) == text


def test_score_compares_with_the_round_before():
    first = Round(1, record(held_out_after=0.88), "a", 10)
    second = Round(2, record(), "b", 10)
    assert wording.score(second, [first, second]) == "held-out Dice 0.91 (round 1: 0.88)"
    assert wording.score(first, [first, second]) == "held-out Dice 0.88"
    assert wording.score(None, []) == ""


def test_score_of_the_state_that_was_kept():
    assert wording.dice(record(kept="first fit")) == "0.85"


def test_no_score_says_why():
    alone = record(held_out_before=None, held_out_after=None, score_note="one slice is too few")
    assert wording.score(Round(1, alone, "a", 10), []) == "one slice is too few"


LEVELS = ((152, 4096, 2048), (152, 1024, 512), (152, 512, 256))


@pytest.mark.parametrize(
    ("shapes", "number", "text"),
    [
        (LEVELS, 0, "4096 × 2048 (full resolution)"),
        (LEVELS, 1, "1024 × 512 (level 1 of 2)"),
        (((64, 512, 512), (32, 256, 256)), 1, "32 slices · 256 × 256 (level 1 of 1)"),
        (((8, 8), (4, 4)), 1, "4 × 4 (level 1 of 1)"),
    ],
)
def test_level(shapes, number, text):
    assert wording.level(shapes, number) == text


def test_position():
    assert wording.position((("t", 2), ("axis 1", 0))) == "t = 2, axis 1 = 0"
    assert wording.position(()) == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "0.85 → 0.91"),
        ({"held_out_after": 0.85}, "0.85"),
        ({"held_out_before": None, "held_out_after": None}, "–"),
    ],
)
def test_dice_before_and_after(changes, text):
    assert wording.dice_change(record(**changes)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"elsewhere_before": 0.4}, ""),
        (
            {"elsewhere_steps": 12, "elsewhere_before": 0.406, "elsewhere_after": 0.45},
            "12 steps kept, Dice 0.41 → 0.45 as other instruments would show a slice left out",
        ),
        (
            {"elsewhere_before": 0.5, "elsewhere_after": 0.4},
            "0 steps kept, Dice 0.50 → 0.40 as other instruments would show a slice left out",
        ),
    ],
)
def test_what_was_done_for_other_stacks_is_told_where_something_was(changes, text):
    told = record(**changes)
    assert wording.other_stacks(told) == text
    detail = wording.round_detail(Round(1, told, "a", 10)).splitlines()
    assert [line for line in detail if "other stacks" in line] == (
        [f"for other stacks: {text}"] if text else []
    )


@pytest.mark.parametrize(
    ("along", "everywhere", "text"),
    [
        (False, True, "seen by itself"),
        (True, False, "seen with those up to four away"),
        (
            True,
            True,
            "seen with those up to four away; on other stacks too where slices lie as far apart",
        ),
    ],
)
def test_what_a_slice_is_seen_with(along, everywhere, text):
    assert wording.seen(along=along, everywhere=everywhere) == text


@pytest.mark.parametrize(
    ("slices", "text"),
    [
        ((), ""),
        ((4,), "slice 4 cannot be read and was left out"),
        ((4, 9, 12), "slices 4, 9 and 12 cannot be read and were left out"),
        (range(3, 10), "slices 3 to 9 cannot be read and were left out"),
    ],
)
def test_slices_that_were_left_out(slices, text):
    assert wording.left_out(tuple(slices)) == text
