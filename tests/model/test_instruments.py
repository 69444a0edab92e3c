"""A painted stack through made-up instruments: which slices, what contrast, noise, resolution; whole and in parts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.intensity import AUTO
from napari_salt.model import instruments
from napari_salt.model.framing import Intensity, measure_intensity
from napari_salt.model.instruments import (
    INSTRUMENTS,
    MOST_SEEN,
    Instrument,
    SeenPlanes,
    seen_planes,
    slices_to_see,
)
from napari_salt.records import IntensityChoice

PLAIN = Instrument(1.0, 0.0, coarse=False)


@pytest.fixture
def data() -> np.ndarray:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :60]
    slices = [np.hypot(y - 24, x - 20 - 4 * i) for i in range(4)]
    return (100 + 3000 * np.exp(-np.stack(slices) / 12) + rng.normal(0, 5, (4, 48, 60))).astype(
        np.uint16
    )


@pytest.fixture
def through(planes_of, monkeypatch):
    """The stack through one instrument, without shading unless asked for."""

    def see(stack, instrument, *, shade=0.0, window=None, rgb=False):
        monkeypatch.setattr(instruments, "INSTRUMENTS", (instrument,))
        monkeypatch.setattr(instruments, "SHADE", shade)
        planes = planes_of(stack, rgb=rgb)
        choice = AUTO if window is None else IntensityChoice("window", *window)
        scale = measure_intensity(planes, choice)
        (seen,) = seen_planes(planes, scale, choice, [0, 3])
        return seen, scale

    return see


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 10, 33, 300])
def test_of_a_few_slices_all_are_seen_of_many_some_from_end_to_end(count):
    slices = list(range(3, 3 + 2 * count, 2))
    found = slices_to_see({index: {0, 1} for index in slices})
    assert found == sorted(set(found))
    assert len(found) == min(count, MOST_SEEN)
    assert {slices[0], slices[-1]} <= set(found) <= set(slices)
    gaps = np.diff(found)
    assert count == 1 or gaps.max() - gaps.min() <= 2, "evenly spread"


def test_a_label_that_those_do_not_show_brings_a_slice_more():
    painted: dict[int, set[int]] = {index: {0, 1} for index in range(11)}
    usual = slices_to_see(painted)
    assert usual == [0, 2, 5, 8, 10]
    painted[2] |= {2}
    painted[3] |= {2, 3}
    painted[4] |= {3}
    painted[6] |= {3}
    assert slices_to_see(painted) == [0, 2, 4, 5, 8, 10], "in the middle of those that show it"


def test_an_instrument_that_changes_nothing_shows_the_stack_on_its_scale(data, through):
    seen, scale = through(data, PLAIN)
    expected = scale.apply(data[1])[0].numpy()
    assert seen.plane(1).dtype == np.float32
    assert np.allclose(seen.plane(1), expected, atol=0.03)  # its range is measured on a sample


@pytest.mark.parametrize("gamma", [0.7, 1.4])
def test_gamma_bends_intensities_and_keeps_their_order(data, through, gamma):
    seen, scale = through(data, Instrument(gamma, 0.0, coarse=False))
    unit, shown = scale.apply(data[1])[0].numpy().ravel(), seen.plane(1).ravel()
    order = np.argsort(unit, kind="stable")
    assert np.all(np.diff(shown[order]) >= -1e-6)
    middle = np.abs(unit - 0.5) < 0.05
    assert shown[middle].mean() == pytest.approx(0.5**gamma, abs=0.05)


def test_noise_is_as_strong_as_told_and_the_same_at_every_look(data, through):
    seen, _ = through(np.full_like(data, 1000), Instrument(1.0, 0.05, coarse=False))
    assert np.array_equal(seen.plane(1), seen.plane(1))
    assert not np.array_equal(seen.plane(0), seen.plane(1))
    seen, _ = through(data, Instrument(1.0, 0.05, coarse=False))
    clean, _ = through(data, PLAIN)
    span = np.ptp(clean.plane(1)) / np.ptp(clean.plane(1))
    left = (seen.plane(1) - clean.plane(1)).std() * span
    assert 0.035 < left < 0.055  # the range that it is told in parts of is wider for the noise


def test_the_range_of_a_noisy_instrument_is_measured_on_what_it_shows(data, through):
    seen, _ = through(data, Instrument(1.0, 0.1, coarse=False))
    shown = np.stack([seen.plane(index) for index in range(4)])
    low, high = np.percentile(shown, (AUTO.low, AUTO.high))
    assert (low, high) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.05))


def test_a_coarse_instrument_wipes_out_what_is_finer_than_its_pixels(through):
    board = np.zeros((4, 32, 32), np.uint8)
    board[:, ::2, ::2] = board[:, 1::2, 1::2] = 200
    board[:, :, 16:] = 200
    seen, _ = through(board, Instrument(1.0, 0.0, coarse=True))
    assert np.ptp(seen.plane(0)[2:-2, 2:12]) < 0.05
    assert seen.plane(0)[:, 24:].mean() - seen.plane(0)[:, 2:12].mean() > 0.3


def test_shading_is_slow_and_the_same_wherever_a_part_begins(data, through):
    seen, _ = through(np.full_like(data, 1000) + data // 100, PLAIN, shade=0.2)
    whole = seen.plane(2)
    assert np.ptp(whole) > 0.1
    part = seen.region(2, slice(10, 30), slice(20, 50))
    assert np.allclose(part, whole[10:30, 20:50], atol=1e-4)


def test_parts_of_a_slice_are_those_of_the_whole_but_for_noise(data, through):
    seen, _ = through(data, Instrument(1.3, 0.0, coarse=True), shade=0.1)
    part = seen.region(1, slice(8, 40), slice(12, 52))
    inside = (slice(2, -2), slice(2, -2))
    assert np.allclose(part[inside], seen.plane(1)[8:40, 12:52][inside], atol=5e-3)


def test_absolute_intensities_keep_their_contrast(data, through):
    seen, scale = through(data, Instrument(1.4, 0.0, coarse=False), shade=0.2, window=(0, 2000))
    assert scale == Intensity((0.0,), (2000.0,), "window")
    assert np.allclose(seen.plane(1), scale.apply(data[1])[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_bent_a_little_apart(data, through, channels):
    colour = np.repeat(data[..., None], channels, -1)
    seen, _ = through((colour // 16).astype(np.uint8), Instrument(0.8, 0.0, coarse=False), rgb=True)
    shown = seen.plane(0)
    assert shown.shape == (48, 60, 3)
    gaps = np.abs(shown[..., 0] - shown[..., 1])
    assert 0.001 < gaps.max() < 0.2


def test_pixels_that_are_no_numbers_harm_nothing(data, through):
    broken = data.astype(np.float32)
    broken[0, 5, 5], broken[0, 6, 6] = np.nan, np.inf
    seen, _ = through(broken, INSTRUMENTS[0])
    assert np.isfinite(seen.plane(0)).all()


def test_a_stack_of_one_value_is_seen_as_one_value(data, through):
    seen, _ = through(np.full_like(data, 7), PLAIN)
    assert isinstance(seen, SeenPlanes)
    assert np.ptp(seen.plane(0)) == 0
