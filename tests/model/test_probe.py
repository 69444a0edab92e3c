"""The first fit: folds that have not seen their own slices, pixels drawn fairly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from blobs import blobs, random
from generators import run
from napari_salt.model import probe
from napari_salt.model.forest import TREES_AT_ONCE, grow
from napari_salt.model.probe import Fitted, Samples
from napari_salt.model.queries import NEVER, fit_queries

pytestmark = pytest.mark.usefixtures("same_random_state")


def make_samples(deep, targets, fold=None, detail=None, slice_of=None) -> Samples:
    count = len(targets)
    fold = torch.zeros(count, dtype=torch.int64) if fold is None else fold
    return Samples(
        deep,
        random(count, 3, seed=99) if detail is None else detail,
        targets,
        fold if slice_of is None else slice_of,
        fold,
        torch.ones(count),
    )


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


def test_mixing_keeps_probabilities_and_gives_the_forest_the_larger_say():
    linear, forest = torch.tensor([[0.2, 0.8], [1.0, 0.0]]), torch.tensor([[0.6, 0.4], [0.0, 1.0]])
    found = probe.mix(linear, forest, probe.LINEAR_SHARE)
    torch.testing.assert_close(found, 0.25 * linear + 0.75 * forest)
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    assert found.argmax(1).tolist() == [0, 1]


# --- fits and folds -------------------------------------------------------------------------------


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
    expected = probe.mix(
        (samples.deep @ queries.T + bias).softmax(1),
        torch.from_numpy(forest.probabilities(seen)),
        probe.LINEAR_SHARE,
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
    assert probe.rescaled(found, (), 0) is found
    scaled = probe.rescaled(found, (1.0, 0.5, 0.25), 0)
    torch.testing.assert_close(scaled.sum(0), torch.ones(4, 5))
    torch.testing.assert_close(scaled[1] / scaled[0], 0.5 * found[1] / found[0])
    torch.testing.assert_close(
        probe.rescaled(found.movedim(0, 2), (1.0, 0.5, 0.25), 2), scaled.movedim(0, 2)
    )


def test_what_is_drawn_often_and_found_too_often_is_found_less():
    folds = {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}
    assert probe.choose_row_scale(drawn_often(), folds) == pytest.approx((1, 0.1**0.25))
    folds = {0: Finds(0.7, 0.95), 1: Finds(0.7, 0.95)}
    assert probe.choose_row_scale(drawn_often(), folds) == pytest.approx((1, 0.1**0.5))


def test_what_is_found_too_seldom_in_parts_of_a_slice_is_found_more():
    folds = {0: Finds(0.1, 0.4), 1: Finds(0.1, 0.4)}
    more = probe.choose_row_scale(drawn_often(), folds, probe.MORE_POWERS)
    assert more == pytest.approx((0.1**0.25, 1))
    folds = {0: Finds(0.05, 0.3), 1: Finds(0.05, 0.3)}
    more = probe.choose_row_scale(drawn_often(), folds, probe.MORE_POWERS)
    assert more == pytest.approx((0.1**0.5, 1))
    right = {0: Finds(0.4, 0.9), 1: Finds(0.4, 0.9)}
    assert probe.choose_row_scale(drawn_often(), right, probe.MORE_POWERS) == ()


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
    assert probe.choose_row_scale(drawn_often(each), folds) == ()


def test_a_gain_too_small_to_carry_over_changes_nothing(monkeypatch):
    folds = {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}
    monkeypatch.setattr(probe, "AREA_WORTH", 1.0)
    assert probe.choose_row_scale(drawn_often(), folds) == ()


def test_rows_stay_as_they_are_where_nothing_can_be_judged():
    samples = make_samples(random(4, 2), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    assert probe.choose_row_scale(samples, {0: Finds(0.55, 0.9), 1: Finds(0.55, 0.9)}) == ()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({0: (0.9, 0.9), 1: (0.9, 0.9)}, probe.LINEAR_SHARE),  # as good: nothing changes
        ({0: (0.99, 0.4), 1: (0.9, 0.3)}, probe.LINEAR_SHARE),  # never made larger
        ({0: (0.2, 0.95), 1: (0.1, 0.9)}, 0.0),
        ({0: (0.99, 0.1), 1: (0.1, 0.9)}, 0.1),  # together: each is right where the other fails
    ],
)
def test_the_queries_lose_their_say_where_left_out_pixels_ask_for_it(answers, expected):
    targets = torch.arange(40) % 2
    samples = make_samples(random(40, 2), targets, torch.arange(40) // 20)
    weights = torch.where(samples.fold == 0, 1.0, 4.0) if expected == 0.1 else samples.weights
    samples = replace(samples, weights=weights)
    folds = {fold: Answers(*chances) for fold, chances in answers.items()}
    assert probe.choose_share(samples, folds) == expected


def test_the_share_stays_the_usual_one_where_nothing_can_be_judged():
    samples = make_samples(random(4, 2), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]))
    assert probe.choose_share(samples, {0: Answers(0.1, 0.9)}) == probe.LINEAR_SHARE


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
    found = probe.held_out(samples, folds)
    assert found.shape == (90, 5)
    torch.testing.assert_close(found.sum(1), torch.ones(90))
    for fold, fitted in folds.items():
        mine = samples.fold == fold
        torch.testing.assert_close(found[mine], fitted.probabilities(samples)[mine])
    assert not found[samples.fold == 1, 3].any()
    assert found[samples.fold == 0, 3].any()


def test_only_labels_of_other_folds_can_be_judged(samples):
    known = probe.judged(samples)
    assert torch.equal(known, (samples.fold != 1) | (samples.targets != 3))
    assert not probe.judged(samples.part(samples.fold == 0)).any()


@pytest.mark.parametrize("fold", [0, 1])
def test_a_slice_painted_in_one_fold_only_has_a_fit_that_knows_nothing(few_trees, fold):
    deep, targets = blobs(2, 2, 6)
    samples = make_samples(deep, targets, torch.full((2,), fold))
    folds, _ = run(probe.fit_folds(samples, 2))
    assert list(folds) == [fold]
    assert torch.isfinite(probe.held_out(samples, folds)).all()
    assert torch.isfinite(run(probe.fit_all(samples, 2))[0].probabilities(samples)).all()


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
