"""Whether two stacks of one shape lie on each other in the world."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from napari_salt.io.read import read_stack
from napari_salt.io.world import NO_PLACE, Apart, apart, as_affine
from napari_salt.records import Origin, StackInfo

PLACE = np.array([[0, 0, -0.8, 90], [0.1, -0.8, 0, 70], [3, 0, 0, -20], [0, 0, 0, 1]])
"""Slices upwards and a little tilted, rows to the back, columns to the left."""


def info(affine, shape=(5, 6, 7), *, placed=True):
    rows = None if affine is None else as_affine(affine)
    return StackInfo(shape, origin=Origin(affine=rows, placed=placed))


def moved(*by):
    place = PLACE.copy()
    place[:3, 3] += by
    return place


@pytest.mark.parametrize(
    ("affine", "found"),
    [
        (PLACE * (1 + 1e-4), Apart()),
        (moved(0.3, -0.3, 1.4), Apart()),
        (moved(0, 0, 1.6), Apart(moved=("first voxel",))),
        (PLACE @ np.diag((1, 1, 1.02, 1)), Apart(moved=("voxel size",))),
        (PLACE @ np.diag((1, 1, -1, 1)), Apart(("columns",), (), ("tilt",))),
        (PLACE @ np.diag((-1, -1, 1, 1)), Apart(("slices", "rows"), (), ("tilt",))),
        (PLACE[:, [0, 2, 1, 3]], Apart((), ("rows", "columns"), ("tilt",))),
    ],
)
def test_what_differs_is_named_and_rounding_is_nothing(affine, found):
    assert apart(info(affine), info(PLACE)) == found


def test_a_place_that_nobody_knows_contradicts_nothing():
    mirrored = PLACE @ np.diag((1, 1, -1, 1))
    for unknown in (info(None), info(mirrored, placed=False), info(np.full((4, 4), np.nan))):
        assert apart(unknown, info(PLACE)) == apart(info(PLACE), unknown) == Apart()


def test_the_identity_is_told_and_contradicts_nothing():
    bare = info(NO_PLACE)
    told = Apart(moved=("their affine, which only one of them has set",))
    assert apart(bare, info(PLACE)) == apart(info(PLACE), bare) == told
    assert apart(bare, bare) == Apart()


@pytest.mark.parametrize(
    ("offset", "unit", "found"),
    [
        ((100.0, 50.0, 0.0), "um", Apart()),
        ((100.9, 50.2, 0.2), "um", Apart()),
        ((0.1, 0.05, 0.0), "mm", Apart()),
        ((101.1, 50.0, 0.0), "um", Apart(moved=("first voxel",))),
        ((0.0, 0.0, 0.0), "um", Apart(moved=("first voxel",))),
        ((7.0, 0.0, 0.0), "pixel", Apart()),
    ],
)
def test_translations_of_two_ome_zarr_are_compared(offset, unit, found):
    def lies(offset, unit, kind="ome-zarr"):
        origin = Origin(format=kind, offset=offset)
        size = 0.001 if unit == "mm" else 1.0
        sizes = (2 * size, 0.5 * size, 0.5 * size)
        return StackInfo((5, 6, 7), spacing=sizes, units=(unit,) * 3, origin=origin)

    image = lies((100.0, 50.0, 0.0), "um")
    assert apart(lies(offset, unit), image) == found
    assert apart(lies(offset, unit, "tiff"), image) == Apart()  # it has no room for a place


def test_a_single_slice_has_no_direction():
    upside_down = PLACE @ np.diag((-1, 1, 1, 1))
    assert apart(info(upside_down, (1, 6, 7)), info(PLACE, (1, 6, 7))) == Apart()


@pytest.mark.parametrize(("affine", "placed"), [(np.eye(4), True), (None, False)])
def test_nifti_without_a_form_does_not_say_where_it_lies(tmp_path, affine, placed):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), affine), tmp_path / "a.nii")
    origin = read_stack(tmp_path / "a.nii").info.origin
    assert origin.placed is placed
    assert np.array_equal(origin.affine, NO_PLACE) is placed


@pytest.mark.parametrize(
    ("spacing", "units", "found"),
    [
        ((2.0, 0.5, 0.5), ("mm",) * 3, Apart()),
        ((2000.0, 500.0, 501.0), ("um",) * 3, Apart()),
        ((2.0, 0.5, 0.5), ("um",) * 3, Apart(moved=("voxel size",))),
        ((2.0, 0.5, 0.55), ("mm",) * 3, Apart(moved=("voxel size",))),
        ((5.0, 0.5, 0.5), ("s", "mm", "mm"), Apart()),
        ((1.0, 1.0, 1.0), ("pixel",) * 3, Apart()),
    ],
)
def test_sizes_are_compared_where_nobody_says_where_voxels_lie(spacing, units, found):
    sized = StackInfo((5, 6, 7), spacing=(2.0, 0.5, 0.5), units=("mm",) * 3)
    other = StackInfo((5, 6, 7), spacing=spacing, units=units)
    assert apart(other, sized) == apart(sized, other) == found
