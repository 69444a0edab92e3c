"""The box tool sees a slice as the settings say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.engine.assist_tasks import box_mask, embed
from napari_salt.engine.requests import BoxRequest, EmbedRequest
from napari_salt.errors import InputError
from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.records import IntensityChoice
from napari_salt.session.stack import Stack


def dice(mask, truth):
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def scan():
    """A slice of CT in HU: soft tissue with a disk 60 HU brighter, between air and a rod of metal; (stack, disk)."""
    rows, columns = np.mgrid[:128, :128]
    disk = (rows - 70) ** 2 + (columns - 60) ** 2 < 20**2
    plane = np.random.default_rng(0).normal(20, 12, (128, 128)) + 60 * disk
    plane[:, :16] = -1000
    plane[8:24, 90:120] = 25_000
    return Stack(plane.astype(np.int16)[None]), disk


def test_the_box_sees_the_slice_through_the_window_of_the_settings():
    stack, disk = scan()
    box, found = (49.0, 39.0, 92.0, 82.0), []
    for choice in (AUTO, WINDOWS["soft tissue"]):
        request = BoxRequest("a scan", 0, box, "lite-medsam", "cpu", choice)
        found.append(list(box_mask(request, stack))[-1].mask)
    assert dice(found[1], disk) > 0.9
    assert dice(found[0], disk) < dice(found[1], disk) - 0.05


def test_a_window_that_shows_nothing_is_told():
    stack, _ = scan()
    nowhere = IntensityChoice("window", 30_000, 31_000)
    with pytest.raises(InputError, match="outside of the window"):
        list(embed(EmbedRequest("a scan", 0, "lite-medsam", "cpu", nowhere), stack))
