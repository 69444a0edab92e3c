"""DICOM-SEG, decoded with pydicom alone from a series made with pydicom alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_salt.errors import InputError
from napari_salt.io.export import check_target
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.writing.dicom_seg import write_dicom_seg
from napari_salt.io.writing.dicom_source import source_images
from napari_salt.records import Label, Origin
from writing_data import LABELS, SHAPE, info, masks

ROW, COLUMN = np.array([1.0, 0, 0]), np.array([0, 0.8, 0.6])
"""Directions in patient coordinates (LPS): along a row, and down a column; a tilted gantry."""
NORMAL = np.cross(ROW, COLUMN)
CORNER, SPACING = np.array([-10.0, -20, 30]), (2.5, 0.65, 0.5)


def place(at):
    """Patient coordinates of a voxel (slice, row, column)."""
    return CORNER + NORMAL * at[0] * 2.5 + COLUMN * at[1] * 0.65 + ROW * at[2] * 0.5


def write_slice(folder, index, uids, name, shift=0.0):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = uids
    one.PatientID, one.PatientName, one.PatientBirthDate, one.PatientSex = "1", "A^B", "", ""
    one.StudyID, one.StudyDate, one.StudyTime, one.AccessionNumber = "1", "20200101", "000000", ""
    one.ReferringPhysicianName, one.Modality, one.SeriesNumber = "", "CT", 1
    one.InstanceNumber, one.PositionReferenceIndicator = 100 - index, ""
    one.ImagePositionPatient = [float(x) + shift for x in place((index, 0, 0))]
    one.ImageOrientationPatient = [*ROW, *COLUMN]
    one.PixelSpacing, one.SliceThickness = [0.65, 0.5], 2.5
    one.Rows, one.Columns = SHAPE[1:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = np.full(SHAPE[1:], index, np.uint16).tobytes()
    one.save_as(folder / name, enforce_file_format=True)


@pytest.fixture
def series(tmp_path):
    """Three slices whose file names and instance numbers run against their positions, and a stray file."""
    folder = tmp_path / "series"
    folder.mkdir()
    uids = [generate_uid() for _ in range(3)]
    for index in range(SHAPE[0]):
        write_slice(folder, index, uids, f"im{9 - index}.dcm")
    (folder / "README.txt").write_text("from the scanner")
    return folder


def of(folder):
    return info(units=("mm",) * 3, spacing=SPACING, origin=Origin(str(folder), "dicom"))


def frames(dataset):
    """(segment number, corner in patient coordinates, boolean plane) of each frame."""
    planes = np.atleast_3d(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
    for groups, plane in zip(dataset.PerFrameFunctionalGroupsSequence, planes, strict=True):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        corner = groups.PlanePositionSequence[0].ImagePositionPatient
        yield int(number), np.array(corner, float), plane > 0


def test_a_marked_voxel_is_found_at_its_place_in_the_patient(tmp_path, series):
    seg = pydicom.dcmread(write_dicom_seg(tmp_path / "m.dcm", masks(), of(series), LABELS))
    shared = seg.SharedFunctionalGroupsSequence[0]
    across = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, along = shared.PixelMeasuresSequence[0].PixelSpacing
    found = {
        (number, *np.round(corner + across[:3] * along * x + across[3:] * down * y, 3).tolist())
        for number, corner, plane in frames(seg)
        for y, x in np.argwhere(plane)
    }
    wanted = {
        (int(masks()[tuple(at)]), *np.round(place(at), 3).tolist()) for at in np.argwhere(masks())
    }
    assert found == wanted


def test_segments_carry_names_colours_and_who_made_them(tmp_path, series):
    import highdicom

    seg = pydicom.dcmread(write_dicom_seg(tmp_path / "m.dcm", masks(), of(series), LABELS))
    assert (seg.Modality, seg.SegmentationType) == ("SEG", "BINARY")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [label.name for label in LABELS]
    assert [s.SegmentNumber for s in seg.SegmentSequence] == [1, 2]
    for segment, label in zip(seg.SegmentSequence, LABELS, strict=True):
        lab = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
        np.testing.assert_allclose(np.array(lab.to_rgb()) / 255, label.color[:3], atol=0.02)
        (made_by,) = segment.SegmentationAlgorithmIdentificationSequence
        assert made_by.AlgorithmName == "napari-salt"
        assert made_by.AlgorithmVersion


def test_it_refers_to_the_images_it_was_made_from(tmp_path, series):
    seg = pydicom.dcmread(write_dicom_seg(tmp_path / "m.dcm", masks(), of(series), LABELS))
    images = [pydicom.dcmread(file) for file in sorted(series.glob("*.dcm"))]
    referred = {
        one.ReferencedSOPInstanceUID
        for one in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referred == {image.SOPInstanceUID for image in images}
    assert seg.StudyInstanceUID == images[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert seg.SeriesInstanceUID != images[0].SeriesInstanceUID


def test_ids_with_gaps_become_segments_in_order(tmp_path, series):
    labels = (Label(7, "a\\b"), Label(300, "b"), Label(2, "empty"))
    written = np.where(masks() == 1, 7, 0) + np.where(masks() == 2, 300, 0)
    seg = pydicom.dcmread(write_dicom_seg(tmp_path / "m.dcm", written, of(series), labels))
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["a/b", "b", "empty"]
    assert {number: int(plane.sum()) for number, _, plane in frames(seg) if number == 2} == {2: 1}
    assert sum(int(p.sum()) for n, _, p in frames(seg) if n == 1) == int((written == 7).sum())


def test_slices_come_in_the_order_of_their_positions(series):
    corners = [image.ImagePositionPatient for image in source_images(series, SHAPE)]
    np.testing.assert_allclose(corners, [place((index, 0, 0)) for index in range(3)])


def test_what_cannot_be_written_is_refused(tmp_path, series):
    cases = [
        (info(), LABELS, masks(), "this image is none"),
        (replace(of(series), rgb=True, channels=3), LABELS, masks(), "grey images only"),
        (of(series), (), masks(), "needs a label"),
        (of(series), LABELS[:1], masks(), "which no label has"),
        (replace(of(series), shape=(4, 4, 5)), LABELS, masks(shape=(4, 4, 5)), "holds no series"),
        (of(tmp_path / "gone"), LABELS, masks(), "holds no series"),
    ]
    for geometry, labels, written, words in cases:
        with pytest.raises(InputError, match=words):
            write_dicom_seg(tmp_path / "m.dcm", written, geometry, labels)
    assert not (tmp_path / "m.dcm").exists()


def test_our_reader_and_highdicom_give_back_what_was_written(tmp_path, series):
    stack = read_stack(series)
    path = write_dicom_seg(tmp_path / "m.dcm", masks(), stack.info, LABELS)
    found = read_labels(path, like=stack.info)
    np.testing.assert_array_equal(found.labels, masks())
    assert found.names == {label.label_id: label.name for label in LABELS}
    assert [int(stack.plane(index).max()) for index in range(3)] == [0, 1, 2]


def test_a_series_elsewhere_is_another_and_segmentations_are_none(tmp_path, series):
    stack = read_stack(series)
    write_dicom_seg(series / "masks.dcm", masks(), stack.info, LABELS)
    uids = [generate_uid() for _ in range(3)]
    for index in range(SHAPE[0]):
        write_slice(series, index, uids, f"other{index}.dcm", shift=50.0)
    images = source_images(series, SHAPE, stack.info.origin.affine)
    assert {image.Modality for image in images} == {"CT"}
    assert {image.SeriesInstanceUID for image in images}.isdisjoint(uids)


def test_two_series_of_one_shape_are_not_guessed_between(tmp_path, series):
    uids = [generate_uid() for _ in range(3)]
    for index in range(SHAPE[0]):
        write_slice(series, index, uids, f"other{index}.dcm")
    with pytest.raises(InputError, match="more than one series"):
        write_dicom_seg(tmp_path / "m.dcm", masks(), of(series), LABELS)


def test_images_without_uids_are_refused_before_any_work(tmp_path, series):
    for file in series.glob("*.dcm"):
        image = pydicom.dcmread(file)
        image.SOPInstanceUID = image.StudyInstanceUID = ""
        image.save_as(file)
    stack = read_stack(series)
    assert stack.info.shape == SHAPE
    with pytest.raises(InputError, match="anonymised"):
        check_target(tmp_path / "m.dcm", stack.info)
    with pytest.raises(InputError, match="anonymised"):
        source_images(series, SHAPE)
