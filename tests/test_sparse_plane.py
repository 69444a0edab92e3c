"""Paint of a large slice without its empty parts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt import sparse_plane
from napari_salt.records import BACKGROUND
from napari_salt.session.annotations import Annotations
from napari_salt.sparse_plane import SparsePlane, ids_of


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(sparse_plane, "TILE", 8)


def painted() -> np.ndarray:
    plane = np.zeros((20, 30), np.uint16)
    plane[9:12, 14:18] = 3
    plane[19, 29] = 400
    return plane


@pytest.mark.parametrize("fill", [0, BACKGROUND])
def test_it_says_what_the_plane_says_and_holds_the_painted_tiles_alone(fill):
    plane = painted()
    sparse = SparsePlane.of(plane, fill)
    assert sorted(sparse.tiles) == [(8, 8), (8, 16), (16, 24)]
    expected = np.where(plane == 0, fill, plane)
    np.testing.assert_array_equal(np.asarray(sparse), expected)
    assert ids_of(sparse) == ids_of(expected)
    for top, left in sparse.corners():
        np.testing.assert_array_equal(
            sparse.tile(top, left), expected[top : top + 8, left : left + 8]
        )


def test_it_shares_no_memory_with_the_paint():
    plane = painted()
    sparse = SparsePlane.of(plane)
    plane[:] = 9
    assert ids_of(sparse) == {0, 3, 400}


@pytest.mark.parametrize("complete", [True, False])
def test_a_frozen_copy_of_a_large_slice_is_sparse_and_says_the_same(monkeypatch, complete):
    annotations = Annotations((2, 20, 30))
    annotations.paint[1] = painted()
    annotations.touched(1)
    annotations.set_complete(1, complete)
    (plain,) = annotations.snapshot([1], [3])
    monkeypatch.setattr("napari_salt.session.annotations.LARGE", 100)
    (large,) = annotations.snapshot([1], [3])
    assert isinstance(large.targets, SparsePlane)
    assert large.complete is complete
    np.testing.assert_array_equal(np.asarray(large.targets), plain.targets)
