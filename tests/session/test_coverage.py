"""Bits of slices: what they say, and how many slices share one mark."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.records import SliceSummary
from napari_salt.session.coverage import (
    COMPLETE,
    OUTDATED,
    PAINTED,
    PREDICTED,
    SKIPPED,
    SUGGESTED,
    coverage,
    gathered,
    in_words,
)
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack


@pytest.fixture
def session():
    session = Session(Stack(np.zeros((6, 4, 4), np.uint8)))
    session.labels.add("cell")
    session.annotations.paint[1, 0, 0] = 1
    session.annotations.touched(1)
    session.annotations.set_complete(1, True)
    session.annotations.set_complete(4, True)
    return session


def test_each_slice_says_what_is_known_of_it(session):
    session.add_prediction(SliceSummary(2, 0.1))
    session.use_adapter("a")
    session.add_prediction(SliceSummary(3, 0.1))
    session.skip(5)
    assert list(coverage(session, [0])) == [
        SUGGESTED,
        PAINTED | COMPLETE,
        PREDICTED | OUTDATED,
        PREDICTED,
        COMPLETE,
        SKIPPED,
    ]


def test_a_suggestion_that_was_followed_is_one_no_more(session):
    assert not coverage(session, [1])[1] & SUGGESTED


@pytest.mark.parametrize(("count", "bins"), [(10_000, 700), (7, 3), (701, 700), (5, 5), (3, 9)])
def test_no_slice_is_lost_among_many(count, bins):
    for index in {0, 1, count // 2, count - 1}:
        flags = bytearray(count)
        flags[index] = PAINTED
        marks = gathered(bytes(flags), bins)
        assert len(marks) == min(count, bins)
        assert np.flatnonzero(marks).tolist() == [index * len(marks) // count]


def test_no_stack_has_no_marks():
    assert len(gathered(b"", 100)) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (0, "nothing yet"),
        (PAINTED, "painted"),
        (PAINTED | COMPLETE, "painted, complete"),
        (COMPLETE, "complete, all background"),
        (PREDICTED | OUTDATED | SUGGESTED, "predicted (out of date) · suggested next"),
        (PAINTED | PREDICTED, "painted · predicted"),
    ],
)
def test_words(flags, words):
    assert in_words(flags) == words
