"""Losses against sums written out; unlabelled pixels count for nothing."""

from __future__ import annotations

import math

import pytest
import torch

from napari_salt.model.losses import partial_cross_entropy, partial_dice_loss

pytestmark = pytest.mark.usefixtures("same_random_state")

LOSSES = [partial_cross_entropy, partial_dice_loss]


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


TARGETS = torch.tensor([0, 1, -1, 2, 1, -1, 0, -7, 2])
WEIGHTS = torch.tensor([1.0, 2.0, 50.0, 0.5, 3.0, 9.0, 1.5, 4.0, 2.5])


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_by_hand(logits, weights):
    known = [i for i, target in enumerate(TARGETS.tolist()) if target >= 0]
    weight = [1.0] * 9 if weights is None else weights.tolist()
    rows = logits.tolist()
    total = sum(-weight[i] * math.log(softmax(rows[i])[int(TARGETS[i])]) for i in known)
    expected = total / sum(weight[i] for i in known)
    found = partial_cross_entropy(logits.detach(), TARGETS, weights)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_dice_by_hand_over_the_rows_that_occur(logits, weights):
    known = [i for i, target in enumerate(TARGETS.tolist()) if target >= 0]
    weight = [1.0] * 9 if weights is None else weights.tolist()
    chance = [softmax(row) for row in logits.tolist()]
    dice = []
    for row in (0, 1, 2):  # row 3 does not occur
        truth = [float(TARGETS[i] == row) for i in range(9)]
        both = sum(weight[i] * chance[i][row] * truth[i] for i in known)
        size = sum(weight[i] * (chance[i][row] + truth[i]) for i in known)
        dice.append(2 * both / size)
    expected = 1 - sum(dice) / 3
    found = partial_dice_loss(logits.detach(), TARGETS, weights)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_unlabelled_pixels_have_no_gradient_and_no_say(logits, loss, weights):
    value = loss(logits, TARGETS, weights)
    (gradient,) = torch.autograd.grad(value, logits)
    unlabelled = TARGETS < 0
    assert not gradient[unlabelled].any()
    assert (gradient[~unlabelled].abs().sum(1) > 0).all()
    other = logits.detach().clone()
    other[unlabelled] = 100.0
    assert torch.equal(loss(other, TARGETS, weights), value)


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_annotated_is_no_loss_and_no_gradient(logits, loss):
    # a label that nobody has painted has logits of minus infinity
    never = torch.tensor([False, False, False, True])
    masked = logits.masked_fill(never, -math.inf)
    value = loss(masked, torch.full((9,), -1))
    assert value == 0
    (gradient,) = torch.autograd.grad(value, logits)
    assert not gradient.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_that_are_never_chosen_stay_finite(logits, loss):
    never = torch.tensor([False, False, False, True])
    masked = logits.masked_fill(never, -math.inf)
    value = loss(masked, TARGETS)
    torch.testing.assert_close(value, loss(logits[:, :3], TARGETS))
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[:, 3].any()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much(loss):
    targets = torch.tensor([0, 1, 2, 1])
    right = torch.nn.functional.one_hot(targets, 4).float() * 50
    assert float(loss(right, targets)) < 1e-6
    assert float(loss(right.roll(1, 1), targets)) > 0.9
