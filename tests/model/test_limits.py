"""What is measured on a stack: percentiles as asked for, and extremes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.intensity import AUTO
from napari_salt.model.limits import measure_limits
from napari_salt.records import IntensityChoice


@pytest.fixture
def planes(planes_of):
    return planes_of(np.random.default_rng(0).normal(100, 10, (5, 40, 40)).astype(np.float32))


def test_percentiles_are_those_asked_for(planes):
    two = measure_limits(planes, IntensityChoice("percentile", 2, 90))
    assert (two.low[0], two.high[0]) == pytest.approx(tuple(np.percentile(planes.data, (2, 90))))
    assert (two.least[0], two.most[0]) == (planes.data.min(), planes.data.max())


def test_a_window_is_measured_like_the_default(planes):
    assert measure_limits(planes, IntensityChoice("window", 0, 9)) == measure_limits(planes, AUTO)


def test_alpha_does_not_count(planes_of):
    data = np.full((1, 4, 4, 4), 7, np.uint8)
    data[..., 3] = 255
    limits = measure_limits(planes_of(data, rgb=True))
    assert limits.most == (7.0, 7.0, 7.0)
    assert limits.digest == measure_limits(planes_of(data[..., :3], rgb=True)).digest


def test_a_digest_tells_pixels_apart_and_nothing_else(planes, planes_of):
    data = planes.data.copy()
    data[0, 0, :2] = np.nan, np.inf
    digest = measure_limits(planes_of(data)).digest
    assert measure_limits(planes_of(data), IntensityChoice("window", 0, 9)).digest == digest
    swapped = data.astype(">f4")
    swapped[0, 0, 0] = np.frombuffer(b"\x7f\xc0\x00\x01", ">f4")[0]
    assert measure_limits(planes_of(swapped)).digest == digest
    data[3, 20, 20] += 1
    assert measure_limits(planes_of(data)).digest != digest
