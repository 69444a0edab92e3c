"""What is said of a label image that does not fit its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_salt.commands.checks import check_pair
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack
from napari_salt.records import Origin, StackInfo

PIXELS = np.zeros((6, 8, 9), np.uint16)


def test_slices_that_a_file_calls_channels_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "channels.tif", PIXELS, imagej=True)
    tifffile.imwrite(tmp_path / "slices.tif", PIXELS, imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match=r"6 values for each pixel.*if these are its slices"):
        read_labels(tmp_path / "channels.tif")
    labels, image = read_labels(tmp_path / "slices.tif"), read_stack(tmp_path / "channels.tif")
    told = (
        r"has 6 slices of .* 1 slice of 8 × 9 pixels.*if the 6 channels of the image are its slices"
    )
    with pytest.raises(InputError, match=told):
        check_pair(labels.info, tmp_path / "slices.tif", image.info, tmp_path / "c.tif", None)


SLICER = "open that image in 3D Slicer with the segmentation"
LIES = {
    "a.seg.nrrd": ("nrrd", "nifti", SLICER),
    "a.nii.gz": ("nifti", "nifti", "nibabel.as_closest_canonical"),
    "a.nrrd": ("nrrd", "nrrd", "SimpleITK.Resample(labels, image"),
    "a.mha": ("metaimage", "nifti", "SimpleITK.Resample(labels, image"),
    "b.nii": ("nifti", "dicom", "SimpleITK.Resample(labels, image"),
}


def placed(format_, *, mirrored, shape=(6, 8, 9)):
    columns = -0.5 if mirrored else 0.5
    affine = ((0, 0, columns, 10), (0, 0.75, 0, 20), (3, 0, 0, 30), (0, 0, 0, 1))
    return StackInfo(shape, origin=Origin("", format_, affine))


@pytest.mark.parametrize("name", LIES)
def test_advice_for_mirrored_labels_fits_their_file(name):
    labels, image, helps = LIES[name]
    one, other = placed(labels, mirrored=True), placed(image, mirrored=False)
    with pytest.raises(InputError, match="lies mirrored") as caught:
        check_pair(one, Path(name), other, Path("image.nii"), None)
    assert helps in str(caught.value)
    assert ("nibabel" in str(caught.value)) is ("nibabel" in helps)


def test_a_segmentation_that_is_no_part_of_the_image_is_made_so_where_it_was_made():
    one, other = placed("nrrd", mirrored=True, shape=(2, 3, 4)), placed("nifti", mirrored=False)
    with pytest.raises(InputError, match=SLICER):
        check_pair(one, Path("a.seg.nrrd"), other, Path("image.nii"), None)
    with pytest.raises(InputError, match="give labels of the image's shape"):
        check_pair(one, Path("a.nrrd"), other, Path("image.nii"), None)
