"""The most probable label, and how close the second one came."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.model.decide import decide


@pytest.mark.parametrize("rows", [2, 3, 17])
def test_the_best_row_wins_and_the_second_makes_the_doubt(rows):
    values = np.random.default_rng(0).random((rows, 9, 7), np.float32)
    values /= values.sum(0)
    ids = np.arange(rows, dtype=np.uint16) * 10
    found = decide(values, ids)
    ordered = np.sort(values, axis=0)
    np.testing.assert_array_equal(found.rows, values.argmax(0))
    np.testing.assert_array_equal(found.labels, values.argmax(0) * 10)
    np.testing.assert_array_equal(found.uncertainty, 1 - (ordered[-1] - ordered[-2]))
    assert found.labels.dtype == np.uint16
    assert found.uncertainty.dtype == np.float32


def test_of_equals_the_first_row_wins_with_full_doubt():
    found = decide(np.full((3, 2, 2), 1 / 3, np.float32), np.array([0, 4, 5], np.uint8))
    assert not found.labels.any()
    assert (found.uncertainty == 1).all()
