"""The benchmark asks honest questions: nothing tested is painted, and the derived tasks are what they say."""

from __future__ import annotations

import numpy as np
import pytest

import protocol
from data import Dataset
from napari_salt.records import BACKGROUND, UNLABELLED


def stack(count: int = 60, colour: bool = False) -> Dataset:
    """A bright disc that drifts through a dark stack, with a small second label in it."""
    y, x = np.mgrid[:48, :64]
    centre = 20 + 0.3 * np.arange(count)[:, None, None]
    distance = np.hypot(y - 24, x - centre)
    labels = np.where(distance < 4, 2, np.where(distance < 12, 1, 0)).astype(np.uint8)
    images = (20 + 60 * labels + np.random.default_rng(0).integers(0, 9, labels.shape)).astype(
        np.uint8
    )
    if colour:
        images = np.stack([images, images // 2, 255 - images], -1)
    return Dataset("discs", images, labels, {1: "disc", 2: "core"})


@pytest.fixture(autouse=True)
def _discs(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"discs": stack(), "tiles": stack(4), "colour": stack(4, colour=True)}
    monkeypatch.setattr(protocol, "load", sets.__getitem__)


@pytest.mark.parametrize(
    ("count", "n", "shift", "expected"),
    [
        (146, 1, 0, (72,)),
        (146, 3, 0, (14, 72, 130)),
        (146, 5, 0, (14, 44, 72, 102, 130)),
        (146, 3, 1, (18, 76, 134)),
        (146, 3, 2, (10, 68, 126)),
    ],
)
def test_painted_slices_are_evenly_spaced_and_shifted(
    count: int, n: int, shift: int, expected: tuple[int, ...]
) -> None:
    assert protocol.painted_slices(count, n, shift) == expected


@pytest.mark.parametrize("n", [1, 3, 5, 10])
@pytest.mark.parametrize("shift", range(3))
def test_tested_slices_keep_their_distance(n: int, shift: int) -> None:
    painted = protocol.painted_slices(146, n, shift)
    tested = protocol.held_out_slices(146, painted)
    assert len(tested) == protocol.TEST_SLICES
    assert min(abs(a - b) for a in painted for b in tested) >= protocol.GAP
    assert min(tested) >= 7
    assert max(tested) <= 138


def test_tiles_are_painted_first_and_rotated() -> None:
    assert protocol.split(stack(4), 1, 0) == ((0,), (1, 2, 3))
    assert protocol.split(stack(4), 3, 1) == ((1, 2, 3), (0,))


@pytest.mark.parametrize(("task", "n"), [("tiles", 4), ("tiles/transfer", 3), ("discs", 40)])
def test_a_question_without_test_slices_is_refused(task: str, n: int) -> None:
    with pytest.raises(protocol.NoCase):
        protocol.case(task, n)


@pytest.mark.parametrize("variant", ["", "/scribbles", "/degraded", "/next", "/transfer"])
@pytest.mark.parametrize("name", ["discs", "tiles", "colour"])
def test_every_variant_is_the_same_for_the_same_seed(name: str, variant: str) -> None:
    first, second = (protocol.case(name + variant, 1, 1) for _ in range(2))
    assert np.array_equal(first.test.images, second.test.images)
    for a, b in zip(first.annotated, second.annotated, strict=True):
        assert np.array_equal(a.targets, b.targets)
    assert first.test.images.dtype == first.train.images.dtype
    assert first.scored == (1, 2)


def test_full_paint_says_background_where_there_is_no_label() -> None:
    (paint,) = protocol.case("discs", 1).annotated
    assert set(np.unique(paint.targets)) == {1, 2, BACKGROUND}
    assert paint.complete


def test_scribbles_are_few_true_and_of_every_label() -> None:
    question = protocol.case("discs/scribbles", 3)
    for paint in question.annotated:
        drawn = paint.targets != UNLABELLED
        assert 0.01 < drawn.mean() <= 0.05
        truth = protocol.complete_targets(question.train.labels[paint.index])
        assert np.array_equal(paint.targets[drawn], truth[drawn])
        assert set(np.unique(paint.targets)) == {UNLABELLED, 1, 2, BACKGROUND}
        assert not paint.complete


def test_degraded_has_half_the_pixels_and_other_intensities() -> None:
    question = protocol.case("discs/degraded", 3)
    assert question.train.images.shape == (60, 48, 64)
    assert question.test.images.shape == question.test.labels.shape == (60, 24, 32)
    assert abs(float(question.test.images.mean()) - float(question.train.images.mean())) > 5


def test_next_paints_one_half_and_tests_the_other_as_it_is() -> None:
    question = protocol.case("discs/next", 3)
    assert np.array_equal(question.train.images, stack().images[:27])
    assert np.array_equal(question.test.images, stack().images[33:])
    assert all(index < 27 for index in question.test_slices)


def test_transfer_paints_one_half_and_tests_the_other_changed() -> None:
    question = protocol.case("discs/transfer", 3)
    assert len(question.train.images) == len(question.test.images) == 27
    plain = stack().labels[33:]
    assert 0.02 < np.mean(plain != question.test.labels) < 0.5


def test_transfer_of_tiles_stays_in_the_plane() -> None:
    question = protocol.case("tiles/transfer", 1)
    areas = (question.test.labels > 0).sum((1, 2))
    assert np.all(areas > 0.7 * (stack(4).labels[2:] > 0).sum((1, 2)))
