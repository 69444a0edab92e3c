"""One function for every format: which is chosen, what is refused, all of it or nothing."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile

from format_data import dicom_series, ome_set
from napari_salt.errors import InputError, JobStopped, MissingExtra, OutputError
from napari_salt.io.export import check_target, export_masks, format_of, formats_for
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.watched import WatchedMasks
from napari_salt.optional import need
from napari_salt.records import Origin, StackInfo
from writing_data import LABELS, OBLIQUE, info, masks, placed

NAMES = {
    "tiff": "m.tif",
    "ome-tiff": "m.ome.tif",
    "nifti": "m.nii.gz",
    "nrrd": "m.seg.nrrd",
    "metaimage": "m.mha",
    "ome-zarr": "m.ome.zarr",
    "coco": "m.json",
    "png": "m",
}
ANONYMISED = [
    dict.fromkeys(("PatientName", "PatientID", "PatientSex", "PatientBirthDate")),
    dict.fromkeys(("StudyDate", "StudyTime", "StudyID", "AccessionNumber")),
    {"PatientSex": "unknown"},
    {"SliceThickness": 2},
]
"""What anonymisers and converters leave out (None) or write."""
EVERY_NAME = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())


def tree(folder):
    """All that lies in a folder, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for kind, name in NAMES.items()]
    + [("m.OME.TIFF", "ome-tiff"), ("m.TIFF", "tiff"), ("m.nii", "nifti"), ("m.zarr", "ome-zarr")]
    + [("m.nrrd", "nrrd"), ("m.SEG.NRRD", "nrrd")]
    + [("m.dcm", "dicom-seg")],
)
def test_the_ending_says_the_format(name, kind):
    assert format_of(name).kind == kind


def test_other_endings_are_refused_with_what_there_is(tmp_path):
    with pytest.raises(InputError, match=r"\.nii\.gz.*folder for PNG"):
        format_of("m.xyz")
    (tmp_path / "v1.2").mkdir()
    assert format_of(tmp_path / "v1.2").kind == "png"


def test_dicom_seg_is_offered_for_dicom_only():
    plain = [one.kind for one in formats_for(info())]
    clinical = [one.kind for one in formats_for(info(origin=Origin("/series", "dicom")))]
    assert "dicom-seg" not in plain
    assert set(clinical) - set(plain) == {"dicom-seg"}
    with pytest.raises(InputError, match="this image is none"):
        check_target("m.dcm", info())


@pytest.mark.parametrize(
    "name", ["m.tif", "m.ome.tif", "m.nii", "m.nii.gz", "m.seg.nrrd", "m.nrrd", "m.ome.zarr"]
)
def test_our_own_reader_gives_back_what_was_written(tmp_path, name):
    image = read_labels(export_masks(tmp_path / name, masks(300), placed(), LABELS))
    np.testing.assert_array_equal(image.labels, masks(300))
    assert image.spacing == pytest.approx(placed().spacing, rel=1e-5)
    assert image.units == ("mm", "mm", "mm")
    assert image.names == {label.label_id: label.name for label in LABELS}
    color = (*LABELS[1].color[:3], 1.0) if "nrrd" in name else LABELS[1].color
    assert image.colors[2] == pytest.approx(color, abs=1 / 255)
    if "nii" in name or "nrrd" in name:
        np.testing.assert_allclose(image.info.origin.affine, OBLIQUE, atol=1e-4)


@EVERY_NAME
def test_something_is_written_and_replaced(tmp_path, name):
    path = export_masks(tmp_path / name, masks(), info(), LABELS)
    assert path == tmp_path / name
    before = tree(tmp_path)
    export_masks(path, masks(1), info(), LABELS)
    assert tree(tmp_path) != before
    assert set(tree(tmp_path)) == set(before)


def test_the_kind_asked_for_wins_over_the_name(tmp_path):
    export_masks(tmp_path / "m.v2", masks(), info(), LABELS, kind="png")
    assert (tmp_path / "m.v2" / "labels.json").exists()


def test_tiff_and_ome_tiff_are_of_their_flavour(tmp_path):
    for kind in ("tiff", "ome-tiff"):
        with tifffile.TiffFile(
            export_masks(tmp_path / NAMES[kind], masks(), info(), LABELS)
        ) as tif:
            assert tif.is_ome is (kind == "ome-tiff")
            assert tif.is_imagej is (kind == "tiff")


class Failing:
    """Masks whose second reading fails in the last slice, when writing is under way."""

    def __init__(self, error):
        self.shape, self.dtype, self._error, self._left = (
            masks().shape,
            np.dtype(np.int64),
            error,
            5,
        )

    def __getitem__(self, index):
        self._left -= 1
        if self._left < 0:
            raise self._error
        return masks()[index]


@EVERY_NAME
@pytest.mark.parametrize("before", [False, True], ids=["new", "replacing"])
@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError, "free some space"),
        (OSError(errno.EACCES, "Permission denied"), OutputError, "choose another place"),
        (JobStopped("Stopped."), JobStopped, "Stopped"),
    ],
    ids=["full", "forbidden", "stopped"],
)
def test_a_failed_export_leaves_what_was_there(tmp_path, name, before, error, raised, words):
    if before:
        export_masks(tmp_path / name, masks(1), info(), LABELS)
    kept = tree(tmp_path)
    with pytest.raises(raised, match=words):
        export_masks(tmp_path / name, Failing(error), info(), LABELS)
    assert tree(tmp_path) == kept


@pytest.mark.parametrize("name", ["m", "m.ome.zarr"])
def test_a_folder_that_cannot_be_put_in_place_gives_the_old_one_back(tmp_path, name, monkeypatch):
    export_masks(tmp_path / name, masks(1), info(), LABELS)
    kept, replace = tree(tmp_path), os.replace

    def refuse(source, target):
        if str(source).endswith(".part") and Path(target).name == name:
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr("napari_salt.io.atomic.os.replace", refuse)
    with pytest.raises(OutputError, match="choose another place"):
        export_masks(tmp_path / name, masks(), info(), LABELS)
    assert tree(tmp_path) == kept


@pytest.mark.parametrize("name", [".tif", ".nii", ".nrrd", ".mha", "..tif"])
def test_a_name_of_an_ending_alone_is_written_as_it_was_accepted(tmp_path, name):
    assert format_of(name).kind != "png"
    export_masks(tmp_path / name, masks(), info(), LABELS)
    assert (tmp_path / name).stat().st_size


@EVERY_NAME
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_ordinary_file_stays(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises((InputError, OutputError), match=r"no ordinary file|not a folder|is a file"):
        export_masks(tmp_path / name, masks(), info(), LABELS)
    assert (tmp_path / name).is_fifo()
    assert len(tree(tmp_path)) == 1


@EVERY_NAME
def test_a_folder_that_is_not_there(tmp_path, name):
    with pytest.raises(OutputError, match="does not exist"):
        export_masks(tmp_path / "no" / name, masks(), info(), LABELS)


@EVERY_NAME
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path, name):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OutputError, match="choose another place"):
        export_masks(folder / name, masks(), info(), LABELS)
    folder.chmod(0o700)
    assert tree(folder) == {}


@pytest.mark.parametrize("opened", [0, 1])
def test_no_file_of_a_set_is_written_over(tmp_path, opened):
    files = ome_set(tmp_path, np.zeros((4, 6, 7), np.uint16))
    stack = read_stack(files[opened])
    for file in files:
        with pytest.raises(InputError, match=f"{file.name} is .*the image.*; give the result"):
            check_target(file, stack.info)
    files[1 - opened].unlink()  # what is not there would be read all the same, once it is
    with pytest.raises(InputError, match="another file of the image"):
        check_target(files[1 - opened], stack.info)
    assert check_target(tmp_path / "2.ome.tif", stack.info) == "ome-tiff"


def test_the_file_that_describes_a_set_is_not_written_over(tmp_path):
    xml = '<OME><BinaryOnly MetadataFile="0.ome.tif" UUID="urn:uuid:0"/></OME>'
    tifffile.imwrite(
        tmp_path / "1.ome.tif", np.zeros((4, 5), np.uint8), description=xml, metadata=None
    )
    info = StackInfo((1, 4, 5), origin=Origin(str(tmp_path / "1.ome.tif")))
    with pytest.raises(InputError, match=r"0\.ome\.tif is another file of the image"):
        check_target(tmp_path / "0.ome.tif", info)


def test_the_image_itself_is_never_written_over(tmp_path):
    image = tmp_path / "m.nii.gz"
    nibabel.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)).to_filename(image)
    with pytest.raises(InputError, match="the image itself"):
        export_masks(image, masks(), info(origin=Origin(str(image), "nifti")), LABELS)


@pytest.mark.parametrize("name", ["m.tif", "m.ome.tif", "M.TIFF"])
def test_masks_become_no_slice_of_the_folder_that_was_opened(tmp_path, name):
    opened = info(origin=Origin(str(tmp_path), "folder"))
    with pytest.raises(InputError, match=r"one of the images in the folder .* another folder"):
        check_target(tmp_path / name, opened)
    (tmp_path / "inside").mkdir()
    for fine in ("m.nii.gz", "m.json", "masks", f"inside/{name}"):
        check_target(tmp_path / fine, opened)


def test_no_image_of_a_dicom_series_is_written_over(tmp_path):
    folder = dicom_series(tmp_path / "s", np.zeros((3, 4, 5), np.int16))
    (folder / "IM000").rename(folder / "IM000.dcm")
    opened = read_stack(folder).info
    with pytest.raises(InputError, match="one of the images in the folder s"):
        check_target(folder / "IM000.dcm", opened)
    seg = export_masks(folder / "m.dcm", np.ones((3, 4, 5), np.uint8), opened, LABELS[:1])
    export_masks(seg, np.ones((3, 4, 5), np.uint8), opened, LABELS[:1])
    assert len(read_stack(folder)) == 3


@pytest.mark.parametrize("lost", ANONYMISED)
def test_dicom_seg_of_anonymised_images(tmp_path, lost):
    kept = {"SliceThickness": 2} | lost
    series = dicom_series(tmp_path / "s", np.zeros((3, 4, 5), np.int16), **kept)
    for file in series.iterdir() if "SliceThickness" in lost else ():
        header = pydicom.dcmread(file)
        del header.SliceThickness
        header.save_as(file)
    stack = read_stack(series)
    found = np.zeros((3, 4, 5), np.uint8)
    found[1, 2, 3] = 1
    seg = export_masks(tmp_path / "m.dcm", found, stack.info, LABELS[:1])
    np.testing.assert_array_equal(read_labels(seg, like=stack.info).labels, found)


@pytest.mark.parametrize("lost", ["FrameOfReferenceUID", "ImageOrientationPatient", "PixelSpacing"])
def test_images_without_a_place_are_refused_for_dicom_seg_before_work(tmp_path, lost):
    series = dicom_series(tmp_path / "s", np.zeros((3, 4, 5), np.int16), **{lost: None})
    with pytest.raises(InputError, match="where masks lie in the patient"):
        check_target(tmp_path / "m.dcm", read_stack(series).info)


def test_a_watched_export_tells_of_every_slice_and_stops(tmp_path):
    told = []
    export_masks(tmp_path / "m.nii", WatchedMasks(masks(), told.append), info(), LABELS)
    assert told == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(("name", "module"), [("m.nii", "nibabel"), ("m.dcm", "highdicom")])
def test_a_missing_package_is_named_before_any_work(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r'pip install "napari-salt\[(nifti|dicom)\]"'):
        check_target(name, info(origin=Origin("/series", "dicom")))


def test_need_gives_the_module():
    assert need("json", "dicom", "Reading DICOM").loads("1") == 1
