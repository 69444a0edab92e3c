"""Compressed DICOM is unpacked by a child first; what is not compressed starts none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from format_data import dicom_file, dicom_segmentation, dicom_series
from napari_salt.cli import main
from napari_salt.errors import InputError
from napari_salt.io import dicom_read, probe, probe_child
from napari_salt.io.read import read_labels, read_stack
from napari_salt.viewer_link.image_readers import read_image


@pytest.fixture(autouse=True)
def nothing_has_passed(monkeypatch):
    monkeypatch.setattr(probe, "_passed", {})


@pytest.fixture
def tried(monkeypatch):
    """The names of files that a child was asked to try; it finds nothing wrong with them."""
    names = []

    def fate(opener, path, rest):
        assert opener == "napari_salt.io.dicom_read:open_alone"
        names.append(path.name)
        return 0

    monkeypatch.setattr(probe, "_fate", fate)
    return names


@pytest.fixture
def crashing_decoder(tmp_path, monkeypatch):
    """The decoder of JPEG-LS crashes; in this process the real one is loaded already, and does not."""
    pytest.importorskip("jpeg_ls")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "jpeg_ls.py").write_text(
        "import os\n__version__ = '9.0'\ndef decode_pixel_data(*_): os.abort()\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "library")


def copy_of(name, folder) -> Path:
    """A file that comes with pydicom, in a folder of its own."""
    found = get_testdata_file(f"MR_small{name}.dcm", download=False)
    assert found is not None
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(found, folder))


def packed_series(folder, count=5):
    """Run lengths, one file a slice, IM0 the lowest; each is filled with its own number."""
    folder.mkdir()
    for index in range(count):
        plane = np.full((8, 8), index, np.uint8)
        file = dicom_file(plane, number=index + 1, ImagePositionPatient=[0, 0, index])
        file.compress(RLELossless, plane)
        file.save_as(folder / f"IM{index}", enforce_file_format=True)
    return folder


def label_map(folder, syntax) -> Path:
    """A segmentation in which all voxels of three slices are label 1."""
    planes = np.zeros((3, 8, 8), np.uint8)
    slices = dicom_series(folder / "slices", planes, SliceThickness=2, PatientPosition="HFS")
    how = {"segmentation_type": "LABELMAP", "transfer_syntax_uid": syntax}
    return dicom_segmentation(slices, planes + np.uint8(1), folder / "seg.dcm", **how)


@pytest.mark.parametrize("name", ["_RLE", "_jp2klossless", "_jpeg_ls_lossless"])
def test_a_compressed_file_opens_once_a_child_has_unpacked_it(tmp_path, name):
    file = copy_of(name, tmp_path / "packed")
    plain = read_stack(copy_of("", tmp_path / "plain"))
    assert not probe._passed, "what is not compressed is not tried"
    np.testing.assert_array_equal(read_stack(file).plane(0), plain.plane(0))
    assert [key[1] for key in probe._passed] == [file]


def test_a_hostile_file_is_refused_by_reader_viewer_and_command_line(
    tmp_path, crashing_decoder, capsys
):
    hostile = copy_of("_jpeg_ls_lossless", tmp_path / "hostile")
    sentence = rf"^{hostile.name} makes the library that reads it crash"
    with pytest.raises(InputError, match=sentence):
        read_stack(hostile.parent)
    with pytest.raises(InputError, match=sentence):
        read_image(str(hostile))
    assert main(["info", str(hostile)]) == 2
    assert "crash" in capsys.readouterr().err


def test_a_hostile_segmentation_is_refused(tmp_path, crashing_decoder):
    with pytest.raises(InputError, match=r"^seg\.dcm makes the library that reads it crash"):
        read_labels(label_map(tmp_path, JPEGLSLossless))


def test_a_damaged_compressed_file_has_the_sentence_of_its_reader(tmp_path):
    file = copy_of("_jpeg_ls_lossless", tmp_path / "damaged")
    content = file.read_bytes()
    file.write_bytes(content[:-2000] + bytes(2000))
    with pytest.raises(InputError, match=r"cannot be decoded .* copy it again"):
        read_stack(file).plane(0)


def test_of_a_series_the_first_and_the_middle_file_are_tried(tmp_path, tried):
    stack = read_stack(packed_series(tmp_path / "s"))
    assert tried == ["IM0", "IM2"]
    assert [int(stack.plane(index).max()) for index in range(5)] == [0, 1, 2, 3, 4]


def test_of_a_file_with_many_frames_the_first_and_the_middle_one_are_read(tmp_path, monkeypatch):
    frames = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    file = dicom_file(frames.reshape(-1, 8), NumberOfFrames=5, Rows=8, ImagePositionPatient=None)
    file.compress(RLELossless, frames)
    file.save_as(tmp_path / "many.dcm", enforce_file_format=True)
    read = []
    monkeypatch.setattr(
        dicom_read, "_pixels", lambda frame: read.append(frame.index) or np.zeros((8, 8), np.uint8)
    )
    probe_child._look(dicom_read.open_alone(tmp_path / "many.dcm"))
    assert read == [0, 2]


def test_a_compressed_segmentation_is_tried_and_another_is_not(tmp_path, tried):
    for syntax, expected in ((ExplicitVRLittleEndian, []), (RLELossless, ["seg.dcm"])):
        folder = tmp_path / syntax
        folder.mkdir()
        assert (read_labels(label_map(folder, syntax)).labels == 1).all()
        assert tried == expected


def test_what_is_not_compressed_starts_no_child(tmp_path, tried):
    read_stack(dicom_series(tmp_path / "s", np.zeros((5, 8, 8), np.uint8)))
    read_stack(copy_of("", tmp_path / "one"))
    read_stack(copy_of("_bigendian", tmp_path / "other order"))
    assert tried == []
