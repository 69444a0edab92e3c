"""Neighbouring slices decide together where noise is all that tells them apart, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_salt.model.conditions import Conditions
from napari_salt.model.fit import fit
from napari_salt.model.framing import Intensity
from napari_salt.model.noise import (
    NOISY,
    Seen,
    compared_slices,
    measure_noise,
    neighbour_weight,
    steady,
)
from napari_salt.model.predict import predict, prepare, slices_to_read
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label
from napari_salt.regions import LARGE

COUNT, SIZE = 12, (48, 64)
AS_IT_IS = Intensity((0.0,), (1.0,))


def scene(shift=0.0):
    """A smooth image in 0..1 whose rim lies at ``shift`` more columns."""
    columns = np.arange(SIZE[1])[None] - 30 - shift
    return np.broadcast_to(0.25 + 0.5 / (1 + np.exp(-columns / 2)), SIZE).astype(np.float32)


def noisy_stack(sigma, drift=0.3):
    rng = np.random.default_rng(0)
    return np.stack(
        [scene(drift * i) + sigma * rng.standard_normal(SIZE, np.float32) for i in range(COUNT)]
    )


@pytest.mark.parametrize("sigma", [0.03, 0.06, 0.12])
def test_noise_is_measured_in_parts_of_the_intensity_range(planes_of, sigma):
    planes = planes_of(noisy_stack(sigma))
    assert measure_noise(planes, AS_IT_IS) == pytest.approx(sigma, rel=0.15)
    half = replace(AS_IT_IS, high=(2.0,))
    found = measure_noise(planes, half)
    assert found == (pytest.approx(sigma / 2, rel=0.15) if sigma / 2 > 1.2 * NOISY else 0)


def test_calm_stacks_and_independent_pictures_are_left_alone(planes_of):
    assert measure_noise(planes_of(noisy_stack(0.005)), AS_IT_IS) == 0
    rng = np.random.default_rng(1)
    pictures = np.zeros((COUNT, *SIZE), np.float32)  # on the same empty background
    for picture in pictures:
        for y, x in rng.integers(0, (40, 56), (9, 2)):
            picture[y : y + 8, x : x + 8] = 0.8
    pictures += 0.05 * rng.standard_normal(pictures.shape, np.float32)
    assert measure_noise(planes_of(pictures), AS_IT_IS) == 0


@pytest.mark.parametrize("shape", [(1, 48, 64), (12, 4, 64), (2, 1024, LARGE // 1024 + 1)])
def test_where_there_is_nothing_to_compare_no_noise_is_told(planes_of, shape):
    noise = 0.05 * np.random.default_rng(0).standard_normal(shape, np.float32)
    assert measure_noise(planes_of(noise), AS_IT_IS) == 0


def test_pairs_of_neighbours_are_compared():
    assert compared_slices(1) == []
    assert compared_slices(2) == [0, 1]
    many = compared_slices(1000)
    assert len(many) == 8
    assert all(b - a == 1 for a, b in zip(many[::2], many[1::2], strict=True))


def test_a_neighbour_counts_where_only_noise_differs():
    stack = noisy_stack(0.05, drift=0)
    other = stack[1].copy()
    other[:20, :20] += 0.4
    weight = neighbour_weight(stack[:1], other[None], 0.05)
    assert weight.shape == SIZE
    assert weight[:16, :16].max() < 0.05
    assert weight[26:, 26:].mean() > 0.85


def test_other_things_beside_change_nothing():
    rng = np.random.default_rng(0)
    here = Seen(np.zeros((1, 8, 8), np.float32), rng.random((3, 8, 8), np.float32))
    other = Seen(np.full((1, 8, 8), 1, np.float32), rng.random((3, 8, 8), np.float32))
    np.testing.assert_array_equal(steady(here, [other, other], 0.03), here.probabilities)
    same = replace(other, image=here.image)
    mean = (here.probabilities + 2 * same.probabilities) / 3
    np.testing.assert_allclose(steady(here, [same, same], 0.03), mean, rtol=1e-5)


def test_probabilities_may_lie_on_a_finer_or_coarser_grid():
    stack = noisy_stack(0.05, drift=0)
    probabilities = np.random.default_rng(0).random((2, 2, 24, 32), np.float32)
    here, other = (
        Seen(image[None], values) for image, values in zip(stack, probabilities, strict=False)
    )
    found = steady(here, [other], 0.05)
    assert found.shape == (2, 24, 32)
    np.testing.assert_allclose(found, probabilities.mean(0), atol=0.15)


def test_slices_beside_are_read_only_where_they_decide():
    calm = Conditions((0.0,), (1.0,), "percentile", 1.0, "painted")
    noisy = replace(calm, noise=0.05)
    assert slices_to_read([4, 3], 10, calm) == [3, 4]
    assert slices_to_read([9, 4, 0], 10, noisy) == [0, 1, 3, 4, 5, 8, 9]


@pytest.mark.parametrize("noise", ['"much"', "-1", "NaN", "null"])
def test_a_strange_noise_in_kept_conditions_is_refused(noise):
    from napari_salt.errors import InputError

    text = Conditions((0.0,), (1.0,), "percentile", 1.0, "painted", 0.05).to_json()
    assert Conditions.from_json(text).noise == 0.05
    with pytest.raises(InputError, match="begin anew"):
        Conditions.from_json(text.replace("0.05", noise))


def test_runs_that_began_before_noise_was_measured_go_on_without_it():
    text = '{"low": [0], "high": [1], "method": "percentile", "gamma": 1.0, "elsewhere": false}'
    assert Conditions.from_json(text).noise == 0


def result(task):
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


@pytest.mark.usefixtures("small_network")
def test_noise_costs_the_masks_less(planes_of):
    """Painted on a calm stack, segmented on a noisy one of the same things; in any order, the same masks."""
    calm, noisy = noisy_stack(0.002, drift=0.1), noisy_stack(0.15, drift=0.1)
    truth = np.stack(
        [np.broadcast_to(np.arange(SIZE[1])[None] >= 30 + 0.1 * i, SIZE) for i in range(COUNT)]
    )
    paint = AnnotatedSlice(5, np.where(truth[5], 1, BACKGROUND).astype(np.uint16), complete=True)
    settings = FitSettings(kind="none", device="cpu", other_stacks=False)
    adapter = result(fit(planes_of(calm), [paint], [Label(1, "right")], settings)).adapter
    planes = planes_of(noisy)
    conditions = result(prepare(planes, adapter, device="cpu"))
    assert conditions.noise > NOISY

    def wrong(conditions, slices=tuple(range(COUNT))):
        found = predict(planes, adapter, slices, device="cpu", conditions=conditions)
        masks = {one.index: one.labels for one in found if one is not None}
        return masks, sum(np.count_nonzero((masks[i] > 0) != truth[i]) for i in masks)

    together, few = wrong(conditions)
    _, many = wrong(replace(conditions, noise=0.0))
    assert few < 0.8 * many
    for part in ([7], [11, 2, 3], [0]):
        for index, mask in wrong(conditions, part)[0].items():
            np.testing.assert_array_equal(mask, together[index])
    planes.read.clear()
    outwards = (5, 6, 4, 7, 3, 8, 2, 9, 1, 10, 0, 11)  # as the window asks for them
    for index, mask in wrong(conditions, outwards)[0].items():
        np.testing.assert_array_equal(mask, together[index])
    assert sorted(planes.read) == list(range(COUNT)), "each slice goes through the network once"
