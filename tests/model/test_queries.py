"""The linear queries of the first fit: at the minimum of their loss, and numbers whatever was painted."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from blobs import blobs, random
from generators import run
from napari_salt.model import probe, queries

pytestmark = pytest.mark.usefixtures("same_random_state")


@pytest.mark.parametrize("count", [7, queries.BLOCK, 2 * queries.BLOCK + 31])
def test_loss_and_gradients_are_those_of_autograd(count):
    values, targets = random(count, 6), torch.arange(count) % 4
    solver = queries.QuerySolver(values, targets, 4, 0.02)
    with torch.no_grad():
        solver._weight.copy_(random(4, 6, seed=1))
        solver._bias.copy_(random(4, seed=2))
    weight, bias = (one.detach().clone().requires_grad_() for one in (solver._weight, solver._bias))
    loss = F.cross_entropy(values @ weight.T + bias, targets) + 0.02 * weight.square().sum()
    loss.backward()
    torch.testing.assert_close(solver._loss(), loss.detach())
    torch.testing.assert_close(solver._weight.grad, weight.grad)
    torch.testing.assert_close(solver._bias.grad, bias.grad)


def test_a_separable_problem_is_solved():
    values, targets = blobs(90, 3, 5)
    (weight, bias), _ = run(queries.fit_queries(values, targets, 3, 1e-4, 60))
    assert torch.equal((values @ weight.T + bias).argmax(1), targets)
    fresh, truth = blobs(90, 3, 5, seed=1)
    assert torch.equal((fresh @ weight.T + bias).argmax(1), truth)


@pytest.mark.parametrize("penalty", [probe.PENALTY / 10, probe.PENALTY])
def test_the_fit_is_a_minimum_of_its_loss(penalty):
    values, targets = blobs(120, 3, 8, spread=2.0)
    (weight, bias), _ = run(queries.fit_queries(values, targets, 3, penalty, probe.ITERATIONS))

    def gradient(weight, bias):
        weight, bias = weight.clone().requires_grad_(True), bias.clone().requires_grad_(True)
        loss = F.cross_entropy(values @ weight.T + bias, targets)
        loss = loss + penalty * weight.square().sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [weight, bias])]).norm()

    start = gradient(torch.zeros_like(weight), torch.zeros_like(bias))
    assert gradient(weight, bias) < 1e-3 * start


def test_a_heavier_penalty_gives_smaller_queries():
    values, targets = blobs(60, 2, 4)
    norms = [
        run(queries.fit_queries(values, targets, 2, p, 60))[0][0].norm() for p in (1e-4, 1e-2, 1)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_rows_without_a_sample_are_never_chosen():
    values, targets = blobs(40, 2, 4)
    (weight, bias), _ = run(queries.fit_queries(values, targets * 3, 5, 1e-3, 30))
    assert weight.shape == (5, 4)
    assert not weight[[1, 2, 4]].any()
    assert (bias[[1, 2, 4]] == queries.NEVER).all()
    logits = values @ weight.T + bias
    assert torch.equal(logits.argmax(1), targets * 3)
    assert not logits.softmax(1)[:, [1, 2, 4]].any()
    assert torch.isfinite(logits.log_softmax(1)).all()
    (two, two_bias), _ = run(queries.fit_queries(values, targets, 2, 1e-3, 30))
    assert torch.equal(weight[[0, 3]], two)  # they have no say in the fit of the others
    assert torch.equal(bias[[0, 3]], two_bias)


@pytest.mark.parametrize("targets", [[], [0], [2], [0, 1]])
def test_no_pixel_or_two_are_enough(targets):
    values = random(len(targets), 6)
    (weight, bias), _ = run(
        queries.fit_queries(values, torch.tensor(targets, dtype=torch.int64), 3, 1e-3, 30)
    )
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


def test_the_fit_pauses_every_few_iterations():
    values, targets = blobs(40, 2, 4)
    assert len(run(queries.fit_queries(values, targets, 2, 1e-3, 60))[1]) == 60 / queries.CHUNK
