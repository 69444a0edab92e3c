"""Predictions of a long stack do not stay in memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_salt.io.slice_file import SliceFile
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink, predicted

STATUS = Path("/proc/self/status")
SHAPE = (230, 512, 512)
FIRST = 20


def resident() -> int:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    (line,) = (one for one in STATUS.read_text().splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not STATUS.is_file(), reason="reads the memory of the process the Linux way")
def test_predictions_of_a_long_stack_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(predicted, "LARGEST_IN_MEMORY", 10 * 1024**2)
    viewer = ViewerModel()
    link = ViewerLink(viewer)
    viewer.add_image(np.broadcast_to(np.zeros(SHAPE[1:], np.uint8), SHAPE))
    place = link.images.place(link.images.active())
    link.attach(place, Session(link.images.open_stack(place)))
    doubt = np.full(SHAPE[1:], 0.25, np.float16)
    after_first = 0
    for index in range(SHAPE[0]):
        labels = np.full(SHAPE[1:], 1 + index % 200, np.uint8)
        link.write_prediction(SlicePrediction(index, labels, doubt, SliceSummary(index, 0.25)))
        if index == FIRST:
            after_first = resident()
    kept = (SHAPE[0] - FIRST) * SHAPE[1] * SHAPE[2] * 4
    assert resident() - after_first < kept / 5
    for array in (link.predictions(), link.uncertainties()):
        assert isinstance(array, SliceFile)
    assert [int(link.predictions()[i].max()) for i in (0, 120, 229)] == [1, 121, 30]
    viewer.dims.set_current_step(0, 120)
    shown = next(layer for layer in viewer.layers if layer.name.endswith("prediction"))
    assert int(np.asarray(shown._slice.image.raw).max()) == 121
    link.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux not to set memory aside")
def test_a_stack_far_larger_than_memory_is_painted_and_predicted():
    count, side = 100_000, 512
    viewer = ViewerModel()
    link = ViewerLink(viewer)
    viewer.add_image(np.broadcast_to(np.zeros((side, side), np.uint8), (count, side, side)))
    place = link.images.place(link.images.active())
    before = resident()
    session = Session(link.images.open_stack(place))
    session.labels.add("cell")
    link.attach(place, session)
    for index in (3, 50_000, 99_999):
        link.go_to(index)
        paint = next(layer for layer in viewer.layers if "paint" in layer.name)
        paint.data_setitem((np.array([index]), np.array([9]), np.array([7])), 1)
        session.annotations.touched(index)
        labels = np.full((side, side), 1, np.uint8)
        doubt = np.zeros((side, side), np.float16)
        link.write_prediction(SlicePrediction(index, labels, doubt, SliceSummary(index, 0.0)))
    assert session.annotations.painted_slices() == (3, 50_000, 99_999)
    assert session.annotations.paint[50_000, 9, 7] == 1
    assert [int(link.predictions()[i].max()) for i in (3, 4, 99_999)] == [1, 0, 1]
    assert resident() - before < 250e6
    link.close()
