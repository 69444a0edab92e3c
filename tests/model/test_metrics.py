"""Scores against pinned numbers and against the definitions written out."""

from __future__ import annotations

from math import inf, isnan, nan, sqrt

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.model import metrics


def square(shape, top, left, size):
    mask = np.zeros(shape, bool)
    mask[top : top + size, left : left + size] = True
    return mask


EMPTY = np.zeros((8, 8), bool)
ONE = square((8, 8), 2, 2, 2)


@pytest.mark.parametrize(
    ("prediction", "reference", "dice", "iou"),
    [
        (ONE, ONE, 1.0, 1.0),
        (ONE, square((8, 8), 2, 3, 2), 0.5, 1 / 3),
        (ONE, square((8, 8), 5, 5, 2), 0.0, 0.0),
        (EMPTY, ONE, 0.0, 0.0),
        (ONE, EMPTY, 0.0, 0.0),
        (EMPTY, EMPTY, nan, nan),
    ],
)
def test_overlap(prediction, reference, dice, iou):
    prediction, reference = 7 * prediction.astype(np.uint8), 7 * reference.astype(np.uint8)
    assert metrics.dice(prediction, reference, [7]) == pytest.approx({7: dice}, nan_ok=True)
    assert metrics.iou(prediction, reference, [7]) == pytest.approx({7: iou}, nan_ok=True)


def test_labels_do_not_mix():
    prediction = np.array([[1, 1, 2, 300]], np.uint16)
    reference = np.array([[1, 2, 2, 44]], np.uint16)  # 300 wraps to 44 in eight bits
    scores = metrics.dice(prediction, reference, [1, 2, 300, 44])
    assert scores == pytest.approx({1: 2 / 3, 2: 2 / 3, 300: 0.0, 44: 0.0})


@pytest.mark.parametrize(
    ("prediction", "reference", "spacing", "expected"),
    [
        (ONE, ONE, (1, 1), 0.0),
        (ONE, square((8, 8), 2, 5, 2), (1, 1), 3.0),
        (ONE, square((8, 8), 2, 5, 2), (1, 0.5), 1.5),
        (ONE, square((8, 8), 5, 2, 2), (2, 0.5), 6.0),
        (EMPTY, ONE, (1, 1), inf),
        (ONE, EMPTY, (1, 1), inf),
        (EMPTY, EMPTY, (1, 1), nan),
    ],
)
def test_hausdorff95(prediction, reference, spacing, expected):
    found = metrics.hausdorff95(prediction, reference, spacing)
    assert found == pytest.approx(expected, nan_ok=True)


def test_hausdorff95_ignores_one_stray_pixel_in_a_hundred():
    reference = square((60, 60), 10, 10, 30)
    prediction = reference.copy()
    prediction[55, 55] = True
    assert metrics.hausdorff95(prediction, reference, (1, 1)) == 0.0


def surface_points(mask, spacing):
    """By the definition: pixels with a neighbour outside, the border being outside."""
    padded = np.pad(mask, 1)
    inner = (slice(1, -1),) * mask.ndim
    whole = np.ones(mask.shape, bool)
    for axis in range(mask.ndim):
        for step in (-1, 1):
            whole &= np.roll(padded, step, axis)[inner]
    return np.argwhere(mask & ~whole) * np.array(spacing)


@pytest.mark.parametrize("shape", [(17, 23), (6, 9, 11)])
def test_surfaces_match_all_pairs(shape):
    rng = np.random.default_rng(3)
    spacing = (2.0, 0.5, 0.7)[-len(shape) :]
    prediction, reference = rng.random(shape) > 0.7, rng.random(shape) > 0.8
    ours, theirs = surface_points(prediction, spacing), surface_points(reference, spacing)
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    forth, back = apart.min(axis=1), apart.min(axis=0)
    expected = max(np.percentile(forth, 95), np.percentile(back, 95))
    assert metrics.hausdorff95(prediction, reference, spacing) == pytest.approx(expected)
    near = ((forth <= 0.6).sum() + (back <= 0.6).sum()) / (len(forth) + len(back))
    assert metrics.surface_dice(prediction, reference, spacing, 0.6) == pytest.approx(near)


@pytest.mark.parametrize(
    ("prediction", "reference", "tolerance", "expected"),
    [
        (ONE, ONE, 0.0, 1.0),
        (ONE, square((8, 8), 2, 3, 2), 0.0, 0.5),
        (ONE, square((8, 8), 2, 3, 2), 1.0, 1.0),
        (EMPTY, ONE, 9.0, 0.0),
        (ONE, EMPTY, 9.0, 0.0),
        (EMPTY, EMPTY, 9.0, nan),
    ],
)
def test_surface_dice(prediction, reference, tolerance, expected):
    found = metrics.surface_dice(prediction, reference, (1, 1), tolerance)
    assert found == pytest.approx(expected, nan_ok=True)


class Counting:
    """A label image that hands out planes and remembers which."""

    def __init__(self, labels):
        self.labels, self.shape, self.asked = labels, labels.shape, []

    def plane(self, index):
        self.asked.append(index)
        return self.labels[index]


def stacks():
    """Three slices of label 1: equal; shifted by one; missing in the prediction. Label 2 invented."""
    prediction, reference = np.zeros((2, 3, 8, 8), np.uint8)
    reference[0][ONE] = prediction[0][ONE] = 1
    reference[1][ONE] = 1
    prediction[1][square((8, 8), 2, 3, 2)] = 1
    reference[2][ONE] = 1
    prediction[2, 7, 7] = 2
    return prediction, reference


def test_stack_sums_over_slices():
    prediction, reference = stacks()
    one, two, three = metrics.score_stack(
        prediction, reference, [1, 2, 3], (9, 2, 1), tolerance=0.0
    )
    assert (one.predicted_pixels, one.reference_pixels, one.common_slices) == (8, 12, 2)
    assert one.dice == pytest.approx(2 * 6 / 20)
    assert one.iou == pytest.approx(6 / 14)
    assert one.hd95 == 1.0
    # Of 20 surface pixels 8 of the first slice and 4 of the second lie on the other surface.
    assert one.surface_dice == pytest.approx(12 / 20)
    assert (two.dice, two.iou, two.hd95, two.surface_dice) == (0.0, 0.0, inf, 0.0)
    assert all(isnan(x) for x in (three.dice, three.iou, three.hd95, three.surface_dice))


def test_pooled_distances_are_those_of_all_slices_together():
    """Not the mean of each slice's percentile."""
    reference = np.zeros((2, 40, 40), np.uint8)
    reference[0, 5:35, 5:35] = 1
    reference[1, 5, 5] = 1
    prediction = reference.copy()
    prediction[1] = 0
    prediction[1, 5, 35] = 1
    (score,) = metrics.score_stack(prediction, reference, [1], (1, 1))
    assert score.hd95 == 0.0


def test_only_asked_slices_are_read_each_once():
    prediction, reference = (Counting(labels) for labels in stacks())
    (score,) = metrics.score_stack(prediction, reference, [1], (1, 1, 1), [1])
    assert prediction.asked == reference.asked == [1]
    assert score.dice == 0.5


def test_without_surfaces():
    (score,) = metrics.score_stack(*stacks(), [1], (1, 1), surfaces=False)
    assert isnan(score.hd95)
    assert score.dice == pytest.approx(0.6)


def test_means_leave_absent_labels_out():
    scores = metrics.score_stack(*stacks(), [1, 2, 3], (1, 1))
    assert metrics.mean_over(scores) == pytest.approx(0.3)
    assert metrics.mean_over(scores, "hd95") == inf
    assert isnan(metrics.mean_over([]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.score_stack(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), [1], (1, 1)),
        lambda: metrics.score_stack(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), [1], (1, 1), [1]),
        lambda: metrics.dice(np.zeros((2, 2), int), np.zeros((2, 3), int), [1]),
        lambda: metrics.hausdorff95(EMPTY, np.zeros((8, 9), bool), (1, 1)),
        lambda: metrics.hausdorff95(EMPTY, EMPTY, (1, 1, 1)),
    ],
)
def test_mismatches_are_refused(call):
    with pytest.raises(InputError):
        call()


def test_diagonal_distance_is_euclidean():
    one, other = np.zeros((2, 9, 9), bool)
    one[1, 1] = other[4, 5] = True
    assert metrics.hausdorff95(one, other, (1, 1)) == 5.0
    assert metrics.hausdorff95(one, other, (2, 1)) == pytest.approx(sqrt(52))
