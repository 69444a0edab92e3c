"""The contrast of another stack, told by what the network sees of the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.errors import AdapterError
from napari_salt.model import contrast, likeness, mixing
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.encoder import Encoder
from napari_salt.model.features import Standard
from napari_salt.model.fit import fit
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.likeness import Likeness, Match, SmoothPlanes, lowest, moments
from napari_salt.model.predict import predict, prepare
from napari_salt.records import BACKGROUND, FitSettings, IntensityChoice, Label

pytestmark = pytest.mark.usefixtures("small_network")

PLAIN = Intensity((10.0,), (110.0,))
ONES = Standard(torch.zeros(2), torch.ones(2))
LABELS = [Label(1, "bright"), Label(2, "brighter")]


def of(low: float, high: float) -> Likeness:
    return Likeness(torch.tensor([low]), torch.tensor([high]), torch.zeros(2), torch.ones(2))


def test_moments_are_those_of_all_pixels_that_the_drawn_ones_stand_for():
    values = torch.tensor([[1.0, 4.0], [3.0, 8.0], [7.0, 5.0]])
    every = values.repeat_interleave(torch.tensor([2, 3, 1]), 0)
    mean, deviation = moments(values, torch.tensor([2.0, 3.0, 1.0]))
    torch.testing.assert_close(mean, every.mean(0))
    torch.testing.assert_close(deviation, every.std(0, correction=0))


def test_the_same_pixels_are_not_apart_and_others_are():
    values = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    alike = of(0, 1)
    assert alike.distance(values, torch.ones(2), ONES) == pytest.approx(0)
    shifted = alike.distance(values + 2.2, torch.ones(2), ONES)
    assert shifted == pytest.approx(4, rel=1e-4), "in spreads of the labels and a tenth of all"
    assert alike.distance(3.2 * values, torch.ones(2), ONES) == pytest.approx(4, rel=1e-4)


@pytest.mark.parametrize(
    ("low", "high", "bottom", "top"),
    [
        (0.0, 1.0, 30.0, 70.0),  # smoothing had not moved the painted range
        (0.1, 0.9, 25.0, 75.0),  # it had taken a tenth at either end
        (0.5, 0.5, 10.0, 110.0),  # nothing is left of it: the measured one stays
    ],
)
def test_noise_is_left_out_of_the_range(low, high, bottom, top):
    found = of(low, high).range_of(Intensity((30.0,), (70.0,)), PLAIN)
    assert found.low[0] == pytest.approx(bottom)
    assert found.high[0] == pytest.approx(top)


@pytest.mark.parametrize(
    ("known", "gamma", "left"),
    [
        ({-1: 4.0, 0: 2.0, 1: 4.0}, 1.0, 1.0),
        ({-1: 1.0, 0: 1.0, 1: 3.0}, 2**-0.125, 0.75),
        ({-1: 9.0, 0: 4.0, 1: 1.0, 2: 0.0, 3: 1.0}, 2**0.5, 0.0),
        ({-1: 9.0, 0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}, 2**0.75, 0.25),  # no farther than that
        ({-1: 1.0, 0: 1.0, 1: 1.0}, 1.0, 1.0),
        ({-1: 0.0, 0: 0.0, 1: 0.0}, 1.0, 1.0),
    ],
)
def test_the_least_distance_lies_between_the_steps(known, gamma, left):
    found = lowest(known)
    assert found.gamma == pytest.approx(gamma, abs=1e-3)
    assert found.distance == pytest.approx(left)


def test_smoothed_planes_keep_detail_holes_and_channels_apart(planes_of):
    rng = np.random.default_rng(0)
    large = (2**31 + rng.integers(0, 50, (1, 20, 20))).astype(np.uint32)
    found = SmoothPlanes(planes_of(large)).plane(0)
    assert 2**31 + 12 < found.min() < found.max() < 2**31 + 38
    holes = np.ones((1, 20, 20), np.float32)
    holes[0, 5, 5], holes[0, 9, 9] = np.nan, np.inf
    assert np.isfinite(SmoothPlanes(planes_of(holes)).plane(0)).all()
    colours = np.zeros((1, 20, 20, 3), np.uint8)
    colours[..., 1] = 200
    found = SmoothPlanes(planes_of(colours, rgb=True)).plane(0)
    assert found.shape == (20, 20, 3)
    assert (found[..., 0] == 0).all()
    np.testing.assert_allclose(found[..., 1], 200, rtol=1e-6)


# --- from the fit to another stack ----------------------------------------------------------------


@pytest.fixture
def no_queries(monkeypatch):
    """Labels are told by intensity alone."""
    monkeypatch.setattr(mixing, "choose_share", lambda *_: 0.0)


@pytest.fixture(scope="module")
def scene():
    """Two levels far above the background, 0..1; what shows them under a contrast, and their labels."""
    rng = np.random.default_rng(0)
    truth = np.zeros((6, 64, 64), np.uint16)
    for index, one in enumerate(truth):
        one[4 + 3 * index : 34 + 3 * index, 6:36] = 1
        one[12 + 3 * index : 26 + 3 * index, 30:58] = 2
    levels = np.array([0.02, 0.4, 0.6])[truth] + 0.02 * rng.standard_normal(truth.shape)
    levels[:, :4, :16] = 1.0  # which the contrast does not change

    def shown(gamma: float = 1.0, noise: float = 0.0, offset: float = 0.0) -> np.ndarray:
        grain = noise * np.random.default_rng(1).standard_normal(levels.shape)
        return (1000 * (np.clip(levels, 0, 1) ** gamma + grain + offset)).astype(np.float32)

    return shown, truth


@pytest.fixture
def fitted(scene, planes_of, painted):
    def fit_to(slices=(0, 2, 4), **changes):
        shown, truth = scene
        paint = [
            replace(one, targets=np.where(one.targets == 0, BACKGROUND, one.targets))
            for one in painted(truth, slices)
        ]
        settings = replace(FitSettings(kind="none", device="cpu"), **changes)
        return run(fit(planes_of(shown()), paint, LABELS, settings))[0].adapter

    return fit_to


def masks(planes, adapter, slices, **options):
    return [one.labels for one in predict(planes, adapter, slices, **options) if one is not None]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"slices": (2,)}, True),
        ({"other_stacks": False}, False),
        ({"intensity": IntensityChoice("window", 0.0, 1000.0)}, False),
        ({"time_budget": 0.0}, False),
    ],
)
def test_what_labels_look_like_is_kept_where_intensity_tells_them(
    changes, kept, fitted, monkeypatch
):
    monkeypatch.setattr(mixing, "choose_share", lambda *_: 0.0)
    found = fitted(**changes).likeness()
    assert (found is not None) is kept


def test_where_features_tell_labels_the_doubt_of_the_masks_is_asked(fitted, monkeypatch):
    monkeypatch.setattr(mixing, "choose_share", lambda *_: mixing.LINEAR_SHARE)
    assert fitted().likeness() is None


@pytest.mark.usefixtures("no_queries")
@pytest.mark.parametrize("applied", [0.6, 1.5])
def test_another_contrast_is_undone(applied, fitted, scene, planes_of):
    shown, truth = scene
    adapter, other = fitted(), planes_of(shown(applied, offset=0.5))
    told: list[str] = []
    chosen, shares = run(prepare(other, adapter, tell=told.append))
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert chosen.gamma == pytest.approx(1 / applied, rel=0.2)
    assert told == [
        f"The contrast is matched to that of the painted stack (gamma {chosen.gamma:.2g})"
    ]
    (found,) = masks(other, adapter, [3], conditions=chosen)
    (plain,) = masks(other, adapter, [3], conditions=replace(chosen, gamma=1.0))
    assert np.mean(found == truth[3]) > 0.95 > np.mean(plain == truth[3])


@pytest.mark.usefixtures("no_queries")
def test_the_same_contrast_stays(fitted, scene, planes_of):
    shown, _ = scene
    told: list[str] = []
    for offset in (0.0, 0.5):  # on one scale, and on another
        other = planes_of(shown(offset=offset)[:5])
        chosen = run(prepare(other, fitted(), tell=told.append))[0]
        assert chosen.elsewhere
        assert chosen.gamma == 1.0
    assert told == []


@pytest.mark.usefixtures("no_queries")
def test_noise_does_not_widen_the_range(fitted, scene, planes_of):
    shown, _ = scene
    other = planes_of(shown(noise=0.1, offset=0.5))
    chosen = run(prepare(other, fitted()))[0]
    calm = run(prepare(planes_of(shown(offset=0.5)), fitted()))[0]
    raw = np.percentile(other.data, (0.5, 99.5))
    assert abs(chosen.low[0] - calm.low[0]) < 0.5 * abs(raw[0] - calm.low[0])
    assert chosen.low[0] > raw[0]


@pytest.mark.usefixtures("no_queries")
def test_without_masks_nothing_is_matched(fitted, planes_of, monkeypatch):
    asked = []
    real = contrast.match_contrast

    def spied(*args):
        found = yield from real(*args)
        asked.append(found)
        return found

    monkeypatch.setattr(contrast, "match_contrast", spied)
    adapter = fitted()
    dark = planes_of(np.linspace(0, 40, 6 * 64 * 64, dtype=np.float32).reshape(6, 64, 64))
    monkeypatch.setattr(contrast, "segment_slices", lambda *_: iter(()))
    assert run(prepare(dark, adapter))[0].gamma == 1.0
    assert asked == [Match(1.0, 1.0)]


@pytest.mark.usefixtures("no_queries")
@pytest.mark.parametrize(
    ("left", "same_scale", "elsewhere"),
    [(0.4, True, True), (0.6, False, True), (0.99, False, False)],
)
def test_a_change_must_be_worth_it_and_more_so_on_one_scale(
    left, same_scale, elsewhere, fitted, scene, planes_of, monkeypatch
):
    def matched(*_):
        return Match(1.3, left)
        yield

    monkeypatch.setattr(contrast, "match_contrast", matched)
    shown, _ = scene
    adapter = fitted()
    same = run(prepare(planes_of(shown()[:5]), adapter))[0]
    assert same.gamma == (1.3 if same_scale else 1.0)
    other = run(prepare(planes_of(shown(offset=0.5)), adapter))[0]
    assert other.gamma == (1.3 if elsewhere else 1.0)


@pytest.mark.usefixtures("no_queries")
def test_it_survives_a_file_and_is_refused_where_it_is_damaged(fitted, tmp_path):
    adapter = fitted()
    save_adapter(tmp_path / "a.salt.safetensors", adapter)
    before = adapter.likeness().tensors()
    after = load_adapter(tmp_path / "a.salt.safetensors").likeness().tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in before:
        key = f"likeness.{name}"
        less = {k: v for k, v in adapter.tensors.items() if k != key}
        for tensors in (less, {**less, key: torch.zeros(99)}):
            with pytest.raises(AdapterError, match="damaged"):
                replace(adapter, tensors=tensors).likeness()


@pytest.mark.usefixtures("no_queries")
@pytest.mark.parametrize("kind", [torch.bool, torch.int16, torch.float16])
def test_a_file_of_other_kinds_of_numbers_ends_in_masks(kind, fitted, scene, planes_of):
    adapter = fitted()
    odd = {k: v.to(kind) if k.startswith("likeness.") else v for k, v in adapter.tensors.items()}
    other = planes_of(scene[0](offset=0.5))
    found = masks(other, replace(adapter, tensors=odd), [3])
    assert len(found) == 1


def test_strokes_too_short_to_tell_are_not_kept(small_network, planes_of):
    planes = planes_of(np.zeros((3, 64, 64), np.float32))
    encoder = Encoder(small_network, Intensity((0.0,), (1.0,)), Framing(16))
    tail = small_network.make_tail()
    measuring = likeness.measure_likeness(
        encoder, planes, [], (("neck", 8),), tail, FitSettings().intensity
    )
    assert run(measuring)[0] is None


def test_pixels_keep_their_order_across_the_frames_of_a_slice(small_network, planes_of):
    smooth = SmoothPlanes(planes_of(np.random.default_rng(0).random((1, 40, 40))))
    encoder = Encoder(small_network, Intensity((0.0,), (1.0,)), Framing(16, zoom=1.0))
    rows, columns = (
        each.reshape(-1) for each in torch.meshgrid(*[torch.arange(0, 40, 3)] * 2, indexing="ij")
    )
    taps, tail = (("neck", 8),), small_network.make_tail()

    def features(order):
        *passes, found = likeness._features_at(
            encoder, smooth, 0, rows[order], columns[order], taps, tail
        )
        assert len(passes) > 4
        return found

    straight, turned = features(slice(None)), features(torch.arange(len(rows) - 1, -1, -1))
    torch.testing.assert_close(turned.flip(0), straight)
    assert straight.std(0).min() > 0
