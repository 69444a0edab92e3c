"""NIfTI: what nibabel and SimpleITK write lies where they say."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from format_data import marked_volume, world_of
from napari_salt.errors import InputError
from napari_salt.io import label_text, nifti_read
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.writing.nifti import write_nifti

OBLIQUE = np.array(
    [[-1.6, 0.3, 0.2, 30.0], [0.35, 1.1, -0.5, -20.0], [0.1, 0.4, 2.8, 12.0], [0, 0, 0, 1]]
)


def save(path, data, affine=OBLIQUE, **header):
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units(header.pop("space", "mm"), header.pop("time", "sec"))
    if "slope" in header:
        image.header.set_slope_inter(header["slope"], header["inter"])
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.img"])
def test_slices_are_the_third_axis_turned_and_never_flipped(tmp_path, name):
    volume = marked_volume((7, 6, 5), (4, 1, 3))
    stack = read_stack(save(tmp_path / name, volume))
    assert stack.info.shape == (5, 6, 7)
    assert stack.info.dtype == "int16"
    for index in (4, 0, 3):
        np.testing.assert_array_equal(stack.plane(index), volume[:, :, index].T)
    assert stack.info.name == "a"
    assert stack.info.origin.format == "nifti"
    assert stack.info.origin.path == str(tmp_path / name)
    np.testing.assert_allclose(
        world_of(stack.info.origin.affine, (3, 1, 4)), (OBLIQUE @ (4, 1, 3, 1))[:3], atol=1e-5
    )
    steps = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    np.testing.assert_allclose(stack.info.spacing, steps[::-1], rtol=1e-5)
    assert stack.info.units == ("mm", "mm", "mm")


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, -1, 0, 0, 0, -1, 1, 0, 0)])
def test_a_voxel_lies_where_simpleitk_says(tmp_path, direction):
    volume = marked_volume((5, 6, 7), (2, 1, 4))
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(tmp_path / "s.nii.gz"))
    stack = read_stack(tmp_path / "s.nii.gz")
    assert stack.info.spacing == (3.0, 0.75, 0.5)
    slice_index = next(i for i in range(len(stack)) if stack.plane(i).max() == 100)
    row, column = (int(at[0]) for at in np.nonzero(stack.plane(slice_index) == 100))
    x, y, z = image.TransformIndexToPhysicalPoint((4, 1, 2))
    np.testing.assert_allclose(
        world_of(stack.info.origin.affine, (slice_index, row, column)), (-x, -y, z), atol=1e-4
    )


def test_slope_and_intercept_are_applied_in_the_smallest_exact_type(tmp_path):
    stored = np.array([[[0], [250]]], np.uint8)
    whole = save(tmp_path / "w.nii", stored, slope=2, inter=-1000)
    stack = read_stack(whole)
    assert stack.info.dtype == "int16"
    np.testing.assert_array_equal(stack.plane(0), [[-1000], [-500]])
    stack = read_stack(save(tmp_path / "f.nii", stored, slope=0.5, inter=1))
    assert stack.info.dtype == "float32"
    np.testing.assert_array_equal(stack.plane(0), [[1], [126]])
    reference = nibabel.load(tmp_path / "f.nii").get_fdata()[:, :, 0].T
    np.testing.assert_array_equal(stack.plane(0), reference)


def test_a_fourth_axis_is_time(tmp_path):
    data = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    image = nibabel.Nifti1Image(data, np.eye(4))
    image.header.set_xyzt_units("micron", "msec")
    image.header.set_zooms((1, 1, 1, 40))
    nibabel.save(image, tmp_path / "t.nii.gz")
    stack = read_stack(tmp_path / "t.nii.gz", fixed={"T": 4})
    np.testing.assert_array_equal(stack.plane(2), data[:, :, 2, 4].T)
    assert stack.info.units == ("um", "um", "um")
    np.testing.assert_allclose(stack.info.origin.affine[0][2], 1e-3)
    series = read_stack(tmp_path / "t.nii.gz", slice_axis="T", fixed={"Z": 1})
    np.testing.assert_array_equal(series.plane(5), data[:, :, 1, 5].T)
    assert series.info.spacing[0] == 40
    assert series.info.units[0] == "ms"
    assert series.info.origin.affine is None


def test_colour_and_planes(tmp_path):
    colors = np.zeros((4, 3, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"][3, 1, 1] = 200
    nibabel.save(nibabel.Nifti1Image(colors, np.eye(4)), tmp_path / "c.nii")
    stack = read_stack(tmp_path / "c.nii")
    assert stack.info.rgb
    assert stack.plane(1)[1, 3].tolist() == [0, 200, 0]
    plane = np.arange(12, dtype=np.uint8).reshape(4, 3)
    nibabel.save(nibabel.Nifti1Image(plane, np.eye(4)), tmp_path / "p.nii")
    np.testing.assert_array_equal(read_stack(tmp_path / "p.nii").plane(0), plane.T)


def test_lengths_without_a_unit(tmp_path):
    volume = np.zeros((3, 3, 3), np.uint8)
    placed = nibabel.Nifti1Image(volume, np.diag([2.0, 2, 2, 1]))
    nibabel.save(placed, tmp_path / "a.nii")
    assert read_stack(tmp_path / "a.nii").info.units == ("mm", "mm", "mm")
    nowhere = nibabel.Nifti1Image(volume, None)
    nibabel.save(nowhere, tmp_path / "b.nii")
    assert read_stack(tmp_path / "b.nii").info.units == ("pixel", "pixel", "pixel")


def test_label_images(tmp_path):
    ids = np.zeros((4, 3, 2), np.int16)
    ids[2, 1, 1] = 7
    image = read_labels(save(tmp_path / "l.nii.gz", ids))
    assert image.labels[1, 1, 2] == 7
    assert image.labels.dtype == np.uint16


def test_names_and_colours_in_a_comment_of_the_header(tmp_path):
    image = nibabel.Nifti1Image(np.ones((4, 3, 2), np.uint8), np.eye(4))
    line = label_text.info_line({1: "Leber, groß"}, {1: (1.0, 0.0, 0.0, 1.0)})
    for text in ("a comment of others", line):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, text.encode()))
    nibabel.save(image, tmp_path / "l.nii.gz")
    labels = read_labels(tmp_path / "l.nii.gz")
    assert labels.names == {1: "Leber, groß"}
    assert labels.colors == {1: (1.0, 0.0, 0.0, 1.0)}


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_only_the_slice_asked_for_is_read(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(nifti_read, "IN_MEMORY", in_memory)
    volume = marked_volume((20, 20, 30), (0, 0, 9))
    plain = read_stack(save(tmp_path / "a.nii", volume))
    packed = read_stack(save(tmp_path / "b.nii.gz", volume))
    asked = []
    proxy = nibabel.arrayproxy.ArrayProxy
    getting = proxy._get_unscaled
    monkeypatch.setattr(
        proxy,
        "_get_unscaled",
        lambda self, slicer: (asked.append(slicer), getting(self, slicer))[1],
    )
    for stack in (plain, packed):
        for index in (9, 3, 9):
            np.testing.assert_array_equal(stack.plane(index), volume[:, :, index].T)
    assert [key[2] for key in asked[:3]] == [9, 3, 9]
    assert asked[3:] == ([()] if in_memory else asked[:3]), "a small packed file is unpacked once"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_files_cut_short(tmp_path, name):
    path = save(
        tmp_path / name, np.random.default_rng(0).integers(0, 99, (30, 30, 30)).astype("i2")
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut short"):
        read_stack(path).plane(29)


PACKED = gzip.compress(b"nor here", mtime=0)
"""Without the time: it is a part of the test's name, which must be the same in every process."""


@pytest.mark.parametrize("content", [b"nothing of the kind", PACKED])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
def test_what_is_no_nifti(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    if suffix == ".hdr":
        (tmp_path / "x.img").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as NIfTI"):
        read_stack(path)


@pytest.mark.parametrize("value", [0.0, np.nan, 1.0])
def test_a_place_that_is_none_is_told_and_harms_nobody(tmp_path, value):
    image = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.uint8), np.diag([0.5, 0.75, 2, 1]))
    image.set_sform(np.diag([0.5, 0.75, 2, 1]), code=1)
    nibabel.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[280:328] = np.full(12, value, "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    stack = read_stack(tmp_path / "a.nii")
    assert stack.info.origin.affine is None
    assert stack.info.spacing == (2.0, 0.75, 0.5)
    assert "in the world cannot be used" in stack.note
    write_nifti(tmp_path / "m.nii", np.ones((3, 4, 5), np.uint8), stack.info, ())
    assert nibabel.load(tmp_path / "m.nii").header.get_zooms() == pytest.approx((0.5, 0.75, 2))


@pytest.mark.parametrize(("kept", "missing"), [("a.hdr", "a.img"), ("a.img", "a.hdr")])
def test_one_file_of_two_says_which_is_missing(tmp_path, kept, missing):
    pair = nibabel.Nifti1Pair(np.zeros((5, 4, 3), np.uint8), np.eye(4))
    nibabel.save(pair, tmp_path / "a.img")
    assert read_stack(tmp_path / kept).info.shape == (3, 4, 5)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=rf"{missing} is not beside it"):
        read_stack(tmp_path / kept)
