"""NIfTI masks, read with nibabel and, independently of it, with SimpleITK."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_salt.errors import InputError, OutputError
from napari_salt.io import label_text
from napari_salt.io.export import check_target
from napari_salt.io.writing.nifti import write_nifti
from napari_salt.records import Origin
from writing_data import LABELS, OBLIQUE, SHAPE, info, masks, placed

TO_LPS = np.array([-1.0, -1.0, 1.0])


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_nibabel_finds_every_voxel_at_its_place(tmp_path, name):
    image = nibabel.load(write_nifti(tmp_path / name, masks(), placed(), LABELS))
    found = np.asarray(image.dataobj)
    assert (found.shape, found.dtype) == (SHAPE[::-1], np.uint8)
    np.testing.assert_array_equal(found.transpose(2, 1, 0), masks())
    for at in np.argwhere(masks()):
        here = np.array(OBLIQUE) @ [*at, 1]
        there = image.affine @ [*at[::-1], 1]
        np.testing.assert_allclose(there, here, atol=1e-4)
    assert image.header.get_xyzt_units() == ("mm", "unknown")
    assert image.header.get_intent()[0] == "label"
    sizes = np.array(placed().spacing)[::-1]
    np.testing.assert_allclose(image.header.get_zooms(), sizes, rtol=1e-5)


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_itk_finds_a_marked_voxel_at_its_place(tmp_path, name):
    upright = ((0.0, 0.0, -0.9, 10.0), (0.0, -0.7, 0.0, 20.0), (2.0, 0.0, 0.0, 30.0), (0, 0, 0, 1))
    there = replace(
        placed(), origin=replace(placed().origin, affine=upright), spacing=(2, 0.7, 0.9)
    )
    path = write_nifti(tmp_path / name, masks(), there, LABELS)
    header = nibabel.load(path).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-6)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for at in np.argwhere(masks()):
        place = (np.array(upright) @ [*at, 1])[:3] * TO_LPS
        index = image.TransformPhysicalPointToIndex(place.tolist())
        assert image[index] == masks()[tuple(at)]


def test_left_stays_left(tmp_path):
    """Columns that run to the patient's left: the last column is the leftmost place."""
    one = np.zeros(SHAPE, np.uint8)
    one[1, 1, 4] = 1
    upright = ((0.0, 0.0, -1.0, 0.0), (0.0, -1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0, 0, 0, 1))
    there = info(
        units=("mm",) * 3, spacing=(1, 1, 1), origin=replace(placed().origin, affine=upright)
    )
    path = write_nifti(tmp_path / "m.nii", one, there, LABELS)
    image = nibabel.as_closest_canonical(nibabel.load(path))
    x, _, _ = (image.affine @ [*np.argwhere(np.asarray(image.dataobj))[0], 1])[:3]
    assert x == -4
    itk = SimpleITK.ReadImage(str(path))
    assert itk[itk.TransformPhysicalPointToIndex((4.0, 1.0, 1.0))] == 1


def test_a_stack_that_lies_nowhere_lies_as_itk_takes_its_tiff(tmp_path):
    image = SimpleITK.ReadImage(str(write_nifti(tmp_path / "m.nii", masks(), info(), LABELS)))
    np.testing.assert_allclose(image.GetSpacing(), (0.0005, 0.00065, 0.0025), rtol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-9)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), masks())


def test_a_stack_with_a_translation_lies_there(tmp_path):
    there = info(origin=Origin(offset=(100.0, -7.5, 0.25)))
    image = SimpleITK.ReadImage(str(write_nifti(tmp_path / "m.nii", masks(), there, LABELS)))
    np.testing.assert_allclose(image.GetOrigin(), (0.00025, -0.0075, 0.1), rtol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-9)


def test_slices_in_time_begin_at_their_time(tmp_path):
    frames = info(
        units=("ms", "um", "um"), spacing=(500, 1, 1), origin=Origin(offset=(1500.0, 0.0, 3.0))
    )
    image = nibabel.load(write_nifti(tmp_path / "m.nii", masks(), frames, LABELS))
    assert image.header["toffset"] == 1.5
    np.testing.assert_allclose(image.affine[:3, 3], (-0.003, 0, 0), rtol=1e-6)


def test_a_voxel_size_changed_by_hand_counts(tmp_path):
    doubled = replace(placed(), spacing=tuple(2 * size for size in placed().spacing))
    image = nibabel.load(write_nifti(tmp_path / "m.nii", masks(), doubled, LABELS))
    expected = np.array(OBLIQUE)[:, [2, 1, 0, 3]] * [2, 2, 2, 1]
    np.testing.assert_allclose(image.affine, expected, atol=1e-5)


def test_shear_is_kept(tmp_path):
    sheared = ((0.0, 0.3, -0.9, 1.0), (0.0, -0.9, 0.0, 2.0), (2.0, 0.0, 0.0, 3.0), (0, 0, 0, 1))
    sizes = tuple(np.linalg.norm(np.array(sheared)[:3, :3], axis=0))
    there = replace(placed(), origin=replace(placed().origin, affine=sheared), spacing=sizes)
    image = nibabel.load(write_nifti(tmp_path / "m.nii", masks(), there, LABELS))
    np.testing.assert_allclose(image.affine, np.array(sheared)[:, [2, 1, 0, 3]], atol=1e-6)
    codes = int(image.header["qform_code"]), int(image.header["sform_code"])
    assert codes == (0, 1), "no rotation and no sizes say where that lies"


@pytest.mark.parametrize(("columns", "version"), [(32767, 1), (32768, 2)])
def test_an_axis_longer_than_nifti_1_can_count_makes_it_nifti_2(tmp_path, columns, version):
    wide = np.zeros((1, 1, columns), np.uint8)
    wide[0, 0, -1] = 2
    path = write_nifti(tmp_path / "m.nii", wide, info(shape=wide.shape), LABELS)
    image = nibabel.load(path)
    assert type(image) is {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}[version]
    assert np.flatnonzero(np.asarray(image.dataobj)).tolist() == [columns - 1]


def test_time_points_are_the_fourth_axis(tmp_path):
    frames = info(units=("ms", "um", "um"), spacing=(500, 1, 1))
    image = nibabel.load(write_nifti(tmp_path / "m.nii", masks(), frames, LABELS))
    assert image.shape == (5, 4, 1, 3)
    np.testing.assert_allclose(image.header.get_zooms(), (0.001, 0.001, 1, 0.5), rtol=1e-6)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(np.asarray(image.dataobj)[:, :, 0].transpose(2, 1, 0), masks())


@pytest.mark.parametrize(
    ("largest", "dtype"), [(255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32")]
)
def test_the_smallest_type(tmp_path, largest, dtype):
    image = nibabel.load(write_nifti(tmp_path / "m.nii.gz", masks(largest), info(), ()))
    assert (image.get_data_dtype(), np.asarray(image.dataobj).max()) == (dtype, largest)


def test_names_and_colours_are_in_the_header_and_beside_it(tmp_path):
    image = nibabel.load(write_nifti(tmp_path / "m.nii.gz", masks(), info(), LABELS))
    (comment,) = image.header.extensions
    assert comment.get_code() == 6
    names, colors = label_text.from_info(bytes(comment.get_content()).decode().rstrip("\0"))
    assert names == {label.label_id: label.name for label in LABELS}
    assert colors[2] == pytest.approx(LABELS[1].color)
    lines = (tmp_path / "m.labels.txt").read_text(encoding="utf-8").splitlines()
    table = [line.split(maxsplit=7) for line in lines if not line.startswith("#")]
    assert table[0][0] == "0"
    assert table[1] == ["1", "255", "0", "0", "1", "1", "1", '"gray matter"']
    assert table[2] == ["2", "0", "102", "255", "0.6", "1", "1", '"white <µ> “matter”"']


def test_the_same_masks_give_the_same_file(tmp_path):
    one = write_nifti(tmp_path / "a.nii.gz", masks(), info(), LABELS)
    two = write_nifti(tmp_path / "b.nii.gz", masks(), info(), LABELS)
    assert one.read_bytes() == two.read_bytes()


def test_what_cannot_be_placed_is_refused(tmp_path):
    with pytest.raises(InputError, match="no length"):
        write_nifti(tmp_path / "m.nii", masks(), info(units=("um", "s", "s")), LABELS)
    with pytest.raises(InputError, match="rename it"):
        write_nifti(tmp_path / "m.img", masks(), info(), LABELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_a_label_file_of_somebody_else_is_no_place_for_names(tmp_path, name):
    beside = tmp_path / "m.labels.txt"
    beside.write_text("slice 3 is cell 7\n")
    for refused in (
        lambda: write_nifti(tmp_path / name, masks(), info(), LABELS),
        lambda: check_target(tmp_path / name, info()),
    ):
        with pytest.raises(OutputError, match=r"m\.labels\.txt.*not of this program; rename it"):
            refused()
    assert beside.read_text() == "slice 3 is cell 7\n"
    assert list(tmp_path.iterdir()) == [beside]


def test_a_label_file_of_ours_is_written_anew(tmp_path):
    write_nifti(tmp_path / "m.nii", masks(), info(), LABELS)
    write_nifti(tmp_path / "m.nii", masks(), info(), LABELS[:1])
    lines = (tmp_path / "m.labels.txt").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 2
    saved_by_snap = "\n".join(line + " " for line in lines)  # as ITK-SNAP ends its lines
    (tmp_path / "m.labels.txt").write_text(saved_by_snap, encoding="utf-8")
    with pytest.raises(OutputError, match="rename it"):
        write_nifti(tmp_path / "m.nii", masks(), info(), LABELS)
