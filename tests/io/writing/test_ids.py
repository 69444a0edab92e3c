"""The largest id of a label image, and the type that it needs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.io.writing.ids import largest_id, smallest_type


@pytest.mark.parametrize(
    ("labels", "largest"),
    [
        (np.zeros((2, 2, 2), np.uint8), 0),
        (np.zeros((2, 0, 3), np.uint8), 0),
        (np.zeros((0, 2, 2)), 0),
        (np.array(5), 0),
        (np.array([[[1, 7]], [[0, 3]]], np.int16), 7),
        (np.array([[[9]]], np.int16), 9),
        (np.array([[[True]]]), 1),
        (np.array([[[0.0, 2.0**32 - 1]]]), 2**32 - 1),
    ],
)
def test_the_largest_id(labels, largest):
    assert largest_id(labels) == largest


@pytest.mark.parametrize("odd", [-1, 0.5, np.nan, np.inf, 2.0**32])
def test_what_a_cast_would_change_is_refused(odd):
    labels = np.zeros((3, 2, 2))
    labels[1, 1, 1] = odd
    with pytest.raises(InputError, match=r"^Slice 1 holds values from .*whole numbers from 0 up"):
        largest_id(labels)


@pytest.mark.parametrize(
    ("largest", "name"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65536, "uint32"), (2**32 - 1, "uint32")],
)
def test_the_smallest_type(largest, name):
    assert smallest_type(largest) == np.dtype(name)


def test_ids_that_a_format_has_no_type_for_are_refused():
    assert smallest_type(32767, ("uint8", "int16")) == np.dtype("int16")
    with pytest.raises(InputError, match=r"up to 32768, .* holds \(32767\); choose another format"):
        smallest_type(32768, ("uint8", "int16"))
