"""The first fit: queries and a forest, folds that have not seen their own slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from blobs import blobs, random
from generators import run
from napari_salt.model import mixing, probe
from napari_salt.model.forest import TREES_AT_ONCE, grow
from napari_salt.model.probe import Fitted, Samples
from napari_salt.model.queries import NEVER, fit_queries
from pixel_samples import make_samples

pytestmark = pytest.mark.usefixtures("same_random_state")


# --- what the forest sees -------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [5, probe.DIRECTIONS, probe.DIRECTIONS + 9])
def test_main_directions_are_orthonormal_and_the_widest_first(channels):
    spread = 3 * 0.8 ** torch.arange(channels)
    turn = torch.linalg.qr(random(channels, channels, seed=1))[0]
    deep = (random(4000, channels) * spread) @ turn
    found = probe.main_directions(deep)
    count = min(channels, probe.DIRECTIONS)
    assert found.shape == (count, channels)
    assert found.dtype == deep.dtype
    torch.testing.assert_close(found @ found.T, torch.eye(count), atol=1e-5, rtol=0)
    shown = (deep @ found.T).square().mean(0)
    assert (shown[:-1] >= shown[1:]).all()
    torch.testing.assert_close(shown[:2], spread[:2] ** 2, rtol=0.1, atol=0)
    assert (found[0] @ turn[0]).abs() > 0.9


def test_signs_of_main_directions_are_canonical():
    deep = random(300, 6) * torch.arange(6, 0, -1)
    found = probe.main_directions(deep)
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    for same in (-deep, deep.flip(0)):
        torch.testing.assert_close(probe.main_directions(same), found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 1])
def test_main_directions_of_next_to_nothing_are_numbers(count):
    found = probe.main_directions(random(count, 4))
    assert found.shape == (4, 4)
    assert torch.isfinite(found).all()


@pytest.fixture
def few_trees(monkeypatch):
    """Small forests, of which the whole fit has more than a fold."""
    monkeypatch.setattr(probe, "TREES", 9)
    monkeypatch.setattr(probe, "FOLD_TREES", 5)


@pytest.fixture
def samples(few_trees) -> Samples:
    """Three folds of 30 samples; row 3 occurs in fold 1 alone, and there is no row 4."""
    deep, targets = blobs(90, 3, 6, spread=1.0)
    fold = torch.arange(90) // 30
    targets[fold == 1] = torch.arange(30) % 2 * 3
    return make_samples(deep, targets, fold, detail=F.one_hot(targets, 4) + random(90, 4, seed=5))


def same(first: Fitted, second: Fitted) -> bool:
    tensors = [
        [one.queries, one.bias, one.directions, *one.forest.tensors().values()]
        for one in (first, second)
    ]
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def changed(samples: Samples, inside: torch.Tensor) -> Samples:
    """The same with other features and targets where ``inside`` is true."""
    count = int(inside.sum())
    deep, detail, targets = samples.deep.clone(), samples.detail.clone(), samples.targets.clone()
    deep[inside] = 5 * random(count, deep.shape[1], seed=31)
    detail[inside] = 5 * random(count, detail.shape[1], seed=32)
    targets[inside] = torch.arange(count) % 3
    return replace(samples, deep=deep, detail=detail, targets=targets)


def test_a_part_of_the_samples_keeps_what_belongs_together(samples):
    inside = samples.targets == 3
    part = samples.part(inside)
    for name in ("deep", "detail", "targets", "slice_of", "fold", "weights"):
        assert torch.equal(getattr(part, name), getattr(samples, name)[inside])


def test_the_whole_fit_is_queries_and_a_forest_on_detail_and_directions(samples):
    fitted, shares = run(probe.fit_all(samples, 5, seed=7))
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] == 1
    assert 0.5 in shares  # the queries stand
    assert torch.equal(fitted.directions, probe.main_directions(samples.deep))
    queries, bias = run(
        fit_queries(samples.deep, samples.targets, 5, probe.PENALTY, probe.ITERATIONS)
    )[0]
    assert torch.equal(fitted.queries, queries)
    assert torch.equal(fitted.bias, bias)
    seen = torch.cat([samples.detail, samples.deep @ fitted.directions.T], 1).numpy()
    assert np.array_equal(probe.seen_by_forest(samples, fitted.directions), seen)
    forest, _ = run(grow(seen, samples.targets.numpy(), 5, probe.TREES, seed=7))
    assert len(fitted.forest.roots) == probe.TREES
    expected = mixing.mix(
        (samples.deep @ queries.T + bias).softmax(1),
        torch.from_numpy(forest.probabilities(seen)),
        mixing.LINEAR_SHARE,
    )
    found = fitted.probabilities(samples)
    assert torch.equal(found, expected)
    torch.testing.assert_close(found.sum(1), torch.ones(90))
    assert not found[:, 4].any()
    assert (found.argmax(1) == samples.targets).float().mean() > 0.9


def test_a_first_look_and_the_rest_are_the_whole_fit(samples, monkeypatch):
    monkeypatch.setattr(probe, "TREES", 3 * TREES_AT_ONCE)
    monkeypatch.setattr(probe, "FIRST_TREES", TREES_AT_ONCE)
    whole, _ = run(probe.fit_all(samples, 5, seed=7))
    begun, shares = run(probe.fit_first(samples, 5, seed=7))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    first = begun.fitted
    assert len(first.forest.roots) == probe.FIRST_TREES
    assert not torch.equal(first.queries, whole.queries), "a third of the iterations"
    assert torch.equal(
        first.queries,
        run(fit_queries(samples.deep, samples.targets, 5, probe.PENALTY, probe.FIRST_ITERATIONS))[
            0
        ][0],
    )
    rest, shares = run(probe.fit_rest(samples, begun, seed=7))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert torch.equal(rest.queries, whole.queries)
    assert torch.equal(rest.bias, whole.bias)
    assert torch.equal(rest.probabilities(samples), whole.probabilities(samples))
    assert torch.equal(first.queries, begun.fitted.queries), "what was handed out stays as it is"


def test_the_seed_decides_the_fit_and_jobs_do_not(samples):
    first, together, other = (
        run(probe.fit_all(samples, 5, seed=seed, jobs=jobs))[0]
        for seed, jobs in ((1, 1), (1, 2), (2, 1))
    )
    assert same(first, together)
    assert not same(first, other)


def test_a_fold_has_not_seen_its_own_slices(samples):
    folds, shares = run(probe.fit_folds(samples, 5))
    assert sorted(folds) == [0, 1, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert folds[1].bias[3] == NEVER
    assert folds[0].bias[3] != NEVER
    for fold, fitted in folds.items():
        assert len(fitted.forest.roots) == probe.FOLD_TREES
        outside = samples.part(samples.fold != fold)
        seen = torch.cat([outside.detail, outside.deep @ fitted.directions.T], 1).numpy()
        queries, bias = run(
            fit_queries(outside.deep, outside.targets, 5, probe.PENALTY, probe.FOLD_ITERATIONS)
        )[0]
        forest, _ = run(grow(seen, outside.targets.numpy(), 5, probe.FOLD_TREES))
        assert same(fitted, Fitted(queries, bias, fitted.directions, forest))


def test_targets_of_a_fold_are_not_in_its_fit(samples):
    others = replace(samples, targets=(samples.targets + (samples.fold == 2).long()) % 4)
    before, after = (run(probe.fit_folds(one, 5))[0] for one in (samples, others))
    assert same(before[2], after[2])
    assert not same(before[0], after[0])


def test_one_fold_alone_is_what_all_folds_give(samples):
    folds, _ = run(probe.fit_folds(samples, 5, seed=3))
    for fold in (0, 1, 2):
        alone, shares = run(probe.fit_without(samples, fold, 5, seed=3))
        assert same(alone, folds[fold])
        assert shares[-1] == 1
    assert not same(folds[0], folds[2])


def test_judges_know_neither_their_fold_nor_the_one_left_out(samples):
    judges, shares = run(probe.fit_judges(samples, 1, 5))
    assert sorted(judges) == [0, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    unseen, _ = run(probe.fit_judges(changed(samples, samples.fold == 1), 1, 5))
    own, _ = run(probe.fit_judges(changed(samples, samples.fold == 0), 1, 5))
    for fold in (0, 2):
        assert all(map(torch.equal, judges[fold], unseen[fold]))
        assert judges[fold][1][3] == NEVER  # only the left-out fold knows row 3
        assert judges[fold][1][0] != NEVER
    assert all(map(torch.equal, judges[0], own[0]))
    assert not torch.equal(judges[2][0], own[2][0])


def test_two_folds_leave_one_judge_that_knows_nothing():
    deep, targets = blobs(20, 2, 4)
    judges, shares = run(probe.fit_judges(make_samples(deep, targets, torch.arange(20) % 2), 0, 2))
    assert list(judges) == [1]
    assert (judges[1][1] == NEVER).all()
    assert shares == []


def test_every_sample_is_judged_by_the_fit_that_has_not_seen_it(samples):
    folds, _ = run(probe.fit_folds(samples, 5))
    found = mixing.held_out(samples, folds)
    assert found.shape == (90, 5)
    torch.testing.assert_close(found.sum(1), torch.ones(90))
    for fold, fitted in folds.items():
        mine = samples.fold == fold
        torch.testing.assert_close(found[mine], fitted.probabilities(samples)[mine])
    assert not found[samples.fold == 1, 3].any()
    assert found[samples.fold == 0, 3].any()


def test_only_labels_of_other_folds_can_be_judged(samples):
    known = mixing.judged(samples)
    assert torch.equal(known, (samples.fold != 1) | (samples.targets != 3))
    assert not mixing.judged(samples.part(samples.fold == 0)).any()


@pytest.mark.parametrize("fold", [0, 1])
def test_a_slice_painted_in_one_fold_only_has_a_fit_that_knows_nothing(few_trees, fold):
    deep, targets = blobs(2, 2, 6)
    samples = make_samples(deep, targets, torch.full((2,), fold))
    folds, _ = run(probe.fit_folds(samples, 2))
    assert list(folds) == [fold]
    assert torch.isfinite(mixing.held_out(samples, folds)).all()
    assert torch.isfinite(run(probe.fit_all(samples, 2))[0].probabilities(samples)).all()
