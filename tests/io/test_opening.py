"""What a path is, and what is said when it cannot be opened."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from format_data import dicom_series
from napari_salt.errors import InputError, MissingExtra
from napari_salt.io.opening import READERS, open_path
from napari_salt.io.read import read_labels, read_stack

VOLUME = np.zeros((3, 4, 5), np.uint8)


def test_a_folder_is_zarr_first_then_dicom_then_single_images(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(VOLUME[0]).save(tmp_path / name)
    stack = read_stack(tmp_path)
    assert stack.info.origin.format == "folder"
    assert stack.info.origin.path == str(tmp_path)
    dicom_series(tmp_path, VOLUME)
    assert read_stack(tmp_path).info.origin.format == "dicom"
    zarr.create_array(str(tmp_path), data=VOLUME)
    assert read_stack(tmp_path).info.origin.format == "zarr"


def test_the_origin_of_plain_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.TIFF", VOLUME, photometric="minisblack")
    np.save("a.npy", VOLUME)
    Image.fromarray(VOLUME[0]).save("a.png")
    for name, kind in (("a.TIFF", "tiff"), ("a.npy", "npy"), ("a.png", "png")):
        origin = read_stack(name).info.origin
        assert (origin.path, origin.format) == (str(tmp_path / name), kind)
        assert origin.affine is None


def test_empty_folders_and_missing_files(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        read_stack(tmp_path)
    with pytest.raises(InputError, match="holds no label images"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match=r"no file .*none.h5; check the path"):
        read_stack(f"{tmp_path / 'none.h5'}::/a")


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_a_file_that_may_not_be_read_is_no_damaged_one(tmp_path, monkeypatch, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(InputError, match="you may not read it"):
        read_stack(tmp_path / f"a{suffix}")


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_file_may_be_called_like_a_file_and_its_dataset(tmp_path):
    np.save(tmp_path / "a::b.npy", VOLUME)
    assert read_stack(tmp_path / "a::b.npy").info.name == "a::b"


def test_levels_and_series_of_formats_without_them(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME)
    with pytest.raises(InputError, match="no level 1; only pyramids"):
        read_stack(tmp_path / "a.npy", level=1)
    with pytest.raises(InputError, match="no series “x”; only DICOM"):
        read_stack(tmp_path / "a.npy", series="x")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("a.nii.gz", "nibabel", "nifti"),
        ("a.nrrd", "nrrd", "nrrd"),
        ("a.dcm", "pydicom", "dicom"),
        ("a.h5", "h5py", "hdf5"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name, module, extra):
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf'one more package; .*"napari-salt\[{extra}\]"'):
        open_path(tmp_path / name)


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_empty_files_of_every_format_are_refused_in_a_sentence(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(
        InputError, match=f"^a{suffix} cannot be read: the file is empty; copy it again.$"
    ):
        read_stack(tmp_path / f"a{suffix}")
