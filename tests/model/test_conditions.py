"""Any part of a stack, anywhere, gets the same masks: conditions are chosen once, from few slices, and travel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.model.conditions import Conditions
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.fit import fit
from napari_salt.model.predict import predict, prepare, slices_to_prepare
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label

COUNT = 40


def result(task):
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


@pytest.fixture
def image():
    stack = np.random.default_rng(0).integers(0, 60, (COUNT, 16, 24), np.uint8)
    stack[:, :, :10] += 120
    return stack


@pytest.fixture
def adapter(small_network, planes_of, image):
    targets = np.where(np.arange(24) < 10, 1, BACKGROUND).astype(np.uint16)
    painted = AnnotatedSlice(3, np.tile(targets, (16, 1)), complete=True)
    settings = FitSettings(kind="none", device="cpu", other_stacks=False)
    return result(fit(planes_of(image), [painted], [Label(1, "left")], settings)).adapter


def found(task):
    return {one.index: one for one in task if one is not None}


@pytest.mark.parametrize("gamma", [1.0, 2.5])
def test_parts_of_a_stack_get_the_masks_of_the_whole(adapter, planes_of, image, gamma, tmp_path):
    """Also of a stack of another contrast, and whether there is a cache or not."""
    other = (255 * (image / 255) ** gamma).astype(np.uint8)
    planes = planes_of(other)
    whole = found(predict(planes, adapter, range(COUNT), device="cpu"))
    text = result(prepare(planes, adapter, device="cpu")).to_json()
    conditions = Conditions.from_json(text)
    assert conditions.elsewhere == (gamma != 1.0)
    cache = FeatureCache(tmp_path)
    for part in ([7], [39, 2], [2]):
        apart = predict(
            planes_of(other), adapter, part, device="cpu", conditions=conditions, cache=cache
        )
        for index, one in found(apart).items():
            assert np.array_equal(one.labels, whole[index].labels)
            assert np.array_equal(one.uncertainty, whole[index].uncertainty)


def test_a_part_reads_its_own_slices_and_where_there_is_noise_those_beside(
    adapter, planes_of, image
):
    planes = planes_of(image)
    conditions = result(prepare(planes, adapter, device="cpu"))
    assert set(planes.read) <= set(slices_to_prepare(COUNT))
    assert set(slices_to_prepare(COUNT)) <= set(slices_to_prepare(COUNT, volume=True))
    assert len(slices_to_prepare(COUNT, volume=True)) < COUNT
    planes.read.clear()
    assert conditions.noise > 0
    found(predict(planes, adapter, [5, 6], device="cpu", conditions=conditions))
    assert sorted(planes.read) == [4, 5, 6, 7]  # noise is all that tells them apart
    planes.read.clear()
    calm = replace(conditions, noise=0.0)
    found(predict(planes, adapter, [5, 6], device="cpu", conditions=calm))
    assert planes.read == [5, 6]


@pytest.mark.parametrize("kin", ["painted", "alike", "other"])
def test_what_a_stack_is_to_an_adapter_travels(kin):
    shown = ((0.5, 0.1), (1.0, 0.7), "percentile", 1.2)
    conditions = Conditions(*shown, kin, 0.03, volume=True, thresholds=(0.0, 1.0, 1 / 3))
    assert Conditions.from_json(conditions.to_json()) == conditions
    assert conditions.elsewhere is (kin != "painted")


@pytest.mark.parametrize(("told", "kin"), [("false", "painted"), ("true", "other")])
def test_runs_begun_by_earlier_versions_go_on(told, kin):
    scale = '"low":[0],"high":[1],"method":"window","gamma":1'
    found = Conditions.from_json(f'{{{scale},"elsewhere":{told}}}')
    assert found == Conditions((0.0,), (1.0,), "window", 1.0, kin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"low":[0],"high":[1],"method":"window","gamma":1,"kin":"mine"}',
        '{"low":[1],"high":[1,2],"method":"window","gamma":1,"kin":"painted"}',
        '{"low":[0],"high":[1],"method":"guess","gamma":1,"kin":"painted"}',
        '{"low":[0],"high":[1],"method":"window","gamma":"x","kin":"painted"}',
        '{"low":[0],"high":[1],"method":"window","gamma":1,"kin":"painted","noise":-0.1}',
        '{"low":[0],"high":[1],"method":"window","gamma":1,"kin":"painted","noise":NaN}',
        '{"low":[0],"high":[1],"method":"window","gamma":1,"kin":"painted","thresholds":[0.5,1.1]}',
        '{"low":[0],"high":[1],"method":"window","gamma":1,"kin":"painted","thresholds":[-0.1]}',
    ],
)
def test_damaged_conditions_are_a_sentence(text):
    with pytest.raises(InputError, match="begin anew"):
        Conditions.from_json(text)
