"""Masks of a coarse level on the grid of the finest one: shape, place, sizes that do not divide."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.geometry import shown
from napari_salt.io.enlarged import EnlargedMasks
from napari_salt.io.export import export_masks
from napari_salt.io.read import read_labels
from napari_salt.records import Label, StackInfo

LABELS = (Label(1, "cell"), Label(300, "axon"))


def info(shape, spacing):
    return StackInfo(shape, spacing=spacing, units=("mm",) * 3, name="t1")


@pytest.mark.parametrize(
    ("few", "many", "step", "expected"),
    [
        (3, 6, 2.0, [0, 0, 1, 1, 2, 2]),
        (3, 5, 2.0, [0, 0, 1, 1, 2]),  # filled up
        (2, 5, 2.0, [0, 0, 1, 1, 1]),  # dropped
        (2, 5, 2.5, [0, 0, 1, 1, 1]),  # resized
        (2, 6, 1.0, [0, 0, 0, 1, 1, 1]),  # no sizes are known
        (2, 3, 1.5, [0, 1, 1]),
        (3, 3, 1.4, [0, 1, 2]),  # nothing to enlarge
        (1, 4, 1.0, [0, 0, 0, 0]),
    ],
)
def test_each_place_shows_the_coarse_place_that_its_middle_lies_in(few, many, step, expected):
    assert shown(few, many, step).tolist() == expected


def test_nothing_drifts_along_an_axis_whose_last_pixel_was_dropped():
    places = shown(2048, 16391, 8.0)
    assert places[8 * 2000] == 2000
    assert places[8 * 2000 - 1] == 1999
    assert places[-1] == 2047


def test_slices_shrink_too_and_one_slice_is_read_for_each():
    class Counted:
        shape, dtype, read = (2, 2, 3), np.dtype(np.uint16), []

        def __getitem__(self, index):
            self.read.append(index)
            return np.full((2, 3), 300 + index, np.uint16)

    coarse, fine = info((2, 2, 3), (4, 2, 2)), info((3, 4, 6), (2, 1, 1))
    enlarged = EnlargedMasks(Counted(), coarse, fine)
    assert (enlarged.shape, enlarged.dtype) == ((3, 4, 6), np.uint16)
    assert not Counted.read
    assert [int(enlarged[index].min()) for index in range(3)] == [300, 300, 301]
    assert enlarged[0].shape == (4, 6)
    assert Counted.read == [0, 0, 1, 0]


def test_the_other_way_round_is_refused():
    with pytest.raises(InputError, match="do not shrink along the same axes"):
        EnlargedMasks(
            np.zeros((2, 4, 4), np.uint8), info((2, 4, 4), (1, 1, 1)), info((1, 8, 8), (1, 1, 1))
        )


@pytest.mark.parametrize("name", ["m.tif", "m.ome.tif", "m.nii.gz", "m.ome.zarr"])
def test_an_object_lies_at_the_same_place_in_the_world_in_every_format(tmp_path, name):
    coarse, fine = info((3, 9, 8), (2.0, 2.0, 1.0)), info((3, 35, 33), (2.0, 0.5, 0.25))
    masks = np.zeros(coarse.shape, np.uint16)
    masks[1, 6, 2:4] = 300
    path = export_masks(tmp_path / name, EnlargedMasks(masks, coarse, fine), fine, LABELS)
    read = read_labels(path)
    assert read.shape == fine.shape
    assert read.spacing == pytest.approx(fine.spacing)
    slices, rows, columns = np.nonzero(read.labels == 300)
    assert set(slices.tolist()) == {1}
    for places, axis, first, last in ((rows, 1, 6, 7), (columns, 2, 2, 4)):
        edges = np.array([places.min(), places.max() + 1]) * fine.spacing[axis]
        np.testing.assert_allclose(edges, np.array([first, last]) * coarse.spacing[axis])
