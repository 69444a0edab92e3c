"""What was painted is checked before any work starts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.model.input_checks import check_annotations, check_contrast, painted_labels
from napari_salt.records import BACKGROUND, AnnotatedSlice, Label

LABELS = [Label(3, "axon"), Label(300, "soma"), Label(7, "glia")]


def paint(index: int, *ids: int, shape=(4, 5)) -> AnnotatedSlice:
    targets = np.zeros(shape, np.uint16)
    targets.flat[: len(ids)] = ids
    return AnnotatedSlice(index, targets)


@pytest.fixture
def planes(planes_of):
    return planes_of(np.zeros((6, 4, 5), np.uint8))


def test_slices_without_paint_are_left_out(planes):
    slices = [paint(0), paint(2, 3, BACKGROUND), paint(4), paint(5, 300)]
    assert [one.index for one in check_annotations(planes, slices, LABELS)] == [2, 5]


def test_labels_that_nobody_painted_are_left_out_in_order():
    assert painted_labels([paint(0, 7, BACKGROUND), paint(1, 3)], LABELS) == [LABELS[0], LABELS[2]]
    assert painted_labels([paint(0, 300)], LABELS) == [LABELS[1]]


def test_two_labels_need_no_background(planes):
    slices = [paint(0, 3), paint(1, 300)]
    assert check_annotations(planes, slices, LABELS) == slices


@pytest.mark.parametrize("slices", [[], [paint(0)], [paint(1, BACKGROUND, BACKGROUND)]])
def test_nothing_painted_is_refused(planes, slices):
    with pytest.raises(InputError, match="No pixel of a label is painted yet; paint"):
        check_annotations(planes, slices, LABELS)


def test_one_label_alone_is_refused(planes):
    with pytest.raises(InputError, match="paint some background too, or mark a slice as complete"):
        check_annotations(planes, [paint(0, 3, 3), paint(1, 3)], LABELS)


def test_an_unknown_id_is_refused_with_its_slice(planes):
    with pytest.raises(InputError, match="Slice 4 carries the unknown label id 9"):
        check_annotations(planes, [paint(0, 3, BACKGROUND), paint(4, 12, 9)], LABELS)


def test_another_shape_is_refused(planes):
    with pytest.raises(InputError, match=r"slice 1 are \(5, 4\) pixels and the image is \(4, 5\)"):
        check_annotations(planes, [paint(1, 3, BACKGROUND, shape=(5, 4))], LABELS)


def test_a_slice_given_twice_is_refused(planes):
    with pytest.raises(InputError, match="Slice 2 is given twice"):
        check_annotations(planes, [paint(2, 3), paint(2, BACKGROUND)], LABELS)


@pytest.mark.parametrize(
    ("values", "rgb", "says"),
    [
        (np.zeros((6, 4, 5), np.uint8), False, r"one value only \(0\)"),
        (np.full((6, 4, 5), np.nan), False, "no number"),
        (np.full((6, 4, 5), [np.nan, 2.5, np.inf, 2.5, 2.5]), False, r"one value only \(2.5\)"),
        (np.full((6, 4, 5, 4), (9, 20, 30, 255), np.uint8), True, r"one value only \(9, 20, 30\)"),
    ],
)
def test_a_stack_that_shows_nothing_is_refused(planes_of, values, rgb, says):
    with pytest.raises(InputError, match=f"The image holds {says}.*choose an image"):
        check_contrast(planes_of(values, rgb=rgb), [3])


def test_anything_to_see_is_enough(planes_of):
    check_contrast(planes_of(np.arange(6, dtype=np.uint8).repeat(20).reshape(6, 4, 5)), [3])
    sparse = np.zeros((1000, 4, 5), np.uint8)
    sparse[500, 2, 2] = 1
    check_contrast(planes_of(sparse), [500])
    with pytest.raises(InputError, match="one value only"):
        check_contrast(planes_of(sparse), [501])
    stains = np.zeros((6, 4, 5, 2), np.uint16)
    stains[0, 0, 0, 1] = 700
    check_contrast(planes_of(stains), [])


def test_reading_ends_where_something_is_seen(planes_of):
    class Counting:
        def __init__(self, planes):
            self.info, self._planes, self.read = planes.info, planes, []

        def plane(self, index):
            self.read.append(index)
            return self._planes.plane(index)

    planes = Counting(planes_of(np.arange(120, dtype=np.uint8).reshape(6, 4, 5)))
    check_contrast(planes, [4, 5])
    assert planes.read == [4]
