"""When more slices help little, and when nobody can say."""

from __future__ import annotations

import pytest

from napari_salt.records import FitRecord, Round
from napari_salt.session.plateau import gain_hint


def rounds(*scores, slices=None):
    slices = slices or range(2, 2 + len(scores))
    return [
        Round(
            number,
            FitRecord("salt", "b", tuple(range(n)), 9, 1.0, 10, "adapted", 0.1, score),
            "a",
            1,
        )
        for number, (score, n) in enumerate(zip(scores, slices, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("scores", "start"),
    [
        ((0.90, 0.901, 0.902), "The last two rounds gained 0.002"),
        ((0.5, 0.90, 0.90, 0.89), "The last two rounds gained nothing"),
    ],
)
def test_little_gain_is_said(scores, start):
    assert gain_hint(rounds(*scores)).startswith(start)


@pytest.mark.parametrize(
    "scores", [(), (0.9, 0.9), (0.8, 0.85, 0.9), (0.9, None, 0.9), (None, None, None)]
)
def test_otherwise_nothing_is_said(scores):
    assert gain_hint(rounds(*scores)) == ""


def test_rounds_on_the_same_slices_say_nothing_of_more_slices():
    assert gain_hint(rounds(0.9, 0.9, 0.9, slices=(4, 4, 4))) == ""


def test_the_score_is_that_of_the_state_kept():
    first = FitRecord("salt", "b", (1,), 9, 1.0, 10, "first fit", 0.5, 0.9)
    kept = Round(0, first, "a", 1)
    assert gain_hint([kept, *rounds(0.9, 0.9)]) == ""
