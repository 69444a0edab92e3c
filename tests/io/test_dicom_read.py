"""DICOM series: order, values, and place in the world, as pydicom and SimpleITK see them."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from pydicom.dataset import Dataset
from pydicom.uid import MPEG2MPML, RLELossless

from format_data import dicom_file, dicom_series, marked_volume, world_of
from napari_salt.errors import ChoiceNeeded, InputError
from napari_salt.io import dicom_read
from napari_salt.io.read import read_labels, read_stack

AXIAL = ([1, 0, 0, 0, 1, 0], (0.0, 0.0, 2.0))
SAGITTAL = ([0, 1, 0, 0, 0, -1], (-1.5, 0.0, 0.0))
OBLIQUE = ([0.8, 0.6, 0, 0, 0, -1], (1.2, -1.6, 0.0))


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
@pytest.mark.parametrize("sign", [1, -1])
def test_slices_lie_where_simpleitk_says_whatever_their_names_and_numbers(
    tmp_path, orientation, sign
):
    cosines, step = orientation
    volume = marked_volume((6, 5, 7), (4, 1, 3))
    folder = dicom_series(
        tmp_path / "s",
        volume,
        step=tuple(sign * part for part in step),
        first=(10.0, -20.0, 30.0),
        ImageOrientationPatient=cosines,
    )
    stack = read_stack(folder)
    assert stack.info.shape == (6, 5, 7)
    assert stack.info.units == ("mm", "mm", "mm")
    np.testing.assert_allclose(stack.info.spacing, (np.linalg.norm(step), 0.5, 0.25))
    found = next(i for i in range(6) if stack.plane(i).max() == 100)
    row, column = (int(at[0]) for at in np.nonzero(stack.plane(found) == 100))

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    z, y, x = (int(at[0]) for at in np.nonzero(sitk.GetArrayFromImage(image) == 100))
    left, back, up = image.TransformIndexToPhysicalPoint((x, y, z))
    place = world_of(stack.info.origin.affine, (found, row, column))
    np.testing.assert_allclose(place, (-left, -back, up), atol=1e-4)
    assert (found, row, column) == (z, y, x), "and in the same order"
    assert stack.info.origin.path == str(folder)
    assert stack.info.origin.format == "dicom"
    assert stack.note == ""
    assert stack.info.name == "abdomen"


def test_without_positions_the_numbers_count(tmp_path):
    volume = np.stack([np.full((3, 3), n, np.uint8) for n in range(12)])
    folder = dicom_series(tmp_path / "s", volume, ImageOrientationPatient=None, PixelSpacing=None)
    stack = read_stack(folder)
    assert [int(stack.plane(index)[0, 0]) for index in range(12)] == list(range(12))
    assert stack.info.origin.affine is None
    assert stack.info.units == ("pixel", "pixel", "pixel")


def test_one_image_without_a_place_is_told(tmp_path):
    folder = dicom_series(tmp_path / "s", np.zeros((5, 3, 3), np.int16))
    assert read_stack(folder).note == ""
    file = next(folder.iterdir())
    header = pydicom.dcmread(file)
    del header.ImagePositionPatient
    header.save_as(file)
    stack = read_stack(folder)
    assert stack.note.startswith(
        "1 of 5 images do not say where they lie, so slices are in the order"
    )
    assert stack.info.origin.affine is None


def test_hounsfield_units_are_int16(tmp_path):
    stored = np.array([[0, 4095]], np.uint16)
    folder = dicom_series(
        tmp_path / "s",
        np.stack([stored] * 2),
        BitsStored=12,
        HighBit=11,
        RescaleSlope=1,
        RescaleIntercept=-1024,
    )
    stack = read_stack(folder)
    assert stack.info.dtype == "int16"
    assert stack.plane(0).tolist() == [[-1024, 3071]]


@pytest.mark.parametrize(
    ("dtype", "slope", "expected"),
    [
        (np.uint16, lambda index: 0.5 * (index + 1), "float32"),
        (np.uint16, 1, "float32"),
        (np.int16, 1, "float32"),
        (np.uint8, 2, "int16"),
    ],
)
def test_values_that_do_not_fit_int16_are_float32(tmp_path, dtype, slope, expected):
    volume = np.full((3, 2, 2), 200, dtype)
    folder = dicom_series(tmp_path / "s", volume, RescaleSlope=slope, RescaleIntercept=-3)
    stack = read_stack(folder)
    assert stack.info.dtype == expected
    for index in range(3):
        factor = slope(index) if callable(slope) else slope
        assert stack.plane(index)[0, 0] == 200 * factor - 3


def test_what_needs_no_rescaling_keeps_its_type(tmp_path):
    volume = np.full((2, 2, 2), 60000, np.uint16)
    stack = read_stack(dicom_series(tmp_path / "s", volume))
    assert stack.info.dtype == "uint16"
    assert stack.plane(1).max() == 60000


def test_bright_is_bright_in_monochrome1(tmp_path):
    stored = np.stack([np.array([[0, 4095, 1000]], np.uint16)] * 2)
    folder = dicom_series(
        tmp_path / "s", stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    assert read_stack(folder).plane(0).tolist() == [[4095, 0, 3095]]
    folder = dicom_series(
        tmp_path / "t", stored.astype(np.int16), PhotometricInterpretation="MONOCHROME1"
    )
    assert read_stack(folder).plane(0).tolist() == [[-1, -4096, -1001]]


def test_a_missing_slice_is_told_and_both_ends_stay_in_place(tmp_path):
    volume = marked_volume((8, 3, 3), (7, 0, 0))
    stack = read_stack(dicom_series(tmp_path / "s", volume, skip=(3,)))
    assert stack.info.shape[0] == 7
    assert "1 slice seems to be missing (after slice 2)" in stack.note
    assert "2 to 4 mm apart" in stack.note
    np.testing.assert_allclose(world_of(stack.info.origin.affine, (6, 0, 0)), (0, 0, 14))


def test_uneven_spacing_is_told(tmp_path):
    places = [0, 1, 2.3, 3.1, 4.9]
    folder = dicom_series(
        tmp_path / "s",
        np.zeros((5, 2, 2), np.uint8),
        ImagePositionPatient=lambda index: [0, 0, places[index]],
    )
    assert "unevenly spaced: 0.8 to 1.8 mm apart" in read_stack(folder).note


def two_series(folder):
    dicom_series(folder, np.zeros((3, 4, 4), np.uint8), SeriesDescription="soft")
    other = dicom_series(
        folder / "x", np.ones((2, 4, 6), np.uint8), SeriesNumber=7, SeriesInstanceUID="1.9"
    )
    for file in other.iterdir():
        file.rename(folder / f"other {file.name}")
    return folder


def test_mixed_series_are_listed_and_one_can_be_chosen(tmp_path):
    folder = two_series(tmp_path / "s")
    with pytest.raises(ChoiceNeeded) as caught:
        read_stack(folder)
    assert "1: CT soft (3 images, 4 × 4); 7: CT abdomen (2 images, 4 × 6)" in str(caught.value)
    assert "--series 1" in str(caught.value)
    assert [choice.series for choice in caught.value.choices] == ["1", "7"]
    for name in ("7", "1.9", "Abdomen"):
        assert read_stack(folder, series=name).info.shape == (2, 4, 6)
    assert read_stack(folder, series="1").info.shape == (3, 4, 4)
    with pytest.raises(InputError, match="no series “9”"):
        read_stack(folder, series="9")


def test_a_file_opens_its_own_series(tmp_path):
    folder = two_series(tmp_path / "s")
    assert read_stack(folder / "IM000").info.shape == (3, 4, 4)
    assert read_stack(folder / "other IM000").info.shape == (2, 4, 6)


def test_orientations_in_one_series_are_apart(tmp_path):
    planes = np.zeros((4, 3, 3), np.uint8)
    turns = [AXIAL[0], SAGITTAL[0]]
    folder = dicom_series(
        tmp_path / "s", planes, ImageOrientationPatient=lambda index: turns[index % 2]
    )
    with pytest.raises(ChoiceNeeded, match=r"1\.1: .*; 1\.2: "):
        read_stack(folder)
    assert len(read_stack(folder, series="1.2")) == 2


def test_places_imaged_several_times_make_a_time_axis(tmp_path):
    volume = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    folder = dicom_series(
        tmp_path / "s", volume, ImagePositionPatient=lambda index: [0, 0, index % 3]
    )
    stack = read_stack(folder, fixed={"T": 1})
    assert stack.data.shape == (2, 3, 2, 2)
    assert [int(stack.plane(z)[0, 0]) for z in range(3)] == [3, 4, 5]
    (folder / "IM000").unlink()
    with pytest.raises(InputError, match="1 to 2 images at one position"):
        read_stack(folder)


def test_anonymised_files_have_no_uids_and_make_stacks_all_the_same(tmp_path):
    volume = marked_volume((4, 6, 5), (1, 2, 3))
    names = {"SOPInstanceUID": "", "SeriesInstanceUID": "", "StudyInstanceUID": ""}
    folder = dicom_series(tmp_path / "a", volume, **names)
    stack = read_stack(folder)
    assert stack.info.shape == volume.shape
    np.testing.assert_array_equal(stack.plane(2), volume[2])
    dicom_file(volume[0], **names, SeriesNumber=2, SeriesDescription="scout").save_as(
        folder / "scout", enforce_file_format=True
    )
    with pytest.raises(ChoiceNeeded, match="holds 2 series"):
        read_stack(folder)
    assert read_stack(folder, series="abdomen").info.shape == volume.shape


def test_copies_of_a_file_count_once(tmp_path):
    folder = dicom_series(tmp_path / "s", np.zeros((3, 2, 2), np.uint8))
    (folder / "copy of IM000").write_bytes((folder / "IM000").read_bytes())
    (folder / "notes.txt").write_text("no image")
    (folder / "no dicom either").write_text("x")
    assert len(read_stack(folder)) == 3


def enhanced(frames):
    """A multi-frame file whose frames are stored from the last to the first."""
    file = dicom_file(
        frames[::-1].reshape(-1, frames.shape[2]),
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
        NumberOfFrames=len(frames),
        Rows=frames.shape[1],
    )
    shared, measures, turn, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 9
    turn.ImageOrientationPatient = AXIAL[0]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 2, -10, "US"
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [turn]
    shared.PixelValueTransformationSequence = [values]
    file.SharedFunctionalGroupsSequence = [shared]
    each = []
    for index in reversed(range(len(frames))):
        own, place = Dataset(), Dataset()
        place.ImagePositionPatient = [1, 2, 3 * index]
        own.PlanePositionSequence = [place]
        each.append(own)
    file.PerFrameFunctionalGroupsSequence = each
    return file


def test_multi_frame_files(tmp_path):
    volume = marked_volume((5, 4, 6), (3, 1, 2), np.uint8)
    enhanced(volume).save_as(tmp_path / "e.dcm", enforce_file_format=True)
    stack = read_stack(tmp_path / "e.dcm")
    assert stack.info.dtype == "int16"
    for index in range(5):
        np.testing.assert_array_equal(stack.plane(index), volume[index].astype(int) * 2 - 10)
    assert stack.info.spacing == (3, 0.5, 0.25)
    np.testing.assert_allclose(
        world_of(stack.info.origin.affine, (3, 1, 2)), (-(1 + 0.5), -(2 + 0.5), 9)
    )
    assert stack.plane_name(3) == "e.dcm, frame 1"


def test_colour_and_cine(tmp_path):
    frames = np.zeros((3, 4, 5, 3), np.uint8)
    frames[2, 1, 1] = (200, 100, 50)
    file = dicom_file(
        frames.reshape(-1, 5, 3),
        NumberOfFrames=3,
        Rows=4,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        FrameTime=40,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
    )
    file.save_as(tmp_path / "us.dcm", enforce_file_format=True)
    stack = read_stack(tmp_path / "us.dcm")
    assert stack.info.rgb
    assert stack.info.shape == (3, 4, 5)
    assert stack.slice_axis_name == "T"
    assert (stack.info.spacing[0], stack.info.units[0]) == (40, "ms")
    assert stack.plane(2)[1, 1].tolist() == [200, 100, 50]


def test_colour_with_half_the_chroma(tmp_path):
    """Grey in YBR_FULL_422: two pixels are stored as Y, Y, B, R."""
    stored = np.full((4, 4, 2), 128, np.uint8)
    stored[2, 2] = 200, 128
    file = dicom_file(
        stored,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
    )
    file.save_as(tmp_path / "y.dcm", enforce_file_format=True)
    plane = read_stack(tmp_path / "y.dcm").plane(0)
    assert plane.shape == (4, 4, 3)
    assert plane[0, 0].tolist() == [128] * 3
    assert plane[2, 2].tolist() == [200] * 3


def test_only_headers_are_read_before_a_slice_is_asked_for(tmp_path, monkeypatch):
    folder = dicom_series(tmp_path / "s", np.zeros((5, 3, 3), np.uint8))
    decoded = []
    pixels = dicom_read._pixels
    monkeypatch.setattr(
        dicom_read, "_pixels", lambda frame: (decoded.append(frame.number), pixels(frame))[1]
    )
    stack = read_stack(folder)
    assert decoded == []
    stack.plane(3)
    assert decoded == [4]


def test_compression_that_is_decoded_and_one_that_is_not(tmp_path):
    plane = np.random.default_rng(0).integers(0, 99, (16, 16)).astype(np.uint8)
    file = dicom_file(plane)
    file.compress(RLELossless, plane)
    file.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_stack(tmp_path / "rle.dcm").plane(0), plane)
    file.file_meta.TransferSyntaxUID = MPEG2MPML
    (tmp_path / "b").mkdir()
    file.save_as(tmp_path / "b/mpeg.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"MPEG2.*not decoded here; install"):
        read_stack(tmp_path / "b")


def test_damaged_and_empty(tmp_path):
    folder = dicom_series(tmp_path / "s", np.zeros((2, 30, 30), np.uint8))
    content = (folder / "IM001").read_bytes()
    (folder / "IM001").write_bytes(content[:-600])
    with pytest.raises(InputError, match="IM001 is cut short"):
        read_stack(folder)
    (tmp_path / "n.dcm").write_text("no dicom at all")
    with pytest.raises(InputError, match="cannot be read as DICOM"):
        read_stack(tmp_path / "n.dcm")
    dicom_file(np.zeros((2, 2), np.uint8), Rows=None).save_as(
        tmp_path / "report.dcm", enforce_file_format=True
    )
    with pytest.raises(InputError, match="holds no image"):
        read_stack(tmp_path / "report.dcm")


def test_levels_are_asked_of_pyramids_only(tmp_path):
    folder = dicom_series(tmp_path / "s", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match="only pyramids have levels"):
        read_stack(folder, level=1)


def test_label_images_may_be_plain_dicom(tmp_path):
    ids = np.zeros((2, 3, 3), np.uint8)
    ids[1, 2, 0] = 4
    assert read_labels(dicom_series(tmp_path / "s", ids)).labels[1, 2, 0] == 4
