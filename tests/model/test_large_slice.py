"""A slice worked on part by part gives what the whole slice gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_salt.model import (
    encode_painted,
    input_checks,
    large_slice,
    limits,
    mixing,
    segment_large,
    volume_filters,
)
from napari_salt.model import fit as fit_module
from napari_salt.model import noise as noise_module
from napari_salt.model import predict as predict_module
from napari_salt.model import segment_slices as segment_slices_module
from napari_salt.model.adapter_file import build_segmenter
from napari_salt.model.encoder import Encoder
from napari_salt.model.filters import REACH, filters, filters_of_part
from napari_salt.model.fit import fit
from napari_salt.model.framing import Framing, measure_intensity, resize
from napari_salt.model.instruments import SeenPlanes
from napari_salt.model.large_paint import draw_large
from napari_salt.model.predict import predict
from napari_salt.model.resampling import Axis, resize_part
from napari_salt.model.segment_slices import segment_slices
from napari_salt.records import BACKGROUND, UNLABELLED, AnnotatedSlice, FitSettings, Label
from napari_salt.sparse_plane import SparsePlane

SIZE = (237, 301)
LABELS = [Label(1, "high"), Label(2, "middle")]


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("length", "new"), [(100, 13), (13, 100), (101, 51), (64, 64), (99, 100)])
def test_a_part_of_a_resized_image_needs_only_the_pixels_around_it(length, new):
    image = noise(2, length, length + 3)
    whole = resize(image, (new, new + 5))
    rows, columns = Axis(length, new, new // 3, new // 2), Axis(length + 3, new + 5, 2, new)
    (top, bottom), (left, right) = rows.needed, columns.needed
    part = resize_part(image[:, top:bottom, left:right], (top, left), rows, columns)
    torch.testing.assert_close(part, whole[:, new // 3 : new // 2, 2:new], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("rows", "columns"), [((0, 60), (120, 200)), ((180, 301), (0, 90)), ((133, 140), (150, 341))]
)
def test_filters_of_a_part_are_those_of_the_whole_image(rows, columns):
    image = noise(2, 301, 341)
    top, left = max(0, rows[0] - REACH), max(0, columns[0] - REACH)
    near = image[:, top : rows[1] + REACH, left : columns[1] + REACH]
    part = filters_of_part(near, (top, left), (301, 341), (slice(*rows), slice(*columns)))
    whole = filters(image)[:, slice(*rows), slice(*columns)]
    torch.testing.assert_close(part, whole, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def scene():
    """Three levels of smooth noise: images (2, Y, X) and their labels."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((2, *SIZE)), (0, 6, 6))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    truth = np.where(smooth > 0.55, 1, np.where(smooth > 0.45, 2, BACKGROUND)).astype(np.uint16)
    grain = rng.normal(0, 6, smooth.shape)
    return np.clip(smooth * 200 + grain, 0, 255).astype(np.uint8), truth


@pytest.fixture
def all_are_large(monkeypatch):
    """Makes slices count as large, in windows of 64 pixels and blocks of 50."""

    def change() -> None:
        rooms = (encode_painted, predict_module, segment_slices_module, noise_module, limits)
        for module in (*rooms, volume_filters, input_checks):
            monkeypatch.setattr(module, "is_large", lambda _: True)
        monkeypatch.setattr(large_slice, "SMALLEST_WINDOW", 32)
        monkeypatch.setattr(large_slice, "LARGEST_WINDOW", 64)
        monkeypatch.setattr(large_slice, "READ_AT_ONCE", 3000)
        monkeypatch.setattr(segment_large, "BLOCK_VALUES", 3 * 50 * 50)

    return change


def adapter_of(planes, annotated, *, other_stacks=False):
    settings = FitSettings(kind="none", device="cpu", other_stacks=other_stacks)
    running = fit(planes, annotated, LABELS, settings)
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value.adapter


def test_large_slices_are_seen_through_instruments_frame_by_frame(
    small_network, scene, planes_of, all_are_large, monkeypatch
):
    """What is fitted for other stacks finds the labels under another instrument, and pixels are asked for in parts."""
    data, truth = scene
    monkeypatch.setattr(fit_module, "choose_framing", lambda *_: Framing(16, zoom=0.3, fine=1.7))
    all_are_large()
    whole_planes = []
    real = SeenPlanes.plane

    def plane(self, index):
        whole_planes.append(index)
        return real(self, index)

    monkeypatch.setattr(SeenPlanes, "plane", plane)
    monkeypatch.setattr(
        mixing, "choose_share", lambda *_: mixing.LINEAR_SHARE
    )  # queries have a say
    paint = [AnnotatedSlice(0, truth[0], complete=True)]
    adapter = adapter_of(planes_of(data), paint, other_stacks=True)
    assert whole_planes == []
    assert adapter.has_other_head
    worse = (255 * (data / 255) ** 0.8).astype(np.uint8)
    (found,) = (one for one in predict(planes_of(worse), adapter, [1]) if one is not None)
    labelled = truth[1] != BACKGROUND
    assert np.mean(found.labels[labelled] == truth[1][labelled]) > 0.7


@pytest.mark.parametrize(
    "framing",
    [
        Framing(16, zoom=0.5, fine=2.0),
        Framing(16, zoom=0.2, fine=4.0),
        Framing(16, zoom=0.3, fine=1.7),
        Framing(16),
    ],
)
def test_windows_give_the_masks_of_the_whole_slice(
    small_network, scene, planes_of, all_are_large, framing
):
    data, truth = scene
    planes = planes_of(data)
    adapter = adapter_of(planes, [AnnotatedSlice(0, truth[0], complete=True)])
    segmenter = build_segmenter(adapter, small_network, kin="other")
    encoder = Encoder(small_network, measure_intensity(planes), framing, along_stack=False)

    def masks():
        found = segment_slices(segmenter, encoder, planes, [1], LABELS, LABELS[:1])
        (one,) = (each for each in found if each is not None)
        return one

    whole = masks()
    all_are_large()
    parts = masks()
    # a pixel whose features lie on a threshold of a tree may fall to either side; how many do so, processors decide
    assert (whole.labels != parts.labels).mean() < 1e-4
    gap = np.abs(whole.uncertainty.astype(np.float32) - parts.uncertainty)
    assert np.quantile(gap, 0.99) < 1e-3
    assert gap.max() < 0.1, "a few trees of 48"
    assert parts.labels.dtype == whole.labels.dtype
    assert parts.summary.areas[1] == pytest.approx(whole.summary.areas[1], abs=5)
    assert parts.summary.uncertainty == pytest.approx(whole.summary.uncertainty, abs=1e-4)
    assert parts.summary.label_uncertainty == pytest.approx(
        whole.summary.label_uncertainty, abs=1e-3
    )
    np.testing.assert_allclose(parts.summary.descriptor, whole.summary.descriptor, atol=1e-5)


class Regions:
    """Planes of an array that can be read in parts alone."""

    def __init__(self, planes):
        self.info, self._data = planes.info, planes.data

    def plane(self, index):
        raise AssertionError("read whole")

    def region(self, index, rows, columns):
        return self._data[index][rows, columns]


def dice(labels, truth):
    scores = []
    for label in (1, 2):
        ours, right = labels == label, truth == label
        scores.append(2 * (ours & right).sum() / (ours.sum() + right.sum()))
    return float(np.mean(scores))


@pytest.mark.parametrize("complete", [True, False])
def test_a_fit_to_a_large_slice_reads_parts_only_and_is_as_good(
    small_network, scene, planes_of, all_are_large, complete, monkeypatch
):
    data, truth = scene
    targets = truth[0].copy()
    if not complete:
        targets[40:90] = targets[:, 200:] = UNLABELLED
    planes = planes_of(data)
    whole = adapter_of(planes, [AnnotatedSlice(0, targets, complete)])
    all_are_large()
    monkeypatch.setattr("napari_salt.sparse_plane.TILE", 50)
    sparse = SparsePlane.of(targets, BACKGROUND if complete else UNLABELLED)
    parts = adapter_of(Regions(planes), [AnnotatedSlice(0, sparse, complete)])
    scores = []
    for adapter in (whole, parts):
        found = predict(Regions(planes), adapter, [1], device="cpu")
        (one,) = (each for each in found if each is not None)
        scores.append(dice(one.labels, truth[1]))
    assert scores[1] > scores[0] - 0.05
    assert scores[1] > 0.7


def test_another_stack_is_looked_at_in_blocks(small_network, scene, planes_of, all_are_large):
    data, truth = scene
    adapter = adapter_of(planes_of(data), [AnnotatedSlice(0, truth[0], complete=True)])
    all_are_large()
    darker = planes_of((255 * (data[1:] / 255.0) ** 1.6).astype(np.uint8))
    found = [one for one in predict(Regions(darker), adapter, [0], device="cpu") if one]
    assert dice(found[0].labels, truth[1]) > 0.6


def test_pixels_are_drawn_from_few_frames_and_every_label_is_there(monkeypatch):
    monkeypatch.setattr("napari_salt.sparse_plane.TILE", 64)
    plane = np.zeros((400, 400), np.uint16)
    plane[:200] = 1
    plane[300:310, 300:310] = 7
    sparse = SparsePlane.of(plane, BACKGROUND)
    row_of = np.full(1 << 16, -1, np.int64)
    row_of[[BACKGROUND, 1, 7]] = 0, 1, 2
    layout = Framing(16, zoom=0.5).layout(400, 400)
    drawn = draw_large(sparse, layout, row_of, 600, 9, np.random.default_rng(0))
    assert set(drawn.targets) == {0, 1, 2}
    assert len(np.unique(drawn.frames)) == 9
    ids = np.array([BACKGROUND, 1, 7])[drawn.targets]
    truth = np.where(plane == 0, BACKGROUND, plane)
    np.testing.assert_array_equal(ids, truth[drawn.rows, drawn.columns])
    tile, _ = layout.locate(torch.from_numpy(drawn.rows), torch.from_numpy(drawn.columns))
    corners = np.array(layout.origins)
    centre = np.stack([drawn.rows, drawn.columns], -1) * 0.5 + 0.25

    def away(frames):
        return np.abs(centre - corners[frames] - 8).max(1)

    np.testing.assert_allclose(away(drawn.frames), away(tile.numpy()), atol=1e-4)
    counted = [drawn.weights[drawn.targets == row].sum() for row in range(3)]
    np.testing.assert_allclose(counted, [(truth == i).sum() for i in (BACKGROUND, 1, 7)], rtol=0.01)
