"""Shapes between two painted slices: discs that grow, move and stretch; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.session.annotations import Annotations
from napari_salt.session.interpolate import (
    MOST_BETWEEN,
    interpolate,
    nearest_painted,
    painted_around,
    signed_distance,
)

SHAPE = (60, 80)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def centre(mask):
    return np.argwhere(mask).mean(0)


def radius(mask):
    return np.sqrt(mask.sum() / np.pi)


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_a_growing_disc_grows_evenly():
    shapes = list(interpolate(disc(30, 40, 8), disc(30, 40, 20), 3))
    np.testing.assert_allclose([radius(mask) for mask in shapes], [11, 14, 17], atol=0.6)
    for mask in shapes:
        np.testing.assert_allclose(centre(mask), (30, 40), atol=0.1)


@pytest.mark.parametrize("far", [6, 40])
def test_a_moving_disc_keeps_its_size_however_far(far):
    shapes = list(interpolate(disc(30, 15, 7), disc(30, 15 + far, 7), 3))
    for part, mask in zip((0.25, 0.5, 0.75), shapes, strict=True):
        assert dice(mask, disc(30, 15 + part * far, 7)) > 0.93
    np.testing.assert_array_equal(
        shapes[1], list(interpolate(disc(30, 15 + far, 7), disc(30, 15, 7), 3))[1]
    )


def test_of_two_discs_one_may_end_while_the_other_goes_on():
    stays, ends = disc(30, 20, 9), disc(30, 60, 5)
    (half,) = interpolate(stays | ends, stays, 1)
    assert dice(half[:, :40], stays[:, :40]) > 0.97
    assert half[:, 40:].sum() < ends.sum()


def test_a_disc_at_the_edge_of_the_image():
    (half,) = interpolate(disc(0, 40, 10), disc(0, 40, 16), 1)
    assert dice(half, disc(0, 40, 13)) > 0.95


def test_equal_shapes_stay():
    mask = disc(30, 40, 12)
    for shape in interpolate(mask, mask, 5):
        np.testing.assert_array_equal(shape, mask)


def test_the_box_changes_nothing(monkeypatch):
    first, last = disc(20, 30, 6), disc(28, 40, 11)
    boxed = list(interpolate(first, last, 4))
    monkeypatch.setattr(
        "napari_salt.session.interpolate._box", lambda mask, spare: (slice(None), slice(None))
    )
    for one, two in zip(boxed, interpolate(first, last, 4), strict=True):
        np.testing.assert_array_equal(one, two)


def test_distance_counts_the_size_of_pixels():
    mask = np.zeros(SHAPE, bool)
    mask[20:41, 20:61] = True
    near = signed_distance(mask, (1.0, 1.0))
    tall = signed_distance(mask, (3.0, 1.0))
    assert [near[30, 40], near[30, 65], near[15, 40]] == [10.5, -4.5, -4.5]
    assert [tall[30, 40], tall[30, 65], tall[15, 40]] == [20.5, -4.5, -14.5]
    assert ((near > 0) == mask).all()
    assert ((tall > 0) == mask).all()


def test_a_label_on_one_side_only_is_refused_at_once():
    with pytest.raises(InputError, match="“cell” is painted on one side only; paint it"):
        interpolate(disc(30, 40, 8), np.zeros(SHAPE, bool), 3, name="cell")


def test_slices_of_two_shapes_are_refused():
    with pytest.raises(InputError, match="other shapes"):
        interpolate(disc(30, 40, 8), np.ones((3, 3), bool), 3)


@pytest.mark.parametrize("most_pixels", [2**25, 100])
def test_work_is_bounded(monkeypatch, most_pixels):
    monkeypatch.setattr("napari_salt.session.interpolate._MOST_PIXELS", most_pixels)
    count = MOST_BETWEEN + 1 if most_pixels > 100 else 2
    with pytest.raises(InputError, match=f"too far apart \\({count} between them\\); paint “cell”"):
        interpolate(disc(30, 40, 8), disc(30, 40, 8), count, name="cell")


@pytest.fixture
def painted():
    annotations = Annotations((10, 4, 4))
    for index, label_id in ((1, 1), (5, 2), (7, 1), (9, 255)):
        annotations.paint[index, 0, 0] = label_id
        annotations.touched(index)
    return annotations


@pytest.mark.parametrize(
    ("index", "nearest"), [(0, 1), (1, 5), (3, 1), (4, 5), (6, 5), (9, 7), (None, None)]
)
def test_nearest_painted_the_one_before_when_in_doubt(painted, index, nearest):
    assert nearest_painted(painted, (1, 2), index) == nearest


def test_nothing_painted_elsewhere(painted):
    assert nearest_painted(painted, (3,), 4) is None
    assert nearest_painted(painted, (2,), 5) is None


@pytest.mark.parametrize(
    ("index", "around"), [(0, None), (1, None), (2, (1, 7)), (6, (1, 7)), (7, None), (None, None)]
)
def test_painted_around(painted, index, around):
    assert painted_around(painted, 1, index) == around
