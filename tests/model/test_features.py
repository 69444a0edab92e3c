"""What the head knows of a slice: taps and their scaling, filters and place at pixels of the slice and of the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model.features import SliceView, Standard, tap_length, tap_parts, view_slice
from napari_salt.model.filters import FILTERS_PER_CHANNEL, filters
from napari_salt.model.framing import Framing, Intensity, resize

pytestmark = pytest.mark.usefixtures("same_random_state")

PLAIN = Intensity((0.0,), (1.0,))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def every(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of all pixels of a grid."""
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    return rows.flatten(), columns.flatten()


def test_taps_follow_each_other_without_gaps():
    taps = (("stage1", 5), ("neck", 3), ("last", 1))
    assert tap_parts(taps) == {"stage1": slice(0, 5), "neck": slice(5, 8), "last": slice(8, 9)}
    assert list(tap_parts(taps)) == ["stage1", "neck", "last"]
    assert tap_length(taps) == 9
    assert (tap_parts(()), tap_length(())) == ({}, 0)


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
    view, frames = view_slice(plane, 0.5, PLAIN, Framing(32))
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


@pytest.mark.parametrize("depth", [-1.0, 0.0, 0.25])
def test_place_runs_from_minus_one_to_one_behind_the_filters(depth):
    view, _ = view_slice(noise(4, 10), depth, PLAIN, Framing(32))
    rows, columns = torch.tensor([0, 3, 1]), torch.tensor([0, 9, 4])
    found = view.samples_at(rows, columns)
    assert found.shape == (3, FILTERS_PER_CHANNEL + 3)
    assert torch.equal(found[:, :-3], view.filters_at(rows, columns))
    expected = torch.tensor([[-0.75, -0.9, depth], [0.75, 0.9, depth], [-0.25, -0.1, depth]])
    torch.testing.assert_close(found[:, -3:], expected)


def test_a_depth_that_tells_nothing_is_left_out():
    rows, columns = torch.tensor([0, 3]), torch.tensor([0, 9])
    without, zero = (
        view_slice(noise(4, 10), depth, PLAIN, Framing(32))[0] for depth in (None, 0.0)
    )
    for of in ("samples_at", "detail_at"):
        found = getattr(without, of)(rows, columns)
        assert found.shape == (2, FILTERS_PER_CHANNEL + 2)
        assert torch.equal(found, getattr(zero, of)(rows, columns)[:, :-1])


def test_samples_and_detail_are_the_same_where_the_grids_are():
    view, _ = view_slice(noise(9, 13), 0.5, PLAIN, Framing(16))
    assert view.layout.size == view.layout.detail
    pixels = every(view.layout.size)
    assert torch.equal(view.samples_at(*pixels), view.detail_at(*pixels))


def test_detail_lies_where_the_grid_is_and_samples_where_the_slice_is():
    view, _ = view_slice(noise(128, 96), 0.5, PLAIN, Framing(16))
    assert view.layout.detail == (64, 48)
    detail = view.detail_at(torch.tensor([0, 63]), torch.tensor([47, 20]))
    assert torch.equal(detail[:, :-3], view.filters[:, [0, 63], [47, 20]].T)
    torch.testing.assert_close(
        detail[:, -3:], torch.tensor([[1 / 64 - 1, 1 - 1 / 48, 0.5], [1 - 1 / 64, -7 / 48, 0.5]])
    )
    # the four pixels of the slice that make one cell lie around it
    rows, columns = torch.tensor([60, 60, 61, 61]), torch.tensor([30, 31, 30, 31])
    around = view.samples_at(rows, columns)
    cell = view.detail_at(torch.tensor([30]), torch.tensor([15]))[0]
    torch.testing.assert_close(around[:, -3:].mean(0), cell[-3:])
    assert (around[:, 0] - cell[0]).abs().max() < view.filters[0].std()


@pytest.mark.parametrize(
    ("size", "framing"), [((20, 30), Framing(32)), ((32, 56), Framing(32, 1.0))]
)
def test_a_cell_of_the_grid_lies_in_the_frame_where_its_pixels_do(size, framing):
    layout = framing.layout(*size)
    assert layout.detail == layout.size
    for one, other in zip(
        layout.locate(*every(size)), layout.locate_detail(*every(size)), strict=True
    ):
        assert torch.equal(one, other)


def test_cells_of_a_coarser_grid_lie_between_their_pixels():
    layout = Framing(16).layout(128, 96)
    assert layout.detail == (64, 48)
    _, cell = layout.locate_detail(torch.tensor([30]), torch.tensor([15]))
    _, pixels = layout.locate(torch.tensor([60, 61]), torch.tensor([30, 31]))
    torch.testing.assert_close(pixels.mean(0), cell[0])


def test_filters_of_a_slice_far_larger_than_the_frame_are_sampled_from_the_coarser_grid():
    plane = noise(120, 120)
    view, _ = view_slice(plane, 0.0, PLAIN, Framing(16))
    assert view.layout.detail == (64, 64)
    coarse = resize(torch.from_numpy(plane)[None], (64, 64))[0]
    assert torch.equal(view.filters[0], coarse)
    # pixel 7 has its centre at 7.5 / 120 * 64 = 4.0, on the border of cells 3 and 4
    found = view.filters_at(torch.tensor([7]), torch.tensor([7]))[0, 0]
    torch.testing.assert_close(found, coarse[3:5, 3:5].mean())


def test_taps_are_read_from_the_frame_that_shows_the_pixel():
    view, frames = view_slice(noise(32, 56), 0.0, PLAIN, Framing(32, 1.0))
    assert view.layout.origins == ((0, 0), (0, 24))
    taps = {
        "a": torch.stack([torch.full((2, 8, 8), float(i)) for i in range(len(frames))]),
        "b": torch.stack([torch.full((1, 4, 4), 10.0 + i) for i in range(len(frames))]),
    }
    found = view.taps_at(taps, torch.tensor([5, 5, 31]), torch.tensor([2, 50, 55]))
    assert found.tolist() == [[0, 0, 10], [1, 1, 11], [1, 1, 11]]


def test_tap_samples_carry_gradients():
    view, frames = view_slice(noise(32, 56), 0.0, PLAIN, Framing(32, 1.0))
    taps = {"a": torch.zeros(len(frames), 2, 8, 8, requires_grad=True)}
    found = view.taps_at(taps, torch.tensor([5, 6]), torch.tensor([2, 50]))
    found.sum().backward()
    assert taps["a"].grad.sum() == pytest.approx(4)  # weights of a bilinear sample sum to 1
    single = SliceView(Framing(32).layout(32, 32), view.filters, 0.0)
    taps = {"a": torch.zeros(1, 2, 8, 8, requires_grad=True)}
    single.taps_at(taps, torch.tensor([5]), torch.tensor([2])).sum().backward()
    assert taps["a"].grad.sum() == pytest.approx(2)
