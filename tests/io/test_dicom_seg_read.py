"""DICOM segmentations written by highdicom lie on the image that they were made for."""

from __future__ import annotations

import numpy as np
import pytest

from format_data import dicom_segmentation, dicom_series
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack


@pytest.fixture
def ids():
    found = np.zeros((6, 5, 7), np.uint8)
    found[2, 1, 3], found[3, 4, 6], found[4, 0, 0] = 1, 2, 1
    return found


@pytest.mark.parametrize("sign", [1, -1])
def test_ids_names_and_colours_on_the_slices_of_the_image(tmp_path, ids, sign):
    folder = dicom_series(
        tmp_path / "s", np.zeros((6, 5, 7), np.int16), SliceThickness=2, step=(0, 0, sign * 2.0)
    )
    file = dicom_segmentation(folder, ids, tmp_path / "seg.dcm")
    stack = read_stack(folder)
    image = read_labels(file, like=stack.info)
    np.testing.assert_array_equal(image.labels, ids[::sign])
    assert image.names == {1: "liver", 2: "spleen"}
    np.testing.assert_allclose(image.colors[1], (1, 0, 0, 1), atol=0.02)
    assert image.spacing == (2.0, 0.5, 0.25)
    alone = read_labels(file)
    np.testing.assert_array_equal(alone.labels, ids[::sign][ids[::sign].any((1, 2))])
    np.testing.assert_allclose(
        alone.info.origin.affine[2][3], stack.info.origin.affine[2][3] + (4 if sign == 1 else 2)
    )


def test_a_segmentation_beside_its_images_is_no_image(tmp_path, ids):
    folder = dicom_series(tmp_path / "s", np.zeros((6, 5, 7), np.int16), SliceThickness=2)
    dicom_segmentation(folder, ids, tmp_path / "seg.dcm").rename(folder / "seg.dcm")
    stack = read_stack(folder)
    assert len(stack) == 6
    np.testing.assert_array_equal(read_labels(folder, like=stack.info).labels, ids)


def test_on_another_image_it_is_refused(tmp_path, ids):
    folder = dicom_series(tmp_path / "s", np.zeros((6, 5, 7), np.int16), SliceThickness=2)
    file = dicom_segmentation(folder, ids, tmp_path / "seg.dcm")
    other = dicom_series(
        tmp_path / "o", np.zeros((6, 5, 7), np.int16), SliceThickness=2, step=(0, 0, 1.5)
    )
    with pytest.raises(InputError, match="does not lie on the voxels"):
        read_labels(file, like=read_stack(other).info)
