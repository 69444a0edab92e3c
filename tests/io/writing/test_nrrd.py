"""NRRD masks, read with SimpleITK and, as 3D Slicer would, with slicerio."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import slicerio

from napari_salt.errors import InputError
from napari_salt.io.read import read_labels
from napari_salt.io.writing.nrrd import write_nrrd
from napari_salt.records import Label, Origin
from writing_data import LABELS, SHAPE, info, masks, placed

TO_LPS = np.array([-1.0, -1.0, 1.0])
UPRIGHT = ((0.0, 0.0, -0.9, 10.0), (0.0, -0.7, 0.0, 20.0), (2.0, 0.0, 0.0, 30.0), (0, 0, 0, 1))


def there():
    origin = replace(placed().origin, affine=UPRIGHT)
    return replace(placed(), origin=origin, spacing=(2, 0.7, 0.9))


def test_itk_finds_a_marked_voxel_at_its_place(tmp_path):
    image = SimpleITK.ReadImage(str(write_nrrd(tmp_path / "m.nrrd", masks(), there(), LABELS)))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for at in np.argwhere(masks()):
        place = (np.array(UPRIGHT) @ [*at, 1])[:3] * TO_LPS
        assert image[image.TransformPhysicalPointToIndex(place.tolist())] == masks()[tuple(at)]


def test_3d_slicer_finds_segments_with_their_names_and_colours(tmp_path):
    path = write_nrrd(tmp_path / "m.seg.nrrd", masks(), there(), LABELS)
    found = slicerio.read_segmentation(str(path))
    np.testing.assert_array_equal(found["voxels"].transpose(2, 1, 0), masks())
    assert [one["labelValue"] for one in found["segments"]] == [1, 2]
    assert found["segments"][0]["name"] == "gray matter"
    assert found["segments"][0]["color"] == [1, 0, 0]
    corner = found["ijkToLPS"] @ (SHAPE[2] - 1, 0, 0, 1)
    np.testing.assert_allclose(corner[:3], (np.array(UPRIGHT) @ (0, 0, 4, 1))[:3] * TO_LPS)


def test_a_stack_that_lies_nowhere_lies_as_itk_takes_its_tiff(tmp_path):
    image = SimpleITK.ReadImage(str(write_nrrd(tmp_path / "m.nrrd", masks(), info(), LABELS)))
    np.testing.assert_allclose(image.GetSpacing(), (0.0005, 0.00065, 0.0025), rtol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-9)
    moved = info(origin=Origin(offset=(100.0, -7.5, 0.25)))
    image = SimpleITK.ReadImage(str(write_nrrd(tmp_path / "m.nrrd", masks(), moved, LABELS)))
    np.testing.assert_allclose(image.GetOrigin(), (0.00025, -0.0075, 0.1), rtol=1e-6)


def test_time_points_are_the_fourth_axis(tmp_path):
    frames = info(units=("ms", "um", "um"), spacing=(500, 1, 1))
    path = write_nrrd(tmp_path / "m.nrrd", masks(), frames, LABELS)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetSize() == (5, 4, 1)
    values = SimpleITK.GetArrayFromImage(image)
    np.testing.assert_array_equal(values[0].transpose(2, 0, 1), masks())
    back = read_labels(path)
    np.testing.assert_array_equal(back.labels, masks())
    assert (back.spacing[0], back.units[0]) == (0.5, "s")


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32")]
)
def test_the_smallest_type(tmp_path, largest, dtype):
    path = write_nrrd(tmp_path / "m.nrrd", masks(largest), info(), ())
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    assert (found.dtype, found.max()) == (dtype, largest)


def test_the_same_masks_make_the_same_file_and_names_stay_on_their_lines(tmp_path):
    labels = (Label(1, "a\nSegment0_LabelValue:=9\n\n", (1, 1, 1, 1)),)
    first = write_nrrd(tmp_path / "a.nrrd", masks(), info(), labels).read_bytes()
    assert write_nrrd(tmp_path / "b.nrrd", masks(), info(), labels).read_bytes() == first
    assert read_labels(tmp_path / "a.nrrd").names == {1: "a Segment0_LabelValue:=9"}


def test_another_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.seg\.nrrd or \.nrrd"):
        write_nrrd(tmp_path / "m.nhdr", masks(), info(), ())
