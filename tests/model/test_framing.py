"""Intensity, resizing, tiling and pasting, against coordinates worked out by hand."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch

from napari_salt.errors import InputError
from napari_salt.model.framing import (
    DETAIL,
    FEWER_FRAMES,
    LONGEST_ASPECT,
    OVERLAP,
    SMALLEST_OBJECT,
    Framing,
    Intensity,
    Layout,
    _with_fewer_frames,
    choose_framing,
    measure_intensity,
    resize,
    sample_points,
    to_rgb,
    whole_zoom,
)
from napari_salt.records import BACKGROUND, AnnotatedSlice

pytestmark = pytest.mark.usefixtures("same_random_state")

SIZE = 64
"""Edge of the frames in these tests."""


def every_pixel(layout: Layout) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(*map(torch.arange, layout.size), indexing="ij")
    return rows.flatten(), columns.flatten()


def ramp_maps(layout: Layout, cells: int = 16) -> list[torch.Tensor]:
    """For each frame two maps (2, cells, cells): y and x of every cell centre in zoomed pixels."""
    step = layout.frame_size / cells
    centre = (torch.arange(cells) + 0.5) * step
    return [
        torch.stack(torch.meshgrid(top + centre, left + centre, indexing="ij"))
        for top, left in layout.origins
    ]


# --- layouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (40, 64), (20, 20), (5, 7), (33, 64), (200, 128)])
def test_a_whole_slice_fills_one_frame(size):
    layout = Framing(SIZE).layout(*size)
    assert layout.origins == ((0, 0),)
    assert max(layout.zoomed) == SIZE
    assert layout.zoomed == tuple(max(1, round(n * SIZE / max(size))) for n in size)


@pytest.mark.parametrize("size", [(300, 200), (129, 64), (1, 100), (100, 1), (1, 1), (5, 700)])
@pytest.mark.parametrize("zoom", [None, 1.0, 0.5])
def test_frames_cover_every_pixel_and_overlap(size, zoom):
    layout = Framing(SIZE, zoom).layout(*size)
    covered = np.zeros(layout.zoomed, int)
    for top, left in layout.origins:
        covered[top : top + SIZE, left : left + SIZE] += 1
    assert covered.min() == 1
    for axis in (0, 1):
        corners = sorted({origin[axis] for origin in layout.origins})
        assert corners[0] == 0
        assert corners[-1] + SIZE == max(SIZE, layout.zoomed[axis])
        shared = [first + SIZE - second for first, second in itertools.pairwise(corners)]
        assert all(width >= SIZE * OVERLAP - 1 for width in shared)


@pytest.mark.parametrize("size", [(300, 200), (1, 100), (1, 1), (5, 700), (65, 64)])
@pytest.mark.parametrize("zoom", [None, 1.0])
def test_every_pixel_lies_inside_the_frame_that_shows_it(size, zoom):
    layout = Framing(SIZE, zoom).layout(*size)
    rows, columns = every_pixel(layout)
    tile, position = layout.locate(rows, columns)
    assert position.min() > 0
    assert position.max() < 1
    corners = torch.tensor(layout.origins)[tile]
    back = position * SIZE + corners
    scale = torch.tensor(layout.zoomed) / torch.tensor(layout.size)
    expected = (torch.stack([rows, columns], 1) + 0.5) * scale
    torch.testing.assert_close(back, expected, atol=1e-4, rtol=1e-5)


def test_long_slices_become_a_row_of_frames_at_no_less_than_their_own_size():
    assert whole_zoom((100, 200), SIZE) == SIZE / 200
    assert whole_zoom((100, 201), SIZE) == SIZE / 100
    assert whole_zoom((32, 640), SIZE) == 1.0
    assert whole_zoom((4, 32), SIZE) == 2.0
    assert whole_zoom((640, 32), SIZE) == whole_zoom((32, 640), SIZE)
    assert LONGEST_ASPECT == 2


def test_frames_are_padded_with_zeros_at_the_bottom_and_right():
    layout = Framing(SIZE).layout(32, 64)
    (frame,) = layout.frames(torch.full((1, 32, 64), 0.7))
    assert frame.shape == (3, SIZE, SIZE)
    torch.testing.assert_close(frame[:, :32], torch.full((3, 32, 64), 0.7))
    assert not frame[:, 32:].any()


def test_frames_show_what_lies_under_them():
    image = torch.rand(1, 100, 150, generator=torch.Generator().manual_seed(0))
    layout = Framing(SIZE, 1.0).layout(100, 150)
    frames = layout.frames(image)
    assert len(frames) == len(layout.origins) == 2 * 3
    for frame, (top, left) in zip(frames, layout.origins, strict=True):
        assert torch.equal(frame[1], image[0, top : top + SIZE, left : left + SIZE])


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (1, 1), (5, 7), (1, 300), (20, 20)])
def test_tiny_slices_go_there_and_back(size):
    layout = Framing(SIZE).layout(*size)
    frames = layout.frames(torch.full((1, *size), 0.5))
    assert frames.shape[1:] == (3, SIZE, SIZE)
    maps = [torch.full((2, 4, 4), 3.0) for _ in layout.origins]
    torch.testing.assert_close(layout.paste(maps), torch.full((2, *layout.detail), 3.0))


# --- pasting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "zoom"), [((150, 150), 1.0), ((300, 90), 0.5), ((64, 64), None), ((20, 300), None)]
)
def test_a_ramp_over_overlapping_frames_is_pasted_as_that_ramp(size, zoom):
    cells = 32
    layout = Framing(SIZE, zoom).layout(*size)
    found = layout.paste(ramp_maps(layout, cells))
    assert found.shape == (2, *layout.detail)
    # half a cell at the rim of a frame repeats the outermost cell: off by half a cell at most there,
    # and only where no other frame shows the place; elsewhere such rims hardly weigh
    cell = SIZE / cells
    for axis in (0, 1):
        place = (torch.arange(layout.detail[axis]) + 0.5) * (
            layout.zoomed[axis] / layout.detail[axis]
        )
        error = (found[axis] - (place[:, None] if axis == 0 else place[None])).abs()
        end = max(SIZE, layout.zoomed[axis])
        inside = (place > cell / 2) & (place < end - cell / 2)
        assert error.max() <= cell / 2 + 1e-3
        assert error.movedim(axis, 0)[inside].max() < 0.03 * cell


def test_overlaps_are_blended_without_a_seam():
    layout = Framing(SIZE, 1.0).layout(SIZE, 112)  # corners 0 and 48
    assert [left for _, left in layout.origins] == [0, 48]
    row = layout.paste([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])[0, 30]
    assert not row[:48].any()
    assert (row[64:] == 1).all()
    assert (row.diff() >= 0).all()
    assert row.diff().max() < 0.2
    assert row[55] + row[56] == pytest.approx(1, abs=1e-5)  # symmetric about the middle


def test_locate_agrees_with_paste():
    layout = Framing(SIZE, 1.0).layout(150, 100)
    assert layout.detail == layout.size
    maps = ramp_maps(layout)
    rows, columns = every_pixel(layout)
    tile, position = layout.locate(rows, columns)
    pasted = layout.paste(maps)[:, rows, columns].T
    sampled = torch.empty_like(pasted)
    for index in tile.unique().tolist():
        sampled[tile == index] = sample_points(maps[index], position[tile == index])
    away = ((rows > 2) & (rows < 147) & (columns > 2) & (columns < 97))[:, None]
    assert ((sampled - pasted).abs() * away).max() < 0.2
    single = Framing(SIZE).layout(50, 64)
    values = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    rows, columns = every_pixel(single)
    _, position = single.locate(rows, columns)
    torch.testing.assert_close(
        sample_points(values, position),
        single.paste([values])[:, rows, columns].T,
        atol=1e-5,
        rtol=1e-5,
    )


def test_the_detail_grid_is_the_slice_unless_that_is_far_finer_than_the_frame():
    assert Framing(SIZE).layout(20, 20).detail == (20, 20)
    assert Framing(SIZE, 0.25).layout(400, 300).detail == (400, 300)
    assert Framing(SIZE).layout(1024, 512).detail == (
        round(DETAIL * SIZE),
        round(DETAIL * SIZE / 2),
    )


@pytest.mark.parametrize("size", [(10, 14), (31, 22), (7, 5), (1, 3)])
def test_resizing_keeps_constants_and_the_mean_of_halves(size):
    image = torch.full((2, 20, 28), 0.3)
    torch.testing.assert_close(resize(image, size), torch.full((2, *size), 0.3))
    checks = (torch.arange(20)[:, None] + torch.arange(28)[None]).remainder(2)[None].float()
    small = resize(checks, (10, 14))
    torch.testing.assert_close(small[0, 2:-2, 2:-2], torch.full((6, 10), 0.5))  # no aliasing


# --- choice of framing ----------------------------------------------------------------------------


def discs(size: int, radius: float, label_id: int = 1) -> AnnotatedSlice:
    y, x = np.mgrid[:size, :size] % 40 - 20
    targets = np.where(y**2 + x**2 <= radius**2, label_id, BACKGROUND).astype(np.uint16)
    return AnnotatedSlice(0, targets, complete=True)


def test_small_slices_and_large_objects_are_framed_whole():
    assert choose_framing([discs(60, 2)], (60, 60), SIZE) == Framing(SIZE)
    assert choose_framing([discs(160, 19)], (160, 160), 256) == Framing(256)
    assert choose_framing([discs(400, 19)], (400, 400), 256).zoom is None


def test_small_objects_of_a_large_slice_are_tiled_so_that_they_reach_a_size():
    one = discs(400, 8)
    area = np.count_nonzero(one.targets == 1) / 100
    wanted = SMALLEST_OBJECT / (2 * math.sqrt(area / math.pi))
    framing = choose_framing([one], (400, 400), SIZE)
    assert framing.zoom == pytest.approx(wanted)
    assert 0.4 < framing.zoom < 1
    assert choose_framing([discs(400, 3)], (400, 400), SIZE).zoom <= 1.0  # never enlarged


def test_the_label_with_the_smallest_objects_decides_and_specks_do_not():
    both = discs(400, 15)
    both.targets[:, :200][discs(400, 8).targets[:, :200] == 1] = 2
    both.targets[:, :200][both.targets[:, :200] == 1] = BACKGROUND
    small = choose_framing([discs(400, 8)], (400, 400), SIZE).zoom
    assert choose_framing([both], (400, 400), SIZE).zoom == pytest.approx(small)
    speckled = discs(400, 15)
    speckled.targets[1::40, 1::40] = 1
    clean = choose_framing([discs(400, 15)], (400, 400), SIZE)
    assert choose_framing([speckled], (400, 400), SIZE) == clean


def frames(framing, edge):
    return len(framing.layout(edge, edge).origins)


def test_a_zoom_little_smaller_saves_frames():
    at_full = choose_framing([discs(512, 3)], (512, 512), 256)
    assert at_full == Framing(256, 0.875)
    assert (frames(Framing(256, 1.0), 512), frames(at_full, 512)) == (9, 4)
    assert (
        choose_framing([discs(600, 3)], (600, 600), 256).zoom == 1.0
    )  # a quarter smaller is too much
    for wanted in (0.35, 0.5, 0.65, 0.8, 1.0):
        zoom = _with_fewer_frames(wanted, 1200, 256)
        assert FEWER_FRAMES * wanted <= zoom <= wanted
        assert frames(Framing(256, zoom), 1200) <= frames(Framing(256, wanted), 1200)


def test_a_slice_of_512_pixels_with_common_objects_is_one_frame():
    assert choose_framing([discs(512, 7)], (512, 512), 256) == Framing(256)


def test_strokes_say_nothing_of_sizes():
    stroke = AnnotatedSlice(0, discs(400, 1).targets, complete=False)
    assert choose_framing([stroke], (400, 400), 256) == Framing(256)  # shrunk less than twofold
    assert choose_framing([stroke], (400, 400), SIZE) == Framing(SIZE, 0.5)


def test_a_label_of_specks_alone_decides_nothing():
    targets = np.full((1000, 1000), BACKGROUND, np.uint16)
    targets[500, 500] = 1
    specks = AnnotatedSlice(0, targets, complete=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_framing([specks], (1000, 1000), 256) == Framing(256, 0.448)  # 0.5, 4 frames
        assert choose_framing([specks, discs(1000, 100)], (1000, 1000), 256) == Framing(256)


# --- intensity ------------------------------------------------------------------------------------


def test_intensity_is_measured_once_over_the_stack_by_percentiles(planes_of):
    data = np.random.default_rng(0).normal(100, 10, (5, 40, 40)).astype(np.float32)
    data[3] = 100.0  # an empty slice must not be blown up
    planes = planes_of(data)
    scale = measure_intensity(planes)
    low, high = np.percentile(data, (0.5, 99.5))
    assert (scale.low, scale.high) == (pytest.approx((low,)), pytest.approx((high,)))
    assert scale.method == "percentile"
    assert scale.apply(data[3]).unique().numel() == 1
    expected = torch.from_numpy((data[0] - low) / (high - low)).clamp(-0.25, 1.5)[None]
    torch.testing.assert_close(scale.apply(data[0]), expected.float(), atol=1e-5, rtol=1e-5)


def test_a_long_stack_is_sampled(planes_of):
    planes = planes_of(np.arange(100, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8))
    measure_intensity(planes)
    assert len(planes.read) <= 16
    assert {0, 99} <= set(planes.read)


@pytest.mark.parametrize("value", [0, 7.5, -3e4])
def test_a_constant_stack_is_zero(planes_of, value):
    data = np.full((2, 6, 6), value, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = measure_intensity(planes_of(data)).apply(data[0])
    assert image.shape == (1, 6, 6)
    assert not image.any()


def test_a_mostly_constant_stack_keeps_its_few_other_pixels(planes_of):
    data = np.zeros((1, 100, 100), np.uint8)
    data[0, 5, 5] = 200  # one in 10,000: beyond the percentiles
    image = measure_intensity(planes_of(data)).apply(data[0])
    assert image[0, 5, 5] == 1
    assert image.sum() == 1


def test_pixels_that_are_not_numbers_do_not_count(planes_of):
    data = np.linspace(0, 1, 2 * 50 * 50).reshape(2, 50, 50)
    clean = measure_intensity(planes_of(data.copy()))
    data[0, :3] = np.nan
    data[1, 7, 7], data[1, 8, 8] = np.inf, -np.inf
    scale = measure_intensity(planes_of(data))
    assert scale.low[0] == pytest.approx(clean.low[0], abs=0.05)
    image = scale.apply(data[0])
    assert torch.isfinite(image).all()
    assert not image[0, :3].any()
    ends = scale.apply(data[1])
    assert (ends[0, 7, 7], ends[0, 8, 8]) == (1.5, -0.25)


def test_a_stack_without_any_number_is_zero(planes_of):
    data = np.full((2, 6, 6), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scale = measure_intensity(planes_of(data))
    assert not scale.apply(data[0]).any()


def test_colours_share_one_scale_and_channels_do_not(planes_of):
    data = np.random.default_rng(1).uniform(0, 1, (2, 30, 30, 3)) * (50, 100, 250)
    colour = measure_intensity(planes_of(data, rgb=True))
    assert len(set(colour.low)) == len(set(colour.high)) == 1
    assert len(colour.low) == 3
    assert colour.high[0] == pytest.approx(np.percentile(data, 99.5))
    stains = measure_intensity(planes_of(data))
    assert stains.high == pytest.approx(tuple(np.percentile(data, 99.5, axis=(0, 1, 2))))
    alpha = np.concatenate([data, np.full((2, 30, 30, 1), 255.0)], -1)
    with_alpha = measure_intensity(planes_of(alpha, rgb=True))
    assert with_alpha == colour
    assert torch.equal(with_alpha.apply(alpha[0]), colour.apply(data[0]))


def test_a_window_is_kept_as_given():
    window = Intensity((-100.0,), (300.0,), "window")
    image = window.apply(np.array([[-100, 300, 100, 5000, -5000]], np.int16))
    assert image.flatten().tolist() == [0, 1, 0.5, 1.5, -0.25]


def test_other_channels_are_refused():
    with pytest.raises(InputError, match=r"expects 3 channel.* has 2"):
        Intensity((0.0,) * 3, (1.0,) * 3).apply(np.zeros((4, 4, 2)))
    with pytest.raises(InputError, match=r"expects 2 channel.* has 1"):
        Intensity((0.0,) * 2, (1.0,) * 2).apply(np.zeros((4, 4)))


def test_large_offsets_keep_their_detail(planes_of):
    data = (10**9 + np.arange(64)).reshape(1, 8, 8).astype(np.uint32)
    image = measure_intensity(planes_of(data)).apply(data[0]).flatten()
    assert (image.diff() > 0).all()


def test_any_number_of_channels_becomes_three():
    grey = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 0.5
    assert torch.equal(to_rgb(grey), grey.clamp(0, 1).expand(3, 4, 4))
    many = torch.arange(5.0)[:, None, None].expand(5, 2, 2) / 10
    assert torch.equal(to_rgb(many[:2])[:, 0, 0], torch.tensor([0, 0.1, 0.05]))
    assert torch.equal(to_rgb(many[1:4]), many[1:4])
    torch.testing.assert_close(to_rgb(many)[:, 0, 0], torch.tensor([0.05, 0.25, 0.4]))


def test_points_are_sampled_where_the_maps_are():
    maps = torch.empty(2, 4, 4, device="meta")  # a device without numbers stands for any GPU
    found = sample_points(maps, torch.full((5, 2), 0.5))
    assert found.device.type == "meta"
    assert found.shape == (5, 2)
