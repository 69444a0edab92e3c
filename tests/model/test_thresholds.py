"""Where a label begins: half of the Dice that can be expected, told by probabilities of slices nobody painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from generators import run
from napari_salt.errors import InputError
from napari_salt.model import elsewhere
from napari_salt.model import predict as predict_module
from napari_salt.model.conditions import Conditions
from napari_salt.model.decide import decide
from napari_salt.model.feature_cache import BYTES_A_FRAME, FeatureCache
from napari_salt.model.fit import fit
from napari_salt.model.predict import predict, prepare, slices_to_prepare
from napari_salt.model.thresholds import (
    FEW,
    MOST_PIXELS,
    Thresholds,
    areas_told,
    choose_thresholds,
    rows_above,
    sampled,
)
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label
from napari_salt.sparse_plane import SparsePlane

COUNT = 12


def look(*labels) -> np.ndarray:
    """(K + 1, M): probabilities of the labels and, first, of the background."""
    found = np.array(labels, np.float32)
    return np.concatenate([1 - found.sum(0, keepdims=True), found])


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.sum(found & truth) / (found.sum() + truth.sum())


def test_a_label_that_is_told_perfectly_begins_at_one_half():
    assert choose_thresholds([look([1.0, 1.0, 0.0, 0.0])]) == (0.5,)


def test_the_more_doubt_the_earlier_a_label_begins():
    sure = look([0.95] * 50 + [0.02] * 50)
    unsure = look([0.6] * 20 + [0.4] * 30 + [0.15] * 50)
    (high,), (low,) = choose_thresholds([sure]), choose_thresholds([unsure])
    assert low < high <= 0.5
    assert low < 0.4, "what is more probably background is found as well"


def test_the_most_probable_of_many_labels_is_taken_where_none_is_above_its_own():
    seen = look([0.46, 0.2, 0.1], [0.44, 0.5, 0.2])
    assert Thresholds((0.47, 0.48), cores=False).rows(seen, seen.argmax(0)).tolist() == [1, 2, 0]
    assert Thresholds((0.1, 0.6), cores=False).rows(seen, seen.argmax(0)).tolist() == [1, 1, 0]


def test_a_pixel_of_some_weight_is_as_many_pixels():
    rng = np.random.default_rng(1)
    seen = look(*rng.dirichlet((0.5, 0.5, 1.0), 200)[:, :2].T)
    weights = rng.integers(1, 6, 200)
    weighted = choose_thresholds([seen[:, :90], seen[:, 90:]], weights.astype(np.float32))
    assert weighted == choose_thresholds([np.repeat(seen, weights, axis=1)])
    assert weighted != choose_thresholds([seen])


def test_dice_gains_where_probabilities_are_right():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 1.2, 40_000).astype(np.float32)
    truth = rng.random(len(probability)) < probability
    seen = look(probability)
    thresholds = choose_thresholds([seen[:, ::4], seen[:, 1::4]])
    found = rows_above(seen, thresholds) > 0
    assert dice(found, truth) > dice(probability > 0.5, truth) + 0.01
    best = max(dice(probability > one, truth) for one in np.linspace(0.1, 0.9, 33))
    assert dice(found, truth) > best - 0.01


def test_a_label_that_is_found_nowhere_gets_the_mean_of_the_others():
    seen = look([0.8] * 10 + [0.3] * 10, [0.1] * 20, [0.0] * 10 + [0.6] * 10)
    first, nowhere, third = choose_thresholds([seen])
    assert nowhere == pytest.approx((first + third) / 2, abs=1e-4)


@pytest.mark.parametrize("looks", [[], [look([0.2] * 9)]])
def test_nothing_to_go_by_is_the_most_probable_label(looks):
    assert choose_thresholds(looks) == ()


def test_the_label_most_above_its_threshold_is_taken():
    seen = look([0.31, 0.30, 0.05], [0.36, 0.20, 0.10])
    assert rows_above(seen, (0.2, 0.3)).tolist() == [1, 1, 0]
    ids = np.array([0, 7, 9], np.uint8)
    plain, chosen = (
        decide(seen[..., None], ids),
        decide(seen[..., None], ids, Thresholds((0.2, 0.3), cores=False)),
    )
    assert plain.labels.ravel().tolist() == [9, 0, 0]
    assert chosen.labels.ravel().tolist() == [7, 7, 0]
    assert np.array_equal(plain.uncertainty, chosen.uncertainty), "doubt is that of the network"


def test_a_piece_without_a_core_is_as_probable_as_it_looks():
    """Rows that begin early: one whose core is a third of it, one without, and one that is the most probable."""
    label = np.zeros((9, 12), np.float32)
    label[1:4, 1:4], label[2, 1:4] = 0.3, 0.6
    label[1:4, 8:11] = 0.3
    label[6:8, 1:3] = 0.9
    seen = np.stack([1 - label, label])
    ids = np.array([0, 5], np.uint8)
    loose = decide(seen, ids, Thresholds((0.25,), cores=False)).labels > 0
    cored = decide(seen, ids, Thresholds((0.25,))).labels > 0
    assert np.array_equal(loose, label > 0.25)
    assert np.array_equal(np.argwhere(loose & ~cored).min(0), [1, 8])
    assert cored[1:4, 1:4].all()
    assert cored[6:8, 1:3].all()
    assert cored.sum() == loose.sum() - 9
    label[2, 8:10] = 0.6  # less than a quarter of that piece
    most = decide(np.stack([1 - label, label]), ids, Thresholds((0.25,))).labels[1:4, 8:11]
    assert most.sum() == 2 * 5, "what is the most probable stays"


def test_a_large_map_is_sampled_on_a_grid():
    large = np.zeros((2, 700, 900), np.float32)
    assert MOST_PIXELS / 4 < sampled(large).shape[1] <= MOST_PIXELS
    small = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert np.array_equal(sampled(small), small.reshape(1, 12))


def test_strokes_tell_no_areas():
    whole = np.full((8, 8), BACKGROUND, np.uint16)
    strokes = np.zeros((8, 8), np.uint16)
    strokes[2] = 1
    assert areas_told([AnnotatedSlice(0, whole)])
    assert areas_told([AnnotatedSlice(0, whole), AnnotatedSlice(1, strokes)])
    assert not areas_told([AnnotatedSlice(1, strokes)])
    assert not areas_told([AnnotatedSlice(0, SparsePlane.of(whole))])


@pytest.fixture
def image():
    """A bright half that fades into the noise."""
    stack = np.random.default_rng(0).integers(0, 90, (COUNT, 16, 24), np.uint8)
    stack[:, :, :12] += 60
    return stack


@pytest.fixture
def adapted(small_network, planes_of, image):
    def adapt(*slices, strokes=False):
        targets = np.tile(np.where(np.arange(24) < 12, 1, BACKGROUND).astype(np.uint16), (16, 1))
        if strokes:
            targets[2:] = 0
        paint = [AnnotatedSlice(index, targets) for index in slices]
        settings = FitSettings(kind="none", device="cpu", other_stacks=False)
        return run(fit(planes_of(image), paint, [Label(1, "left")], settings))[0].adapter

    return adapt


class Reads:
    """Planes that remember which of them were read."""

    def __init__(self, planes):
        self._planes, self.info = planes, planes.info
        self.read = set()

    def plane(self, index):
        self.read.add(index)
        return self._planes.plane(index)


def test_a_stack_is_looked_at_once_and_masks_follow(adapted, planes_of, image):
    adapter = adapted(3)
    planes = Reads(planes_of(image))
    conditions, shares = run(prepare(planes, adapter, device="cpu"))
    (threshold,) = conditions.thresholds
    assert 0 < threshold < 0.5
    assert shares == sorted(shares)
    assert planes.read <= set(slices_to_prepare(COUNT))
    assert Conditions.from_json(conditions.to_json()) == conditions

    def masks(seen):
        _, yielded = run(predict(planes, adapter, [5], device="cpu", conditions=seen))
        return [one for one in yielded if one is not None]

    (with_it,), (without,) = masks(conditions), masks(replace(conditions, thresholds=()))
    assert with_it.summary.areas[1] == np.count_nonzero(with_it.labels)
    assert np.count_nonzero(with_it.labels) >= np.count_nonzero(without.labels)
    (everything,) = masks(replace(conditions, thresholds=(1e-6,), kin="other"))
    assert np.count_nonzero(everything.labels) > np.count_nonzero(with_it.labels), "they decide"


@pytest.mark.parametrize("noisy", [False, True])
def test_what_a_stack_is_looked_at_for_is_not_seen_again_for_its_masks(
    adapted, planes_of, image, small_network, tmp_path, monkeypatch, noisy
):
    monkeypatch.setattr(predict_module, "measure_noise", lambda *_: 9.0 if noisy else 0.0)
    adapter, planes = adapted(3), planes_of(image)

    def masks(**options):
        small_network.passes.clear()
        _, yielded = run(predict(planes, adapter, range(COUNT), device="cpu", **options))
        return [one.labels for one in yielded if one is not None], sum(small_network.passes)

    conditions, _ = run(prepare(planes, adapter, device="cpu"))
    assert conditions.thresholds
    expected, frames = masks(conditions=conditions)
    for cache in (None, FeatureCache(tmp_path, 2 * BYTES_A_FRAME)):  # which does not hold them all
        found, seen = masks(cache=cache)
        assert seen == frames
        assert np.array_equal(found, expected)


def test_painted_slices_are_not_looked_at_and_strokes_choose_nothing(adapted, planes_of, image):
    looked_at = elsewhere.slices_to_look_at(COUNT)
    every, _ = run(prepare(planes_of(image), adapted(*looked_at), device="cpu"))
    assert every.thresholds == (), "all that could be looked at was painted"
    strokes, _ = run(prepare(planes_of(image), adapted(3, strokes=True), device="cpu"))
    assert strokes.thresholds == ()


def test_with_many_painted_slices_only_other_stacks_have_thresholds(adapted, planes_of, image):
    few, many = adapted(*range(FEW)), adapted(*range(FEW + 1))
    assert run(prepare(planes_of(image), few, device="cpu"))[0].thresholds
    assert run(prepare(planes_of(image), many, device="cpu"))[0].thresholds == ()
    darker = (image // 3).astype(np.uint8)
    assert run(prepare(planes_of(darker), many, device="cpu"))[0].thresholds


def test_another_stack_has_thresholds_of_its_own(adapted, planes_of, image):
    darker = (image // 3).astype(np.uint8)
    conditions, _ = run(prepare(planes_of(darker), adapted(3), device="cpu"))
    assert conditions.elsewhere
    assert len(conditions.thresholds) == 1


def test_thresholds_of_other_labels_are_refused(adapted, planes_of, image):
    planes, adapter = planes_of(image), adapted(3)
    conditions, _ = run(prepare(planes, adapter, device="cpu"))
    wrong = replace(conditions, thresholds=(0.4, 0.4))
    with pytest.raises(InputError, match="begin anew"):
        run(predict(planes, adapter, [5], device="cpu", conditions=wrong))


def test_runs_begun_before_there_were_any_go_on_without(adapted, planes_of, image):
    conditions, _ = run(prepare(planes_of(image), adapted(3), device="cpu"))
    before = replace(conditions, thresholds=())
    text = before.to_json().replace(', "thresholds": []', "")
    assert "thresholds" not in text
    assert Conditions.from_json(text) == before
