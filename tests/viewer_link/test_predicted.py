"""Predictions that are too large for memory: seen along any image's axes, and a disk that is full."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_salt.errors import OutputError
from napari_salt.geometry import StackGeometry
from napari_salt.io.slice_file import SliceFile
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink, predicted
from napari_salt.viewer_link.predicted import empty_stack, seen_along
from napari_salt.viewer_link.writers import write_labels


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    monkeypatch.setattr(predicted, "LARGEST_IN_MEMORY", 100)


@pytest.mark.parametrize(
    "geometry",
    [
        StackGeometry(3),
        StackGeometry(3, 1),
        StackGeometry(3, 2),
        StackGeometry(4, 1, {0: 6}),
        StackGeometry(4, 0, {1: 6}),
        StackGeometry(5, 1, {0: 2, 2: 1}),
        StackGeometry(2),
    ],
)
def test_a_file_is_seen_as_an_array_would_be(geometry, tmp_path):
    count = 1 if geometry.ndim == 2 else 3
    whole = np.arange(count * 8 * 9, dtype=np.uint16).reshape(count, 8, 9)
    file = empty_stack(whole.shape, whole.dtype)
    assert isinstance(file, SliceFile)
    for index, plane in enumerate(whole):
        file[index] = plane
    wanted, seen = geometry.as_layer(whole), seen_along(geometry, file)
    assert (seen.shape, seen.dtype, seen.ndim) == (wanted.shape, wanted.dtype, wanted.ndim)
    np.testing.assert_array_equal(seen, wanted)
    middle = tuple(length // 2 for length in wanted.shape)
    keys = [middle, (..., 1), (0,), np.s_[-1:], tuple(slice(1, None, 2) for _ in middle)]
    for axis, index in enumerate(middle):
        keys += [(*[slice(None)] * axis, index), (*[slice(None)] * axis, np.int64(-1))]
    for key in keys:
        np.testing.assert_array_equal(seen[key], wanted[key])


def opened(shape=(3, 8, 9), axis=None, **kwargs):
    viewer = ViewerModel()
    viewer.add_image(np.zeros(shape, np.uint8), name="t1", **kwargs)
    link = ViewerLink(viewer)
    place = link.images.place(link.images.active(), axis)
    link.attach(place, Session(link.images.open_stack(place)))
    return viewer, link


def prediction(index, shape=(8, 9), label=1):
    doubt = np.full(shape, 0.25, np.float16)
    return SlicePrediction(
        index, np.full(shape, label, np.uint16), doubt, SliceSummary(index, 0.25)
    )


def test_masks_in_a_file_are_shown_along_a_middle_axis():
    viewer, link = opened((4, 3, 8, 9), axis=1)
    link.write_prediction(prediction(1, label=5))
    layer = next(one for one in viewer.layers if "prediction" in one.name)
    assert layer.data.shape == (1, 3, 8, 9)
    link.go_to(1)
    assert (layer._slice.image.raw == 5).all()
    link.go_to(2)
    assert not layer._slice.image.raw.any()
    link.set_shown("uncertainty", True)
    link.go_to(1)
    unsure = next(one for one in viewer.layers if "uncertainty" in one.name)
    assert (np.asarray(unsure._slice.image.raw) == 0.25).all()
    viewer.dims.ndisplay = 3
    assert (layer._slice.image.raw[1] == 5).all()
    link.close()


def test_masks_in_a_file_are_saved_slice_by_slice(tmp_path, monkeypatch):
    viewer, link = opened()
    link.write_prediction(prediction(2, label=7))
    layer = next(one for one in viewer.layers if "prediction" in one.name)
    data, attributes, _ = layer.as_layer_data_tuple()
    read = []
    page = SliceFile._page
    monkeypatch.setattr(SliceFile, "_page", lambda file, at: read.append(at) or page(file, at))
    write_labels(str(tmp_path / "m.tif"), data, attributes)
    saved = tifffile.imread(tmp_path / "m.tif")
    assert (saved[2] == 7).all()
    assert not saved[:2].any()
    assert read[:3] == [0, 1, 2]
    link.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_costs_the_slice_and_nothing_else():
    _, link = opened()
    link.write_prediction(prediction(0, label=4))
    full = os.open("/dev/full", os.O_RDWR)
    for array in (link.predictions(), link.uncertainties()):
        os.dup2(full, array._file.fileno())
    os.close(full)
    with pytest.raises(OutputError, match="is full; free some space and try again"):
        link.write_prediction(prediction(1))
    assert not link.predictions()[1].any()
    link.go_to(1)
    link.draw_predictions()
    link.close()
