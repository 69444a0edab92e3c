"""Feature banks: their order, their scaling, and that points and grids agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model.appearance import FILTERS_PER_CHANNEL, filters
from napari_salt.model.features import (
    APPEARANCE_COUNT,
    PLACE_COUNT,
    Banks,
    SliceView,
    Standard,
    view_slice,
)
from napari_salt.model.framing import Framing, Intensity, resize

pytestmark = pytest.mark.usefixtures("same_random_state")

PLAIN = Intensity((0.0,), (1.0,))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def test_banks_follow_each_other_without_gaps():
    banks = Banks(21, (("stage1", 5), ("neck", 3)))
    parts = banks.parts
    assert list(parts) == ["appearance", "place", "deep"]
    assert parts["appearance"] == slice(0, APPEARANCE_COUNT)
    assert parts["place"] == slice(APPEARANCE_COUNT, APPEARANCE_COUNT + PLACE_COUNT)
    start = APPEARANCE_COUNT + PLACE_COUNT
    assert parts["deep"] == slice(start, start + 8)
    assert banks.tap_parts() == {
        "stage1": slice(start, start + 5),
        "neck": slice(start + 5, start + 8),
    }
    assert banks.length == start + 8
    assert banks.appearance()(torch.zeros(2, 21)).shape == (2, APPEARANCE_COUNT)
    assert banks.place()(torch.zeros(2, 3)).shape == (2, PLACE_COUNT)


def test_standardising_gives_mean_zero_and_spread_one():
    values = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    values = values * torch.tensor([1.0, 10.0, 0.1, 3.0]) + torch.tensor([5.0, -2, 0, 100])
    found = Standard.measure(values)(values)
    assert found.mean(0).abs().max() < 1e-3
    torch.testing.assert_close(found.std(0)[[0, 1, 3]], torch.ones(3), atol=6e-3, rtol=0)


def test_channels_that_hardly_vary_are_not_blown_up():
    values = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    values[:, 1] = 0.25
    values[:, 2] *= 1e-7
    found = Standard.measure(values)(values)
    assert not found[:, 1].any()
    assert found[:, 2].abs().max() < 0.01
    assert torch.isfinite(Standard.measure(torch.full((5, 2), 3.0))(torch.zeros(1, 2))).all()


def test_the_view_of_a_slice():
    plane = noise(20, 30)
    view, frames = view_slice(plane, 3, 5, PLAIN, Framing(32))
    assert frames.shape == (1, 3, 32, 32)
    assert view.layout.size == view.layout.detail == (20, 30)
    assert view.filters.shape == (FILTERS_PER_CHANNEL, 20, 30)
    assert view.depth == 0.5
    rows, columns = torch.tensor([0, 19, 7]), torch.tensor([0, 29, 12])
    assert torch.equal(
        view.filters_at(rows, columns), filters(torch.from_numpy(plane)[None])[:, rows, columns].T
    )
    assert view.filters_at(rows, columns)[:, 0].tolist() == pytest.approx(
        plane[rows, columns].tolist()
    )


def test_place_runs_from_minus_one_to_one():
    view, _ = view_slice(noise(4, 10), 0, 3, PLAIN, Framing(32))
    place = view.place_at(torch.tensor([0, 3, 1]), torch.tensor([0, 9, 4]))
    expected = torch.tensor([[-1, -0.75, -0.9], [-1, 0.75, 0.9], [-1, -0.25, -0.1]])
    torch.testing.assert_close(place, expected)
    assert [view_slice(noise(4, 4), i, 3, PLAIN, Framing(32))[0].depth for i in range(3)] == [
        -1,
        0,
        1,
    ]
    assert view_slice(noise(4, 4), 0, 1, PLAIN, Framing(32))[0].depth == 0


def test_filters_of_a_slice_far_larger_than_the_frame_are_sampled_from_the_coarser_grid():
    plane = noise(120, 120)
    view, _ = view_slice(plane, 0, 1, PLAIN, Framing(16))
    assert view.layout.detail == (64, 64)
    coarse = resize(torch.from_numpy(plane)[None], (64, 64))[0]
    assert torch.equal(view.filters[0], coarse)
    # pixel 7 has its centre at 7.5 / 120 * 64 = 4.0, on the border of cells 3 and 4
    found = view.filters_at(torch.tensor([7]), torch.tensor([7]))[0, 0]
    torch.testing.assert_close(found, coarse[3:5, 3:5].mean())


def test_taps_are_read_from_the_frame_that_shows_the_pixel():
    view, frames = view_slice(noise(32, 56), 0, 1, PLAIN, Framing(32, 1.0))
    assert view.layout.origins == ((0, 0), (0, 24))
    taps = {
        "a": torch.stack([torch.full((2, 8, 8), float(i)) for i in range(len(frames))]),
        "b": torch.stack([torch.full((1, 4, 4), 10.0 + i) for i in range(len(frames))]),
    }
    found = view.taps_at(taps, torch.tensor([5, 5, 31]), torch.tensor([2, 50, 55]))
    assert found.tolist() == [[0, 0, 10], [1, 1, 11], [1, 1, 11]]


def test_tap_samples_carry_gradients():
    view, frames = view_slice(noise(32, 56), 0, 1, PLAIN, Framing(32, 1.0))
    taps = {"a": torch.zeros(len(frames), 2, 8, 8, requires_grad=True)}
    found = view.taps_at(taps, torch.tensor([5, 6]), torch.tensor([2, 50]))
    found.sum().backward()
    assert taps["a"].grad.sum() == pytest.approx(4)  # weights of a bilinear sample sum to 1
    single = SliceView(Framing(32).layout(32, 32), view.filters, 0.0)
    taps = {"a": torch.zeros(1, 2, 8, 8, requires_grad=True)}
    single.taps_at(taps, torch.tensor([5]), torch.tensor([2])).sum().backward()
    assert taps["a"].grad.sum() == pytest.approx(2)
