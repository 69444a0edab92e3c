"""Another stack than the painted one: how it is told apart, and which contrast it gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.intensity import Limits
from napari_salt.model import elsewhere
from napari_salt.model import fit as fit_module
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.fit import fit
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.limits import measure_limits
from napari_salt.model.predict import predict, prepare
from napari_salt.records import (
    BACKGROUND,
    FitSettings,
    Label,
    SlicePrediction,
    SliceSummary,
    StackInfo,
)

pytestmark = pytest.mark.usefixtures("small_network")

STACK = StackInfo((5, 8, 9), 1, False, "uint8")
PLAIN = Intensity((0.0,), (1.0,))
LIMITS = Limits((0.0,), (1.0,), (0.0,), (1.0,), "digest")


def prediction(labels: list[int], uncertainty: list[float]) -> SlicePrediction:
    summary = SliceSummary(0, 0.0, {}, {}, np.zeros(1, np.float32))
    image = np.array([labels], np.uint8)
    return SlicePrediction(0, image, np.array([uncertainty], np.float16), summary)


def test_a_stack_is_told_by_shape_type_and_pixels():
    print_ = elsewhere.fingerprint(STACK, LIMITS)
    assert print_ == elsewhere.fingerprint(replace(STACK, name="renamed"), LIMITS)
    assert print_ == elsewhere.fingerprint(STACK, replace(LIMITS, low=(0.1,))), "other percentiles"
    others = [
        elsewhere.fingerprint(replace(STACK, shape=(6, 8, 9)), LIMITS),
        elsewhere.fingerprint(replace(STACK, dtype="uint16"), LIMITS),
        elsewhere.fingerprint(STACK, replace(LIMITS, digest="another")),
    ]
    assert len({print_, *others}) == 4


@pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 100])
def test_a_few_slices_inside_the_stack_are_looked_at(count):
    found = elsewhere.slices_to_look_at(count)
    assert found == sorted(set(found))
    assert 1 <= len(found) <= elsewhere.LOOKED_AT
    assert all(0 <= index < count for index in found)


@pytest.mark.parametrize(("frames", "slices"), [(1, 4), (6, 4), (12, 2), (16, 1), (400, 1)])
def test_of_slices_with_many_frames_fewer_are_looked_at(frames, slices):
    found = elsewhere.slices_to_look_at(100, frames)
    assert len(found) == slices
    assert set(found) <= set(elsewhere.slices_to_look_at(100)), "those that a worker is sent"


def test_doubt_is_that_inside_the_masks():
    found = [prediction([0, 1], [0.9, 0.2]), prediction([2, 0], [0.4, 0.9])]
    assert elsewhere.doubt(found) == pytest.approx(0.3, abs=1e-3)
    assert elsewhere.doubt([prediction([0, 0], [0.9, 0.2])]) is None
    assert elsewhere.doubt([]) is None


@pytest.mark.parametrize(
    ("doubts", "gamma"),
    [
        ({1.0: 0.4, 0.7: 0.5, 1.4: 0.3}, 1.4),
        ({1.0: 0.4, 0.7: 0.3, 1.4: 0.35}, 0.7),
        ({1.0: 0.4, 0.7: 0.39, 1.4: 0.38}, 1.0),  # not clearly surer
        ({1.0: 0.2, 0.7: 0.5, 1.4: 0.3}, 1.0),
        ({1.0: None, 0.7: 0.1, 1.4: 0.1}, 1.0),  # nothing found: nothing to compare with
        ({1.0: 0.4, 0.7: None, 1.4: 0.3}, 1.4),
    ],
)
def test_only_a_clearly_surer_contrast_is_taken(doubts, gamma):
    assert elsewhere.surest(doubts) == gamma


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ((0.0, 10.0), (100.0, 60.0), elsewhere.CLEARLY_ON_ONE_SCALE),
        ((9.0, 14.0), (104.0, 58.0), elsewhere.CLEARLY_ON_ONE_SCALE),
        ((9.0, 16.0), (104.0, 58.0), elsewhere.CLEARLY),  # the second channel begins elsewhere
        ((0.0, 10.0), (107.0, 60.0), elsewhere.CLEARLY),  # the first one ends elsewhere
    ],
)
def test_more_is_asked_of_a_change_where_intensities_span_the_painted_range(low, high, expected):
    trained = Intensity((0.0, 10.0), (100.0, 60.0))
    assert elsewhere.clearly(trained, Intensity(low, high)) == expected
    doubts = {1.0: 0.4, 0.7: 0.3, 1.4: 0.35}
    surest = elsewhere.surest(doubts, expected)
    assert surest == (0.7 if expected == elsewhere.CLEARLY else 1.0)


UM = ("um", "um", "um")
PIXELS = ("pixel", "pixel", "pixel")


@pytest.mark.parametrize(
    ("spacing", "units", "alike"),
    [
        ((3.0, 0.5, 0.5), UM, True),
        ((1.0, 0.6, 0.45), UM, True),
        ((3.0, 1.0, 1.0), UM, False),
        ((3.0, 0.5, 0.25), UM, False),
        ((3.0, 0.5, 0.5), ("mm", "mm", "mm"), False),
        ((1.0, 1.0, 1.0), PIXELS, True),  # nobody knows
    ],
)
def test_pixels_of_a_stack_alike_are_about_as_large(spacing, units, alike):
    stack = replace(STACK, spacing=spacing, units=units)
    assert elsewhere.as_fine(stack, (3.0, 0.5, 0.5), UM) is alike
    assert elsewhere.as_fine(stack, (1.0, 1.0, 1.0), PIXELS)


@pytest.mark.parametrize(
    ("painted", "measured", "alike"),
    [
        (0.01, 0.014, True),
        (0.01, 0.016, False),
        (0.01, 0.006, False),
        (0.0, 0.001, True),
        (0.0, 0.004, False),
        (None, 0.0, False),
        (0.0, None, False),
    ],
)
def test_a_stack_alike_has_about_as_much_noise(painted, measured, alike):
    assert elsewhere.as_noisy(painted, measured) is alike


def test_gamma_keeps_black_white_and_sign():
    plane = np.array([[-0.2, 0.0, 0.25, 1.0]], np.float32)
    found = Intensity((0.0,), (1.0,), gamma=0.5).apply(plane)[0, 0]
    expected = torch.tensor([-(0.2**0.5), 0.0, 0.5, 1.0])
    torch.testing.assert_close(found, expected)
    assert torch.equal(Intensity((0.0,), (1.0,), gamma=1.0).apply(plane), PLAIN.apply(plane))


def test_filters_of_a_stack_of_half_the_resolution_keep_the_trained_scale():
    trained = Framing(256)
    kept = Framing(256, fine=trained.detail_ratio(128, 96))
    assert kept.layout(128, 96) == trained.layout(128, 96)
    assert kept.layout(64, 48).detail == (128, 96)
    assert trained.layout(64, 48).detail == (64, 48)


@pytest.fixture(scope="module")
def trained(planes_of, painted, tiny_backbone):
    """Bright squares on noise, which lie elsewhere on every slice; adapted on three slices."""
    rng = np.random.default_rng(0)
    truth = np.zeros((6, 64, 64), np.uint16)
    for index, one in enumerate(truth):
        one[8 + 4 * index : 28 + 4 * index, 10:40] = 1
    data = (60 + 80 * (truth > 0) + 8 * rng.standard_normal(truth.shape)).astype(np.float32)
    paint = [
        replace(one, targets=np.where(one.targets == 0, BACKGROUND, one.targets))
        for one in painted(truth, (0, 2, 4))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "warm_backbone", lambda *_: tiny_backbone())
        fitting = fit(planes_of(data), paint, [Label(1, "square")], FitSettings(kind="none"))
        outcome, _ = run(fitting)
    return outcome.adapter, data, truth


def found_by(planes, adapter, slices, **options) -> list[np.ndarray]:
    return [one.labels for one in predict(planes, adapter, slices, **options) if one is not None]


def test_the_painted_stack_is_known_again_after_a_file(trained, planes_of, tmp_path):
    adapter, data, truth = trained
    save_adapter(tmp_path / "a.salt.safetensors", adapter)
    loaded = load_adapter(tmp_path / "a.salt.safetensors")
    planes = planes_of(data)
    assert loaded.info.stack == elsewhere.fingerprint(planes.info, measure_limits(planes))
    told: list[str] = []
    assert np.mean(found_by(planes, loaded, [3], tell=told.append)[0] == truth[3]) > 0.97
    assert told == []


def test_another_stack_is_segmented_whatever_its_order(trained, planes_of):
    """Its slices come in another order, so their position says nothing; what they show is the same."""
    adapter, data, truth = trained
    assert adapter.has_other_head
    assert adapter.along_stack("painted")
    assert not adapter.along_stack("other")
    turned = np.concatenate([data[::-1], data[:1]])
    found = found_by(planes_of(turned), adapter, [1, 5])
    for labels, index in zip(found, (4, 0), strict=True):
        assert np.mean(labels == truth[index]) > 0.97


def test_another_stack_of_the_same_shape_and_range_is_not_taken_for_the_painted_one(
    trained, planes_of
):
    """Images of eight bits often go from 0 to 255; here even the pixels are the same ones."""
    adapter, data, truth = trained
    turned = planes_of(data[::-1].copy())
    assert measure_limits(turned).low == measure_limits(planes_of(data)).low
    conditions, _ = run(prepare(turned, adapter, device="cpu"))
    assert conditions.elsewhere
    found = found_by(turned, adapter, [1], conditions=conditions)
    assert np.mean(found[0] == truth[-2]) > 0.97


def test_the_user_is_told_of_a_contrast_that_masks_are_surer_of(trained, planes_of, monkeypatch):
    """By an adapter that does not know what the painted labels look like, as older files are."""
    adapter, data, _ = trained
    tensors = {k: v for k, v in adapter.tensors.items() if not k.startswith("likeness.")}
    adapter = replace(adapter, tensors=tensors)
    monkeypatch.setattr(elsewhere, "surest", lambda doubts, lost: 1.4 if len(doubts) == 3 else 0.0)
    told: list[str] = []
    found_by(planes_of(data[:5]), adapter, [1], tell=told.append)
    assert told == ["The contrast is matched to that of the painted stack (gamma 1.4)"]
