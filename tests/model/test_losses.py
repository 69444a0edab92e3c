"""The loss against sums written out; unlabelled pixels count for nothing."""

from __future__ import annotations

import math

import pytest
import torch

from napari_salt.model.losses import partial_cross_entropy

pytestmark = pytest.mark.usefixtures("same_random_state")


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


TARGETS = torch.tensor([0, 1, -1, 2, 1, -1, 0, -7, 2])


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def test_cross_entropy_by_hand(logits):
    known = [i for i, target in enumerate(TARGETS.tolist()) if target >= 0]
    rows = logits.tolist()
    expected = -sum(math.log(softmax(rows[i])[int(TARGETS[i])]) for i in known) / len(known)
    found = partial_cross_entropy(logits.detach(), TARGETS)
    assert float(found) == pytest.approx(expected)


def test_unlabelled_pixels_have_no_gradient_and_no_say(logits):
    value = partial_cross_entropy(logits, TARGETS)
    (gradient,) = torch.autograd.grad(value, logits)
    unlabelled = TARGETS < 0
    assert not gradient[unlabelled].any()
    assert (gradient[~unlabelled].abs().sum(1) > 0).all()
    other = logits.detach().clone()
    other[unlabelled] = 100.0
    assert torch.equal(partial_cross_entropy(other, TARGETS), value)


def test_nothing_annotated_is_no_loss_and_no_gradient(logits):
    # a label that nobody has painted has logits of minus infinity
    never = torch.tensor([False, False, False, True])
    masked = logits.masked_fill(never, -math.inf)
    value = partial_cross_entropy(masked, torch.full((9,), -1))
    assert value == 0
    (gradient,) = torch.autograd.grad(value, logits)
    assert not gradient.any()


def test_rows_that_are_never_chosen_stay_finite(logits):
    never = torch.tensor([False, False, False, True])
    masked = logits.masked_fill(never, -math.inf)
    value = partial_cross_entropy(masked, TARGETS)
    torch.testing.assert_close(value, partial_cross_entropy(logits[:, :3], TARGETS))
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[:, 3].any()


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much():
    targets = torch.tensor([0, 1, 2, 1])
    right = torch.nn.functional.one_hot(targets, 4).float() * 50
    assert float(partial_cross_entropy(right, targets)) < 1e-6
    assert float(partial_cross_entropy(right.roll(1, 1), targets)) > 0.9
