from __future__ import annotations

import numpy as np
import pytest

from napari_salt.geometry import Place, StackGeometry, unit_name


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
