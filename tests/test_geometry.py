from __future__ import annotations

import numpy as np
import pytest

from napari_salt.geometry import Place, StackGeometry, level_steps, unit_name


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
