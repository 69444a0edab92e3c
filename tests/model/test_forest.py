"""Trees as arrays: they answer as scikit-learn's do, and arrays from a stranger end every walk or are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from generators import run
from napari_salt.errors import AdapterError
from napari_salt.model import forest as forest_module
from napari_salt.model.forest import FEATURE_SHARE, FEWEST_IN_LEAF, TOP, TREES_AT_ONCE, Forest, grow

pytestmark = pytest.mark.usefixtures("same_random_state")

FEATURES, ROWS = 5, 4
INT32 = np.iinfo(np.int32)


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


def problem(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose rows 0, 1 and 3 overlap, so that leaves are not pure."""
    values = pixels(count, seed)
    noise = np.random.default_rng(seed + 1).normal(size=count)
    return values, np.array([0, 1, 3])[np.digitize(values[:, 0] + 0.7 * noise, [-0.5, 0.5])]


def arrays_of(forest: Forest) -> dict[str, np.ndarray]:
    return {name: values.numpy().copy() for name, values in forest.tensors().items()}


def read(arrays: dict[str, np.ndarray]) -> Forest:
    return Forest.from_tensors(
        {name: torch.from_numpy(values) for name, values in arrays.items()}, FEATURES, ROWS
    )


@pytest.fixture(scope="module")
def forest() -> Forest:
    return run(grow(*problem(), ROWS, 3))[0]


# --- growing and asking ---------------------------------------------------------------------------


@pytest.mark.parametrize("trees", [1, TREES_AT_ONCE - 1, 2 * TREES_AT_ONCE + 3])
def test_probabilities_are_the_mean_of_the_trees_of_scikit_learn(trees):
    values, targets = problem()
    found = run(grow(values, targets, ROWS, trees, seed=2))[0].probabilities(pixels(177, 9))
    expected = np.zeros((177, ROWS))
    for start in range(0, trees, TREES_AT_ONCE):
        count = min(TREES_AT_ONCE, trees - start)
        model = ExtraTreesClassifier(
            n_estimators=count,
            max_features=FEATURE_SHARE,
            min_samples_leaf=FEWEST_IN_LEAF,
            random_state=2 * 1009 + start,
        ).fit(values, targets)
        expected[:, model.classes_] += count / trees * model.predict_proba(pixels(177, 9))
    assert np.unique(expected.round(4)).size > 3 * trees  # neither pure leaves nor a constant
    np.testing.assert_allclose(found, expected, atol=1 / TOP)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 23])
def test_blocks_make_no_difference(forest, count, monkeypatch):
    values = pixels(count, 3)
    whole = forest.probabilities(values)
    monkeypatch.setattr(forest_module, "BLOCK", 7)
    assert whole.shape == (count, ROWS)
    assert whole.dtype == np.float32
    assert np.array_equal(forest.probabilities(values), whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_make_no_difference(forest, threads, monkeypatch):
    values = pixels(100, 3)
    whole = forest.probabilities(values)
    monkeypatch.setattr(forest_module, "BLOCK", 7)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert np.array_equal(forest.probabilities(values), whole)


def test_compiled_and_plain_walks_end_in_the_same_leaves(forest):
    values = pixels(500, 5)
    values[::7, 0], values[::11, 1], values[::13, 2] = np.nan, np.inf, -np.inf
    assert forest._compiled is not None
    for number, root in enumerate(forest.roots):
        compiled = forest._leaves(values, number)
        assert np.array_equal(compiled, forest._walk(values, int(root)))
        assert len(np.unique(compiled)) > 10


def test_another_release_of_scikit_learn_is_answered_by_the_plain_walk(forest, monkeypatch):
    def renamed(*_):
        raise AttributeError("no such state")

    expected = forest.probabilities(pixels(50, 6))
    monkeypatch.setattr(Forest, "_compile", renamed)
    fresh = read(arrays_of(forest))
    assert np.array_equal(fresh.probabilities(pixels(50, 6)), expected)
    assert fresh._compiled is None


def roots_twice(arrays):
    arrays["roots"][1] = arrays["roots"][0]


def roots_backwards(arrays):
    arrays["roots"] = arrays["roots"][::-1].copy()


def child_in_the_next_tree(arrays):
    arrays["children"][0, 1] = arrays["roots"][1]


@pytest.mark.parametrize("change", [roots_twice, roots_backwards, child_in_the_next_tree])
def test_trees_that_overlap_are_never_compiled(forest, change):
    arrays = arrays_of(forest)
    change(arrays)
    odd = read(arrays)  # every walk stays inside and ends, so it is no damage
    assert odd._compiled is None
    assert np.isfinite(odd.probabilities(pixels(50, 6))).all()


def test_too_few_features_are_refused_before_any_walk(forest):
    with pytest.raises(ValueError, match="the trees ask for feature 4 of 4"):
        forest.probabilities(pixels(5)[:, :4])


def test_each_pixel_is_asked_alone(forest):
    values = pixels(40, 4)
    alone = [forest.probabilities(one[None])[0] for one in values]
    assert np.array_equal(forest.probabilities(values), alone)
    columns = np.asfortranarray(values.astype(np.float64))  # neither its order nor its type matters
    assert np.array_equal(forest.probabilities(columns), alone)


@pytest.mark.parametrize("many", [1, 2, 40])
def test_one_row_alone_is_certain(many):
    found, _ = run(grow(pixels(many), np.full(many, 2), ROWS, 3))
    assert found.probabilities(pixels(6, 1)).tolist() == [[0, 0, 1, 0]] * 6


def test_rows_that_never_occur_get_nothing_and_the_others_all(forest):
    found = forest.probabilities(pixels(200, 5))
    assert not found[:, 2].any()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert found.argmax(1).tolist() != [found[0].argmax()] * 200


def test_without_a_sample_every_row_gets_nothing():
    found, shares = run(grow(np.zeros((0, FEATURES), np.float32), np.zeros(0, np.int64), ROWS, 3))
    assert shares == []
    assert found.rows == ROWS
    assert not found.probabilities(pixels(9)).any()
    assert np.array_equal(read(arrays_of(found)).probabilities(pixels(9)), np.zeros((9, ROWS)))


def test_the_seed_decides_and_nothing_else():
    values, targets = problem()
    first, again, together, other = (
        run(grow(values, targets, ROWS, 10, seed=seed, jobs=jobs))[0].probabilities(pixels(50, 6))
        for seed, jobs in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, together)
    assert not np.array_equal(first, other)


def test_groups_of_trees_differ():
    values, targets = problem()
    found, _ = run(grow(values, targets, ROWS, 2 * TREES_AT_ONCE))
    sizes = np.diff([*found.roots, len(found.feature)])
    assert sizes[:TREES_AT_ONCE].tolist() != sizes[TREES_AT_ONCE:].tolist()


def test_shares_of_the_trees_grown():
    values, targets = problem(40)
    _, shares = run(grow(values, targets, ROWS, 2 * TREES_AT_ONCE + 4))
    assert shares == pytest.approx([0.4, 0.8, 1.0])


def test_holes_and_extremes_end_in_a_leaf(forest):
    values = pixels(8)
    values[0], values[1], values[2], values[3, ::2] = np.nan, np.inf, -np.inf, np.nan
    np.testing.assert_allclose(forest.probabilities(values).sum(1), 1, rtol=1e-6)


# --- files ----------------------------------------------------------------------------------------


def test_arrays_come_back_as_they_were(forest):
    tensors = forest.tensors()
    again = Forest.from_tensors(tensors, FEATURES, ROWS)
    for name, values in arrays_of(forest).items():
        assert getattr(again, name).dtype == values.dtype
        assert np.array_equal(getattr(again, name), values)
    assert np.array_equal(again.probabilities(pixels(60)), forest.probabilities(pixels(60)))


def split_of(arrays) -> int:
    """A node that is no leaf, not the first one."""
    return int(np.flatnonzero(arrays["feature"] >= 0)[1])


def leaf_of(arrays) -> int:
    """A leaf, not the last one."""
    return int(np.flatnonzero(arrays["feature"] < 0)[0])


def set_child(node_of, child):
    def change(arrays):
        arrays["children"][node_of(arrays), 1] = child(node_of(arrays), len(arrays["feature"]))

    return change


def set_at(name, value, node_of=split_of):
    def change(arrays):
        arrays[name][node_of(arrays)] = value

    return change


def reshape(name, cut):
    def change(arrays):
        arrays[name] = np.ascontiguousarray(cut(arrays[name]))

    return change


DAMAGE = {
    **{
        f"no {name}": lambda arrays, name=name: arrays.pop(name)
        for name in ("roots", "feature", "threshold", "children", "leaf")
    },
    **{
        f"{name} as {kind}": reshape(name, lambda values, kind=kind: values.astype(kind))
        for name, kind in (
            ("roots", "int64"),
            ("feature", "int32"),
            ("threshold", "float64"),
            ("children", "int64"),
            ("leaf", "float32"),
        )
    },
    **{
        f"{name} cut short": reshape(name, lambda values: values[:-1])
        for name in ("feature", "threshold", "children", "leaf")
    },
    **{
        f"{name} with another axis": reshape(name, lambda values: values[None])
        for name in ("roots", "feature", "threshold", "children", "leaf")
    },
    "roots without an axis": lambda arrays: arrays.update(roots=np.array(0, np.int32)),
    "feature without an axis": lambda arrays: arrays.update(feature=np.array(3, np.int16)),
    "one child": reshape("children", lambda values: values[:, :1]),
    "a row missing": reshape("leaf", lambda values: values[:, :-1]),
    "a row too many": reshape("leaf", lambda values: np.repeat(values, 2, 1)),
    "no trees": reshape("roots", lambda values: values[:0]),
    "no nodes": lambda arrays: arrays.update(
        {name: arrays[name][:0] for name in ("feature", "threshold", "children", "leaf")}
    ),
    "child behind the end": set_child(split_of, lambda _, count: count),
    "child far behind the end": set_child(split_of, lambda *_: INT32.max),
    "child before its parent": set_child(split_of, lambda node, _: node - 1),
    "child that is its parent": set_child(split_of, lambda node, _: node),
    "negative child": set_child(split_of, lambda *_: -1),
    "most negative child": set_child(split_of, lambda *_: INT32.min),
    "leaf that leads on": set_child(leaf_of, lambda node, _: node + 1),
    "leaf that leads back": set_child(leaf_of, lambda node, _: node - 1),
    "feature that does not exist": set_at("feature", FEATURES),
    "most negative feature": set_at("feature", -(2**15)),
    "leaf with a feature below -1": set_at("feature", -2, leaf_of),
    "leaf with a feature": set_at("feature", 0, leaf_of),
    "split without a feature": set_at("feature", -1),
    "root behind the end": lambda arrays: arrays["roots"].__setitem__(1, len(arrays["feature"])),
    "negative root": lambda arrays: arrays["roots"].__setitem__(1, -1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_arrays_are_refused(forest, damage):
    arrays = arrays_of(forest)
    read(arrays)
    DAMAGE[damage](arrays)
    with pytest.raises(AdapterError, match="trees are damaged; use another copy"):
        read(arrays)


def test_the_kind_of_pixels_is_checked(forest):
    highest = int(forest.feature.max())
    Forest.from_tensors(forest.tensors(), highest + 1, ROWS)
    for features, rows in ((highest, ROWS), (FEATURES, ROWS + 1), (FEATURES, ROWS - 1)):
        with pytest.raises(AdapterError):
            Forest.from_tensors(forest.tensors(), features, rows)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.complex64, torch.bool])
def test_types_that_numpy_lacks_or_trees_never_have_are_refused(forest, kind):
    with pytest.raises(AdapterError):
        Forest.from_tensors(
            forest.tensors() | {"leaf": forest.tensors()["leaf"].to(kind)}, FEATURES, ROWS
        )


def test_thresholds_may_be_anything(forest):
    for value in (np.nan, np.inf, -np.inf):
        odd = read(arrays_of(replace(forest, threshold=np.full_like(forest.threshold, value))))
        np.testing.assert_allclose(odd.probabilities(pixels(20)).sum(1), 1, rtol=1e-6)


def mutate(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Change one number of one array to a near one or to any of its type, or drop some of it."""
    name = list(arrays)[rng.integers(len(arrays))]
    values = arrays[name]
    if rng.random() < 0.1:
        arrays[name] = values[: rng.integers(len(values) + 1)]
        return
    flat = values.reshape(-1)
    place = rng.integers(flat.size)
    if values.dtype.kind == "f":
        flat[place] = rng.choice([np.nan, np.inf, -np.inf, 0, 1e30])
    elif rng.random() < 0.6:
        with np.errstate(over="ignore"):
            flat[place] += values.dtype.type(rng.integers(0, 3)) - values.dtype.type(1)
    else:
        limits = np.iinfo(values.dtype)
        flat[place] = rng.integers(limits.min, limits.max, endpoint=True)


def test_whatever_is_changed_is_refused_or_still_answers():
    small = run(grow(*problem(30), ROWS, 2))[0]
    rng, values = np.random.default_rng(0), pixels(20)
    refused = 0
    for _ in range(300):
        arrays = arrays_of(small)
        for _ in range(rng.integers(1, 4)):
            mutate(arrays, rng)
        try:
            changed = read(arrays)
        except AdapterError:
            refused += 1
            continue
        found = changed.probabilities(values)
        assert found.shape == (20, ROWS)
        assert (found >= 0).all()
        assert (found <= 1).all()
    assert 60 < refused < 290
