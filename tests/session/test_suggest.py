"""Which slice comes next, and why."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.records import Label, SliceSummary
from napari_salt.session.suggest import suggest

GRAY, WHITE = Label(1, "gray matter"), Label(2, "white matter")


def unit(*numbers):
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def turning(index, count):
    """Descriptors of a stack whose look turns slowly from one end to the other."""
    angle = np.pi * index / count
    return unit(np.cos(angle), np.sin(angle), 0)


def summary(index, uncertainty=0.0, by_label=None, areas=None, descriptor=None):
    by_label = by_label or {}
    areas = dict.fromkeys(by_label, 100) if areas is None else areas
    return SliceSummary(index, uncertainty, areas, by_label, descriptor)


def indices(suggestions):
    return [suggestion.index for suggestion in suggestions]


def test_blank_slices_are_not_suggested():
    known = [SliceSummary(i, 0.5, blank=i < 6) for i in range(10)]
    assert sorted(indices(suggest(known, [9], [GRAY], k=9))) == [6, 7, 8]
    assert suggest(known[:6], [], [GRAY]) == []


def test_far_from_blank_slices_there_may_be_something_to_see():
    assert indices(suggest([], [20], [], blank=[6], count=41)) == [33]
    assert indices(suggest([], [20], [], blank=[6, 33], count=41)) in ([13], [27])


# ---- without predictions


@pytest.mark.parametrize(
    ("labelled", "count", "k", "expected"),
    [
        ([], 1, 1, [0]),
        ([], 9, 1, [4]),
        ([], 150, 3, [74, 124, 24]),
        ([4], 9, 2, [1, 7]),
        ([0], 2, 1, [1]),
        ([0, 1], 2, 1, []),
        ([], 0, 1, []),
        ([], 9, 0, []),
    ],
)
def test_slices_spread_over_the_stack(labelled, count, k, expected):
    assert indices(suggest([], labelled, [], k=k, count=count)) == expected


@pytest.mark.parametrize(
    ("labelled", "reason"),
    [
        ([], "in the middle of the stack"),
        ([3], "far from the slice you painted"),
        ([3, 4], "far from your 2 slices"),
    ],
)
def test_reasons_without_predictions(labelled, reason):
    assert suggest([], labelled, [], count=20)[0].reason == reason


@pytest.mark.parametrize("uncertainty", [0.0, 0.5, float("nan")])
def test_without_usable_uncertainty_looks_decide(uncertainty):
    looks = [unit(1, 0, 0)] * 20 + [unit(0, 1, 0)] * 3 + [unit(1, 0.4, 0)] * 20
    known = [summary(i, uncertainty, descriptor=look) for i, look in enumerate(looks)]
    (first,) = suggest(known, [5], [GRAY])
    assert (first.index in (20, 21, 22), first.reason) == (True, "unlike the slice you painted")


def test_the_first_of_all_is_typical():
    looks = [unit(1, 0, 0)] * 4 + [unit(1, 0.1, 0)] * 12 + [unit(0, 1, 0)]
    known = [summary(i, descriptor=look) for i, look in enumerate(looks)]
    first, second = suggest(known, [], [GRAY], k=2)
    assert (first.index, first.reason) == (4, "typical of the stack")
    assert (second.index, second.reason) == (16, "unlike the other suggestions")


# ---- with predictions


def test_the_uncertain_slice_and_its_label():
    known = [summary(i, 0.1, {1: 0.1, 2: 0.9 if i == 12 else 0.1}) for i in range(20)]
    (first,) = suggest(known, [2], [GRAY, WHITE])
    assert (first.index, first.reason) == (
        12,
        "white matter uncertain, far from the slice you painted",
    )
    assert 0 < first.score <= 1


def test_the_reason_tells_looks_from_places():
    known = [
        summary(i, 0.1, {1: 0.9 if i == 90 else 0.1}, descriptor=turning(i, 100))
        for i in range(100)
    ]
    assert suggest(known, [5, 6], [GRAY])[0].reason == "gray matter uncertain, unlike your 2 slices"
    assert suggest(known, [80], [GRAY])[0].reason == "gray matter uncertain"


def test_two_labels_in_one_reason():
    known = [summary(i, 0.1, {1: 0.5 + 0.4 * (i == 9), 2: 0.1 + 0.4 * (i == 9)}) for i in range(20)]
    (first,) = suggest(known, [], [GRAY, WHITE])
    assert (first.index, first.reason) == (9, "gray matter and white matter uncertain")


def test_no_label_takes_every_turn():
    """Gray matter is fuzzy everywhere; white matter is only in two slices, and sure by comparison."""
    known = []
    for index in range(60):
        by_label = {1: 0.9 if index < 30 else 0.5}
        if index in (40, 41):
            by_label[2] = 0.2
        known.append(summary(index, 0.5, by_label))
    chosen = suggest(known, [], [GRAY, WHITE], k=2)
    assert any("white matter" in suggestion.reason for suggestion in chosen)
    assert any("gray matter" in suggestion.reason for suggestion in chosen)


def test_slivers_count_for_less():
    areas = [{1: 400}] * 20
    areas[15] = {1: 2}
    known = [summary(i, 0.1, {1: {15: 0.95, 10: 0.8}.get(i, 0.1)}, areas[i]) for i in range(20)]
    assert suggest(known, [], [GRAY])[0].index == 10


def test_what_looks_painted_already_counts_for_less():
    known = [
        summary(i, 0.5, {1: 0.8 if i in (12, 90) else 0.2}, descriptor=turning(i, 100))
        for i in range(100)
    ]
    assert suggest(known, [8], [GRAY])[0].index == 90


def test_uncertainty_of_no_label_is_used_too():
    known = [summary(i, 0.9 if i == 7 else 0.2) for i in range(20)]
    (first,) = suggest(known, [], [GRAY])
    assert (first.index, first.reason) == (7, "uncertain")


def test_labels_that_are_gone_are_ignored():
    known = [summary(i, 0.3, {1: 0.3, 9: 0.9 if i == 3 else 0.0}) for i in range(20)]
    known[11] = summary(11, 0.3, {1: 0.6, 9: 0.0})
    assert suggest(known, [], [GRAY])[0].index == 11


def test_a_few_predicted_slices_do_not_stand_for_the_stack():
    known = [summary(i, 0.9, {1: 0.9}) for i in (50, 51, 52)]
    (first,) = suggest(known, [50], [GRAY], count=200)
    assert first.index > 100
    assert first.reason == "far from the slice you painted"
    assert suggest(known, [50], [GRAY])[0].index in (51, 52)


# ---- what is never suggested


def busy(count):
    rng = np.random.default_rng(1)
    return [
        summary(i, rng.random(), {1: rng.random()}, descriptor=turning(i, count))
        for i in range(count)
    ]


def test_labelled_and_skipped_slices_never():
    found = indices(suggest(busy(12), [0, 3], [GRAY], k=50, skipped=[5, 6]))
    assert not {0, 3, 5, 6} & set(found)
    assert sorted(found) == [1, 2, 4, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(("count", "gap"), [(12, 1), (100, 3), (152, 5), (400, 12)])
def test_near_duplicates_never_together(count, gap):
    found = sorted(indices(suggest(busy(count), [], [GRAY], k=30)))
    assert len(found) > 5
    assert min(np.diff(found)) >= gap


def test_equal_looks_never_together_wherever_they_are():
    looks = [unit(1, 0, 0)] * 10 + [unit(0, 1, 0)] * 10 + [unit(1, 0, 0)] * 10
    known = [summary(i, 0.5, {1: 0.5 + 0.01 * i}, descriptor=look) for i, look in enumerate(looks)]
    assert len(suggest(known, [], [GRAY], k=5)) == 2


def test_identical_looks_everywhere_say_nothing():
    known = [summary(i, 0.5, {1: 0.5}, descriptor=unit(1, 0, 0)) for i in range(9)]
    assert len(suggest(known, [], [GRAY], k=9)) == 9


def test_neighbours_of_painted_slices_only_when_nothing_else_is_left():
    known = [summary(i, 0.1, {1: 0.9 if i == 51 else 0.3}) for i in range(100)]
    assert suggest(known, [50], [GRAY])[0].index != 51
    everything_else = [i for i in range(100) if i not in (51, 52)]
    assert indices(suggest(known, everything_else, [GRAY], k=2)) == [51]


def test_same_input_same_answer_in_any_order():
    known = busy(60)
    forward = suggest(known, [4], [GRAY], k=6)
    assert suggest(known[::-1], [4], [GRAY], k=6) == forward


def test_damaged_descriptors_are_not_used():
    known = busy(20)
    known[3] = summary(3, 0.5, {1: 0.5}, descriptor=np.full(3, np.nan, np.float32))
    known[4] = summary(4, 0.5, {1: float("nan")})
    assert len(suggest(known, [], [GRAY], k=20)) > 3


def test_slices_without_prediction_are_left_when_all_predicted_ones_are_painted():
    assert indices(suggest([summary(0, 0.5), summary(9, 0.5)], [0, 9], [GRAY])) == [4]


def test_a_long_stack_needs_few_numpy_calls(monkeypatch):
    """The window waits for it: work that grows by slices times painted slices would hold it."""
    known = [summary(i, 0.5, {1: 0.1 + i / 400}, None, turning(i, 400)) for i in range(400)]
    norm, calls = np.linalg.norm, []
    monkeypatch.setattr(np.linalg, "norm", lambda *a, **k: (calls.append(1), norm(*a, **k))[1])
    assert len(suggest(known, list(range(0, 400, 20)), [GRAY], k=3)) == 3
    assert len(calls) < 30
