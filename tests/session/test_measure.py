"""Measurements against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.session.measure import measure, sums


def test_a_rectangle_in_a_plane():
    objects = np.zeros((10, 12), np.uint32)
    objects[2:5, 4:8] = 4_000_000_000
    table = measure(objects, (0.5, 2.0))
    assert table["label"].tolist() == [4_000_000_000]
    assert table["num_pixels"].tolist() == [12]
    assert table["area"][0] == pytest.approx(12 * 0.5 * 2.0)
    assert table["centroid-0"][0] == pytest.approx(3 * 0.5)
    assert table["centroid-1"][0] == pytest.approx(5.5 * 2.0)
    assert [int(table[f"bbox-{axis}"][0]) for axis in range(4)] == [2, 4, 5, 8]
    assert table["equivalent_diameter_area"][0] == pytest.approx(2 * np.sqrt(12 / np.pi))


def test_a_block_in_a_volume_and_ids_with_gaps():
    objects = np.zeros((4, 5, 6), np.uint32)
    objects[1:3, 1:3, 1:4], objects[0, 0, 0] = 7, 3
    table = measure(objects, (3.0, 1.0, 0.5))
    assert table["label"].tolist() == [3, 7]
    assert table["area"].tolist() == pytest.approx([1.5, 12 * 1.5])
    assert table["equivalent_diameter_area"][1] == pytest.approx((6 * 18 / np.pi) ** (1 / 3))


def test_a_plane_full_of_one_object():
    table = measure(np.full((3, 4), 9, np.uint32), (1, 1))
    assert table["label"].tolist() == [9]
    assert table["num_pixels"].tolist() == [12]


def test_sums_by_id():
    objects = np.array([[0, 1], [1, 3]], np.uint32)
    values = np.array([[5, 250], [250, 7]], np.uint8)
    assert sums(objects, values, 4).tolist() == [5, 500, 0, 7, 0]
