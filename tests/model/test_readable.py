"""A slice that cannot be read is looked past where nobody has asked for it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import UnreadableSlice
from napari_salt.model.input_checks import check_contrast
from napari_salt.model.limits import measure_limits, measured_slices
from napari_salt.model.readable import ReadablePlanes
from napari_salt.session.stack import Stack

COUNT = 40


class Torn:
    """An array of which some slices raise what a file system or a codec raises."""

    def __init__(self, data, torn, error=None):
        self.data, self.torn = data, torn
        self.error = error or OSError("the page is cut off")
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key):
        if key[0] in self.torn:
            raise self.error
        return self.data[key]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 1000, (COUNT, 12, 12), np.uint16)


def torn_stack(pixels, *torn):
    return Stack(Torn(pixels, torn))


def test_a_stack_says_which_slice_cannot_be_read(pixels):
    stack = torn_stack(pixels, 3)
    with pytest.raises(
        UnreadableSlice, match=r"^Slice 3 of the image could not be read \(OSError: the page"
    ) as caught:
        stack.plane(3)
    assert caught.value.index == 3
    np.testing.assert_array_equal(stack.plane(2), pixels[2])


def test_running_out_of_memory_is_no_matter_of_a_slice(pixels):
    with pytest.raises(MemoryError):
        Stack(Torn(pixels, {3}, MemoryError())).plane(3)


@pytest.mark.parametrize(
    ("torn", "instead"), [((5,), 4), ((5, 4), 6), ((0,), 1), (range(30, 40), 29)]
)
def test_a_slice_nearby_stands_for_it(pixels, torn, instead):
    planes = ReadablePlanes(torn_stack(pixels, *torn))
    at = torn[0]
    np.testing.assert_array_equal(planes.plane(at), pixels[instead])
    part = slice(2, 7)
    np.testing.assert_array_equal(planes.region(at, part, part), pixels[instead, 2:7, 2:7])
    assert at in planes.unreadable


def test_nothing_stands_for_a_slice_that_was_asked_for(pixels):
    planes = ReadablePlanes(torn_stack(pixels, 5), [5])
    with pytest.raises(UnreadableSlice, match="Slice 5"):
        planes.plane(5)
    planes.leave_out(5)
    np.testing.assert_array_equal(planes.plane(5), pixels[4])


def test_where_no_slice_can_be_read_the_one_asked_for_is_named(pixels):
    with pytest.raises(UnreadableSlice, match="Slice 7"):
        ReadablePlanes(torn_stack(pixels, *range(COUNT))).plane(7)


def test_intensities_are_measured_without_slices_that_cannot_be_read(pixels):
    measured = measured_slices(COUNT)
    whole, torn = measure_limits(Stack(pixels)), measure_limits(torn_stack(pixels, measured[3]))
    assert torn.low == pytest.approx(whole.low, abs=10)
    assert torn.high == pytest.approx(whole.high, abs=10)


def test_where_most_cannot_be_read_that_is_said(pixels):
    measured = measured_slices(COUNT)
    measure_limits(torn_stack(pixels, *measured[:8]))
    with pytest.raises(UnreadableSlice):
        measure_limits(torn_stack(pixels, *measured[:9]))


def test_blank_paint_and_a_torn_page_are_no_stack_without_contrast(pixels):
    pixels[2] = 0
    check_contrast(torn_stack(pixels, 0), [2])
