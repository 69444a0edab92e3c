"""The convex fit: optimal where it says so, honest folds, weights that tell signal from noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_salt.model import probe
from napari_salt.model.probe import Samples

pytestmark = pytest.mark.usefixtures("same_random_state")


def run(generator):
    """Value that a generator returns, and what it yields on the way."""
    yielded = []
    while True:
        try:
            yielded.append(next(generator))
        except StopIteration as stop:
            return stop.value, yielded


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(count: int, classes: int, features: int, spread: float = 0.3, seed: int = 0):
    """Points around the corners of a simplex, and their classes."""
    targets = torch.arange(count) % classes
    values = torch.zeros(count, features)
    values[torch.arange(count), targets] = 3
    return values + spread * random(count, features, seed=seed), targets


def make_samples(values, targets, slice_of=None, block_of=None) -> Samples:
    count = len(targets)
    zeros = torch.zeros(count, dtype=torch.int64)
    return Samples(
        values,
        targets,
        zeros if slice_of is None else slice_of,
        zeros if block_of is None else block_of,
        torch.ones(count),
    )


# --- logistic regression --------------------------------------------------------------------------


def test_a_separable_problem_is_solved():
    values, targets = blobs(90, 3, 5)
    (weight, bias), _ = run(probe.fit_queries(values, targets, 3, 1e-4, 60))
    assert torch.equal((values @ weight.T + bias).argmax(1), targets)
    fresh, truth = blobs(90, 3, 5, seed=1)
    assert torch.equal((fresh @ weight.T + bias).argmax(1), truth)


@pytest.mark.parametrize("penalty", sorted(probe.PENALTIES.values()))
def test_the_fit_is_a_minimum_of_its_loss(penalty):
    values, targets = blobs(120, 3, 8, spread=2.0)
    (weight, bias), _ = run(probe.fit_queries(values, targets, 3, penalty, probe.ITERATIONS))

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
        run(probe.fit_queries(values, targets, 2, p, 60))[0][0].norm() for p in (1e-4, 1e-2, 1)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_rows_without_a_sample_stay_zero():
    values, targets = blobs(40, 2, 4)
    (weight, bias), _ = run(probe.fit_queries(values, targets * 3, 5, 1e-3, 30))
    assert weight.shape == (5, 4)
    assert not weight[[1, 2, 4]].any()
    assert not bias[[1, 2, 4]].any()
    assert torch.equal((values @ weight[[0, 3]].T + bias[[0, 3]]).argmax(1), targets)


@pytest.mark.parametrize("targets", [[], [0], [2], [0, 1]])
def test_no_pixel_or_two_are_enough(targets):
    values = random(len(targets), 6)
    (weight, bias), _ = run(
        probe.fit_queries(values, torch.tensor(targets, dtype=torch.int64), 3, 1e-3, 30)
    )
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


def test_the_fit_pauses_every_few_iterations():
    values, targets = blobs(40, 2, 4)
    assert len(run(probe.fit_queries(values, targets, 2, 1e-3, 60))[1]) == 60 / probe.CHUNK


# --- banks, folds, stacking -----------------------------------------------------------------------

PARTS = {"appearance": slice(0, 4), "place": slice(4, 6), "deep": slice(6, 11)}


def test_each_bank_is_fitted_on_its_own_features():
    values, targets = blobs(60, 3, 11)
    fitted, shares = run(probe.fit_banks(make_samples(values, targets), PARTS, 3))
    assert list(fitted) == list(PARTS)
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] == 1
    for name, part in PARTS.items():
        alone, _ = run(
            probe.fit_queries(
                values[:, part].contiguous(), targets, 3, probe.PENALTIES[name], probe.ITERATIONS
            )
        )
        assert torch.equal(fitted[name][0], alone[0])
        assert torch.equal(fitted[name][1], alone[1])


def test_combined_queries_give_the_weighted_sum_of_the_banks():
    values, targets = blobs(60, 3, 11)
    fitted, _ = run(probe.fit_banks(make_samples(values, targets), PARTS, 3))
    weights = {"appearance": 0.3, "place": 0.0, "deep": 2.0}
    queries, bias = probe.combine(fitted, PARTS, weights, 11)
    expected = sum(
        weights[name] * (values[:, part] @ fitted[name][0].T + fitted[name][1])
        for name, part in PARTS.items()
    )
    torch.testing.assert_close(values @ queries.T + bias, expected)


@pytest.mark.parametrize(("slices", "folds"), [(2, 2), (3, 3), (5, 5), (7, 5), (12, 5)])
def test_folds_leave_whole_slices_out(slices, folds):
    slice_of = torch.arange(slices).repeat_interleave(4)
    samples = make_samples(random(len(slice_of), 2), slice_of * 0, slice_of, slice_of % 2)
    fold_of = samples.fold_of()
    assert samples.slices == slices
    assert len(fold_of.unique()) == folds
    for number in range(slices):
        assert len(fold_of[slice_of == number].unique()) == 1


def test_one_slice_is_cut_into_halves_of_a_pattern():
    block_of = torch.tensor([0, 1, 1, 0])
    samples = make_samples(random(4, 2), torch.zeros(4, dtype=torch.int64), block_of=block_of)
    assert torch.equal(samples.fold_of(), block_of)


def test_a_fold_has_not_seen_its_own_slices():
    values, targets = blobs(90, 3, 11)
    slice_of = torch.arange(90) // 30
    targets[slice_of == 1] = torch.arange(30) % 2 * 3  # row 3 occurs on slice 1 alone
    samples = make_samples(values, targets, slice_of)
    folds, shares = run(probe.fit_folds(samples, PARTS, 4))
    assert sorted(folds) == [0, 1, 2]
    assert shares[-1] == 1
    for name in PARTS:
        assert not folds[1][name][0][3].any()
        assert folds[0][name][0][3].any()
    logits = probe.held_out_logits(samples, PARTS, folds)
    for name, part in PARTS.items():
        assert logits[name].shape == (90, 4)
        for fold in (0, 1, 2):
            mine = slice_of == fold
            weight, bias = folds[fold][name]
            expected = values[mine][:, part] @ weight.T + bias
            if fold == 1:
                expected[:, 3] = probe.NEVER
            torch.testing.assert_close(logits[name][mine], expected)
    expected = (slice_of != 1) | (targets != 3)
    assert torch.equal(probe.judged(samples), expected)


def test_a_label_of_one_slice_alone_says_nothing_of_the_banks():
    values, targets = blobs(120, 2, 11, spread=2.0)
    slice_of = torch.arange(120) // 30
    clean = make_samples(values[:90], targets[:90], slice_of[:90])
    targets[90:] = 2  # the last slice carries another label and nothing else
    samples = make_samples(values, targets, slice_of)
    known = probe.judged(samples)
    assert torch.equal(known, slice_of < 3)
    weights = []
    for one in (clean, samples):
        folds, _ = run(probe.fit_folds(one, PARTS, 3))
        logits = probe.held_out_logits(one, PARTS, folds)
        seen = {name: found[probe.judged(one)] for name, found in logits.items()}
        weights.append(probe.stack(seen, one.targets[probe.judged(one)], probe.prior_weights(3), 3))
    assert sum(weights[1].values()) > 0.7 * sum(weights[0].values())


def test_nothing_to_judge_leaves_the_prior():
    empty = {name: torch.zeros(0, 3) for name in PARTS}
    prior = probe.prior_weights(2)
    assert probe.stack(empty, torch.zeros(0, dtype=torch.int64), prior, 2) == prior


@pytest.mark.parametrize("block", [0, 1])
def test_a_slice_painted_in_one_place_only_has_folds_too(block):
    values, targets = blobs(2, 2, 11)
    blocks = torch.full((2,), block)
    samples = make_samples(values, targets, block_of=blocks)
    folds, _ = run(probe.fit_folds(samples, PARTS, 2))
    logits = probe.held_out_logits(samples, PARTS, folds)
    assert all(torch.isfinite(values).all() for values in logits.values())
    weights = probe.stack(logits, targets, probe.prior_weights(1), 1)
    assert all(np.isfinite(weight) for weight in weights.values())


def loss_of(weights, logits, targets, prior, slices):
    total = sum(weights[name] * logits[name] for name in logits)
    pull = sum((weights[n] - prior[n]) ** 2 for n in logits) * probe.PRIOR_STRENGTH / slices
    return float(F.cross_entropy(total, targets)) + pull


@pytest.fixture
def banks():
    """Out-of-fold logits of a good bank, a middling one, and noise."""
    targets = torch.arange(600) % 3
    truth = F.one_hot(targets, 3).float()
    logits = {
        "appearance": 4 * random(600, 3, seed=1),
        "place": truth + random(600, 3, seed=2),
        "deep": 4 * truth + random(600, 3, seed=3),
    }
    return logits, targets


def test_stacking_picks_the_bank_that_knows_and_drops_noise(banks):
    logits, targets = banks
    prior = probe.prior_weights(20)
    weights = probe.stack(logits, targets, prior, 20)
    assert weights["deep"] > 1
    assert 0 <= weights["appearance"] < 0.05
    assert weights["deep"] > weights["place"] > 0.1


def test_stacking_finds_the_minimum(banks):
    logits, targets = banks
    prior = probe.prior_weights(3)
    weights = probe.stack(logits, targets, prior, 3)
    best = loss_of(weights, logits, targets, prior, 3)
    for name in logits:
        for factor in (0.8, 1.25):
            moved = weights | {name: weights[name] * factor}
            assert loss_of(moved, logits, targets, prior, 3) > best - 1e-6
    assert best < loss_of(prior, logits, targets, prior, 3)


def test_few_slices_stay_near_the_prior(banks):
    logits, targets = banks
    few, many = (probe.stack(logits, targets, probe.prior_weights(n), n) for n in (2, 200))
    prior = probe.prior_weights(2)
    assert abs(few["deep"] - prior["deep"]) < abs(many["deep"] - prior["deep"])
    assert abs(few["appearance"] - prior["appearance"]) < abs(many["appearance"] - 0.3)


def test_place_stays_out_with_one_slice(banks):
    logits, targets = banks
    prior = probe.prior_weights(1)
    assert prior["place"] == 0 < probe.prior_weights(2)["place"]
    weights = probe.stack(logits, targets, prior, 1)
    assert list(weights) == list(logits)
    assert weights["place"] == 0
    assert prior == probe.prior_weights(1)  # nothing is written to the defaults


# --- drawing --------------------------------------------------------------------------------------


def paint(seed: int = 0) -> np.ndarray:
    """40 x 50 pixels: half unlabelled, three labels of very different area."""
    targets = np.full((40, 50), -1, np.int64)
    targets[:, :25] = 0
    targets[5:15, 2:12] = 1
    targets[30, 7] = 2
    return targets


@pytest.mark.parametrize("count", [1, 5, 100, 999, 5000])
@pytest.mark.parametrize("seed", range(3))
def test_only_annotated_pixels_are_drawn_once_and_their_weights_are_the_areas(count, seed):
    targets = paint()
    rows, columns, drawn, weights = probe.draw_pixels(targets, count, np.random.default_rng(seed))
    assert len(rows) == len(columns) == len(drawn) == len(weights)
    assert min(count, 1000) <= len(rows) <= min(count, 1000) + 2
    assert np.array_equal(targets[rows, columns], drawn)
    assert drawn.min() >= 0
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    for label in (0, 1, 2):
        area = np.count_nonzero(targets == label)
        assert float(weights[drawn == label].sum()) == pytest.approx(area, rel=1e-5)


def test_every_painted_label_is_drawn_however_few_its_pixels():
    targets = np.zeros((100, 100), np.int64)
    targets[:, 50:] = 1
    targets[0, 0] = 2
    for seed in range(20):
        _, _, drawn, _ = probe.draw_pixels(targets, 10, np.random.default_rng(seed))
        assert set(drawn.tolist()) == {0, 1, 2}


def test_rare_labels_are_drawn_by_the_inverse_root_of_their_area():
    targets = np.zeros((100, 100), np.int64)
    targets[:1] = 1  # 100 of 10,000
    counts = np.zeros(2)
    for seed in range(20):
        _, _, drawn, _ = probe.draw_pixels(targets, 100, np.random.default_rng(seed))
        counts += np.bincount(drawn, minlength=2)
    # √100 against √9900, so about one in eleven (a little less, drawn without replacement)
    assert 0.075 < counts[1] / counts.sum() < 0.1


def test_drawing_depends_on_the_seed_alone():
    first, again, other = (
        probe.draw_pixels(paint(), 100, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def dice(ours: np.ndarray, truth: np.ndarray, row: int) -> float:
    both = np.count_nonzero((ours == row) & (truth == row))
    return 2 * both / (np.count_nonzero(ours == row) + np.count_nonzero(truth == row))


def test_dice_of_all_pixels_is_the_dice_and_of_some_is_close():
    truth = np.zeros((60, 60), np.int64)
    truth[10:40, 10:40], truth[45:55, 5:50] = 1, 2
    ours = np.roll(truth, 4, axis=1)
    for count, tolerance in ((3600, 1e-6), (1200, 0.05)):
        rows, columns, drawn, weights = probe.draw_pixels(truth, count, np.random.default_rng(0))
        found = probe.sampled_dice(torch.from_numpy(ours)[rows, columns], drawn, weights)
        assert sorted(found) == [1, 2]
        for row, value in found.items():
            assert value == pytest.approx(dice(ours, truth, row), abs=tolerance)


def test_dice_leaves_out_the_background_and_what_does_not_occur():
    targets, rows = torch.tensor([0, 0, 3, 3]), torch.tensor([0, 1, 3, 0])
    assert probe.sampled_dice(rows, targets, torch.ones(4)) == {3: pytest.approx(2 / 3)}
    assert probe.sampled_dice(rows, torch.zeros(4, dtype=torch.int64), torch.ones(4)) == {}
