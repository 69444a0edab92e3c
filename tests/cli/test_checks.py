"""What is said of a label image that does not fit its image."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_salt.commands.checks import check_pair
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack

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
