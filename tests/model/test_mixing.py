"""How queries and forest are mixed, which pixels left out decide, and the Dice of drawn pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from blobs import random
from napari_salt.model import drawing, mixing
from napari_salt.model.probe import Samples
from pixel_samples import make_samples

pytestmark = pytest.mark.usefixtures("same_random_state")


def test_mixing_keeps_probabilities_and_gives_the_forest_the_larger_say():
    linear, forest = torch.tensor([[0.2, 0.8], [1.0, 0.0]]), torch.tensor([[0.6, 0.4], [0.0, 1.0]])
    found = mixing.mix(linear, forest, mixing.LINEAR_SHARE)
    torch.testing.assert_close(found, 0.25 * linear + 0.75 * forest)
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    assert found.argmax(1).tolist() == [0, 1]


# --- fits and folds -------------------------------------------------------------------------------


class Answers:
    """Stands for the fit of one fold; ``linear`` and ``forest`` are its chances of the right row, of two."""

    def __init__(self, linear: float, forest: float) -> None:
        self.chances = linear, forest

    def parts(self, samples: Samples) -> list[torch.Tensor]:
        right = F.one_hot(samples.targets, 2).float()
        return [right * chance + (1 - right) * (1 - chance) for chance in self.chances]


class Finds:
    """Stands for the fit of one fold; the chances it gives row 1, of two, on background and on row 1."""

    bias = torch.zeros(2)

    def __init__(self, of_background: float, of_row_1: float) -> None:
        self.chances = torch.tensor([of_background, of_row_1])

    def probabilities(self, samples: Samples) -> torch.Tensor:
        found = self.chances[samples.targets]
        return torch.stack([1 - found, found], 1)


def drawn_often(each: float = 10.0) -> Samples:
    """Row 1, of which each pixel was drawn, among a background of which one in ``each`` was."""
    targets = torch.arange(40) % 2
    samples = make_samples(random(40, 2), targets, torch.arange(40) // 20)
    return replace(samples, weights=torch.where(targets == 0, each, 1.0))


def test_rows_are_rescaled_along_their_axis():
    found = random(3, 4, 5).softmax(0)
    assert mixing.rescaled(found, (), 0) is found
    scaled = mixing.rescaled(found, (1.0, 0.5, 0.25), 0)
    torch.testing.assert_close(scaled.sum(0), torch.ones(4, 5))
    torch.testing.assert_close(scaled[1] / scaled[0], 0.5 * found[1] / found[0])
    torch.testing.assert_close(
        mixing.rescaled(found.movedim(0, 2), (1.0, 0.5, 0.25), 2), scaled.movedim(0, 2)
    )


def test_what_is_drawn_often_and_found_too_often_is_found_less():
    folds = {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}
    assert mixing.choose_row_scale(drawn_often(), folds) == pytest.approx((1, 0.1**0.25))
    folds = {0: Finds(0.7, 0.95), 1: Finds(0.7, 0.95)}
    assert mixing.choose_row_scale(drawn_often(), folds) == pytest.approx((1, 0.1**0.5))


def test_what_is_found_too_seldom_in_parts_of_a_slice_is_found_more():
    folds = {0: Finds(0.1, 0.4), 1: Finds(0.1, 0.4)}
    more = mixing.choose_row_scale(drawn_often(), folds, mixing.MORE_POWERS)
    assert more == pytest.approx((0.1**0.25, 1))
    folds = {0: Finds(0.05, 0.3), 1: Finds(0.05, 0.3)}
    more = mixing.choose_row_scale(drawn_often(), folds, mixing.MORE_POWERS)
    assert more == pytest.approx((0.1**0.5, 1))
    right = {0: Finds(0.4, 0.9), 1: Finds(0.4, 0.9)}
    assert mixing.choose_row_scale(drawn_often(), right, mixing.MORE_POWERS) == ()


@pytest.mark.parametrize(
    ("each", "chances"),
    [
        (10, (0.4, 0.9)),  # all right already
        (10, (0.1, 0.45)),  # found too seldom: never the other way
        (1, (0.55, 0.9)),  # every pixel was drawn
        (10, (0.9, 0.9)),  # nothing helps
    ],
)
def test_elsewhere_rows_stay_as_they_are(each, chances):
    folds = {0: Finds(*chances), 1: Finds(*chances)}
    assert mixing.choose_row_scale(drawn_often(each), folds) == ()


def test_a_gain_too_small_to_carry_over_changes_nothing(monkeypatch):
    folds = {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}
    monkeypatch.setattr(mixing, "AREA_WORTH", 1.0)
    assert mixing.choose_row_scale(drawn_often(), folds) == ()


def test_rows_stay_as_they_are_where_nothing_can_be_judged():
    samples = make_samples(random(4, 2), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    assert mixing.choose_row_scale(samples, {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}) == ()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({0: (0.9, 0.9), 1: (0.9, 0.9)}, mixing.LINEAR_SHARE),  # as good: nothing changes
        ({0: (0.99, 0.4), 1: (0.9, 0.3)}, mixing.LINEAR_SHARE),  # never made larger
        ({0: (0.2, 0.95), 1: (0.1, 0.9)}, 0.0),
        # the forest has a tenth of the loss, but that of the mix is hardly anything
        ({0: (0.99, 0.999), 1: (0.99, 0.999)}, mixing.LINEAR_SHARE),
        ({0: (0.94, 0.999), 1: (0.94, 0.999)}, 0.1),
        ({0: (0.99, 0.1), 1: (0.1, 0.9)}, 0.1),  # together: each is right where the other fails
    ],
)
def test_the_queries_lose_their_say_where_left_out_pixels_ask_for_it(answers, expected):
    targets = torch.arange(40) % 2
    samples = make_samples(random(40, 2), targets, torch.arange(40) // 20)
    weights = torch.where(samples.fold == 0, 1.0, 4.0) if expected == 0.1 else samples.weights
    samples = replace(samples, weights=weights)
    folds = {fold: Answers(*chances) for fold, chances in answers.items()}
    assert mixing.choose_share(samples, folds) == expected


def test_the_share_stays_the_usual_one_where_nothing_can_be_judged():
    samples = make_samples(random(4, 2), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    assert mixing.choose_share(samples, {0: Answers(0.1, 0.9)}) == mixing.LINEAR_SHARE


def dice(ours: np.ndarray, truth: np.ndarray, row: int) -> float:
    both = np.count_nonzero((ours == row) & (truth == row))
    return 2 * both / (np.count_nonzero(ours == row) + np.count_nonzero(truth == row))


def test_dice_of_all_pixels_is_the_dice_and_of_some_is_close():
    truth = np.zeros((60, 60), np.int64)
    truth[10:40, 10:40], truth[45:55, 5:50] = 1, 2
    ours = np.roll(truth, 4, axis=1)
    for count, tolerance in ((3600, 1e-6), (1200, 0.05)):
        rows, columns, drawn, weights = drawing.draw_pixels(truth, count, np.random.default_rng(0))
        found = mixing.sampled_dice(torch.from_numpy(ours)[rows, columns], drawn, weights)
        assert sorted(found) == [1, 2]
        for row, value in found.items():
            assert value == pytest.approx(dice(ours, truth, row), abs=tolerance)


def test_dice_leaves_out_the_background_and_what_does_not_occur():
    targets, rows = torch.tensor([0, 0, 3, 3]), torch.tensor([0, 1, 3, 0])
    assert mixing.sampled_dice(rows, targets, torch.ones(4)) == {3: pytest.approx(2 / 3)}
    assert mixing.sampled_dice(rows, torch.zeros(4, dtype=torch.int64), torch.ones(4)) == {}
