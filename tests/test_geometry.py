"""Axes of images and stacks, levels of pyramids, edges of voxels: numbers only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_salt.geometry import (
    Place,
    StackGeometry,
    level_steps,
    middles,
    part_filled,
    shown,
    unit_name,
)
from napari_salt.records import Origin


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        (StackGeometry(2), (4, 5)),
        (StackGeometry(3), (3, 4, 5)),
        (StackGeometry(4, 1, {0: 6}), (1, 3, 4, 5)),
        (StackGeometry(4, 0, {1: 6}), (3, 1, 4, 5)),
        (StackGeometry(5, 1, {0: 2, 2: 1}), (1, 3, 1, 4, 5)),
    ],
)
def test_layer_shares_the_array(geometry, shape):
    array = np.zeros((1 if geometry.ndim == 2 else 3, 4, 5), np.uint16)
    layer = geometry.as_layer(array)
    assert layer.shape == shape
    layer[...] = 7
    assert (array == 7).all()


def test_slices_along_a_middle_axis_keep_rows_and_columns():
    array = np.arange(60).reshape(3, 4, 5)
    layer = StackGeometry(3, 1).as_layer(array)
    assert layer.shape == (4, 3, 5)
    np.testing.assert_array_equal(layer[:, 2], array[2])


def test_offset_and_name_tell_places_apart():
    place = Place("image", StackGeometry(4, 1, {0: 6}))
    np.testing.assert_array_equal(place.geometry.offset(), [6, 0, 0, 0])
    assert place.name != Place("image", StackGeometry(4, 1, {0: 5})).name


@pytest.mark.parametrize(("unit", "name"), [("micrometer", "um"), ("pixel", "pixel"), ("V", "V")])
def test_unit_name(unit, name):
    assert unit_name(unit) == name


@pytest.mark.parametrize(
    ("coarse", "fine", "steps"),
    [
        ((24,), (48,), (2.0,)),
        ((24,), (47,), (2.0,)),  # the last one was filled up
        ((23,), (47,), (2.0,)),  # or left out
        ((250,), (1001,), (4.0,)),
        ((126,), (1001,), (8.0,)),  # rounded up three times
        ((511,), (512,), (512 / 511,)),
        ((21,), (30,), (30 / 21,)),
        ((5, 16, 16), (5, 64, 32), (1.0, 4.0, 2.0)),
    ],
)
def test_steps_of_a_level(coarse, fine, steps):
    assert level_steps(coarse, fine) == steps


def test_elements_of_a_level_lie_in_the_middle_of_what_they_stand_for():
    geometry = StackGeometry(4, 1, {0: 6}, steps=(1.0, 2.0, 4.0, 4.0))
    np.testing.assert_array_equal(geometry.sizes(), [1, 2, 4, 4])
    np.testing.assert_array_equal(geometry.offset(), [6, 0.5, 1.5, 1.5])
    np.testing.assert_array_equal(geometry.offset({1: 3, 2: 1}), [6, 6.5, 5.5, 1.5])
    assert [geometry.on_level(1, place) for place in (0, 1, 2, 3.4)] == [0, 0, 1, 1]
    assert geometry.on_level(2, -1) == -1


def test_a_position_between_levels_is_counted_on_the_level():
    assert StackGeometry(4, 1, {0: 7}, steps=(2.0, 1.0, 2.0, 2.0)).fixed_on_level() == {0: 3}


def test_levels_are_places_of_their_own():
    place = Place("image", StackGeometry(3))
    assert place.name != Place("image", StackGeometry(3), 1).name


def test_axes_of_a_plane_and_of_a_stack():
    plane, stack = StackGeometry(2), StackGeometry(4, 2, {0: 6})
    assert (plane.plane_axes, plane.stack_axes, plane.at_slice(0)) == ((0, 1), (0, 1), {})
    assert (stack.plane_axes, stack.stack_axes, stack.at_slice(5)) == ((1, 3), (2, 1, 3), {2: 5})


def test_a_fixed_axis_is_one_voxel_thick_whatever_the_level():
    geometry = StackGeometry(4, 1, {0: 6}, steps=(3.0, 2.0, 4.0, 4.0))
    np.testing.assert_array_equal(geometry.sizes(), [1, 2, 4, 4])
    assert geometry.offset()[0] == 6


def along(*edges):
    """An affine whose slices, rows and columns lie along these edges (x, y, z)."""
    return (*zip(*edges, (7.0, 8.0, 9.0), strict=True), (0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("edges", "volume", "area"),
    [
        (((0, 0, 5), (0, 2, 0), (3, 0, 0)), 1, 1),
        (((0, 0.6, 0.8), (0, 2, 0), (3, 0, 0)), 0.8, 1),  # slices that lean over, as of a gantry
        (((0, 0, 2), (0, 3, 0), (1, 1, 0)), 1 / math.sqrt(2), 1 / math.sqrt(2)),
        (((0, 0, -1), (0, -1, 0), (1, 0, 0)), 1, 1),
        # an edge without a length stands upright; others that are no voxel say nothing
        (((0, 1, 0), (0, 2, 0), (3, 0, 0)), 1, 1),
        (((0, 0, 0), (0, 2, 0), (1, 1, 0)), 1 / math.sqrt(2), 1 / math.sqrt(2)),
        (((0, math.nan, 1), (0, 2, 0), (3, 0, 0)), 1, 1),
    ],
)
def test_part_of_a_box_that_a_voxel_fills(edges, volume, area):
    origin = Origin(affine=along(*edges))
    assert part_filled(origin) == pytest.approx(volume, abs=1e-6)
    assert part_filled(origin, 2) == pytest.approx(area, abs=1e-6)
    assert part_filled(Origin()) == part_filled(Origin(), 2) == 1


@pytest.mark.parametrize(
    ("few", "many", "step", "coarse", "fine"),
    [
        (2, 4, 2.0, [0, 0, 1, 1], [1, 3]),
        (2, 5, 2.0, [0, 0, 1, 1, 1], [1, 3]),  # the last one was dropped
        (3, 5, 2.0, [0, 0, 1, 1, 2], [1, 3, 4]),  # or filled up
        (3, 3, 2.0, [0, 1, 2], [0, 1, 2]),
        (2, 6, 2.0, [0, 0, 0, 1, 1, 1], [1, 4]),  # no such step
    ],
)
def test_places_on_a_level_and_their_middles(few, many, step, coarse, fine):
    assert shown(few, many, step).tolist() == coarse
    assert middles(few, many, step).tolist() == fine
