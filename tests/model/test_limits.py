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
    assert measure_limits(planes_of(data, rgb=True)).most == (7.0, 7.0, 7.0)
