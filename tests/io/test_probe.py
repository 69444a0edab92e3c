"""Files are tried in a child first: what kills, hangs or floods it is refused, the rest opens as before."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile

import openers
from napari_salt.cli import main
from napari_salt.errors import InputError
from napari_salt.io import image_folder, opening, probe
from napari_salt.io.opened import Opened
from napari_salt.io.read import read_stack
from napari_salt.viewer_link.image_readers import read_image


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "some file.h5"
    found.write_bytes(b"bytes")
    return found


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """An HDF5 file at which the library crashes; in this process the library is loaded already and does not."""
    monkeypatch.syspath_prepend(tmp_path / "library")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "h5py.py").write_text("import os\ndef File(*_): os.abort()\n")
    found = tmp_path / "hostile.h5"
    with h5py.File(found, "w") as file:
        file["a"] = np.zeros((3, 4, 5), np.uint8)
    return found


@pytest.mark.parametrize("opener", [openers.crash, openers.crash_at_the_middle, openers.leave])
def test_what_kills_the_child_is_refused_by_a_sentence(path, opener):
    with pytest.raises(InputError, match=r"^some file\.h5 makes the library .* crash, .*\.$"):
        probe.check_survives(opener, path)


def test_what_hangs_the_child_is_refused_although_it_never_lets_go(path, monkeypatch):
    monkeypatch.setattr(probe, "SECONDS", 0.5)
    with pytest.raises(InputError, match=r"could not be read within 0\.5 seconds"):
        probe.check_survives(openers.hang, path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_what_asks_for_more_memory_than_there_is_is_refused(path):
    with pytest.raises(InputError, match="asks for more memory than is free"):
        probe.check_survives(openers.flood, path)


def test_the_first_and_the_middle_plane_are_read(path):
    probe.check_survives(openers.well, path)
    assert openers.marks(path).read_text() == "0 4 "


def test_a_file_that_passed_is_tried_again_only_when_it_has_changed(path):
    def tried():
        probe.check_survives(openers.well, path)
        return openers.marks(path).read_text().count("0")

    assert [tried(), tried()] == [1, 1]
    path.write_bytes(b"other bytes")
    assert tried() == 2
    os.utime(path, (1, 1))
    assert tried() == 3
    probe.check_survives(openers.well, path, "/another dataset")
    assert tried() == 4


def test_a_refusal_is_not_remembered_as_passed(path):
    for _ in range(2):
        with pytest.raises(InputError):
            probe.check_survives(openers.crash, path)


def test_an_error_of_the_reader_is_left_to_whoever_opens_the_file(path):
    probe.check_survives(openers.refused, path)


@pytest.mark.parametrize("why", ["no interpreter", "frozen", "it does not start", "too slow"])
def test_where_no_child_can_be_had_files_open_as_they_did(path, monkeypatch, why):
    def no_child(*_, **__):
        raise (OSError if why == "it does not start" else subprocess.TimeoutExpired("python", 70))

    if why == "no interpreter":
        monkeypatch.setattr(sys, "executable", "")
    elif why == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        monkeypatch.setattr(subprocess, "run", no_child)
    probe.check_survives(openers.crash, path)


def test_a_process_that_may_die_tries_nothing_elsewhere(path, monkeypatch):
    monkeypatch.setattr(probe, "_expendable", False)
    probe.be_expendable()
    probe.check_survives(openers.crash, path)


def test_nothing_is_imported_from_the_folder_that_one_works_in(path, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    probe.check_survives(openers.well, path)
    assert openers.marks(path).exists()
    assert not (tmp_path / "imported").exists()


def test_a_hostile_hdf5_file_is_refused_by_reader_and_command_line(hostile, capsys):
    with pytest.raises(InputError, match=r"hostile\.h5 makes the library that reads it crash"):
        read_stack(hostile)
    with pytest.raises(InputError, match="crash"):
        read_image(str(hostile))
    assert main(["info", str(hostile)]) == 2
    assert "crash" in capsys.readouterr().err


def test_an_hdf5_file_of_a_size_that_no_machine_has_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (2, 2**11, 2**11, 2**24), np.uint8, chunks=(1, 64, 64, 1))
        file["a"].attrs["axistags"] = (
            '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}, {"key": "c"}]}'
        )
    with pytest.raises(InputError, match="memory"):
        read_stack(tmp_path / "a.h5")


@pytest.fixture
def tried(monkeypatch):
    """The files that were tried."""
    tried = []
    for module in (opening, image_folder):
        monkeypatch.setattr(module, "check_survives", lambda _, path, *__: tried.append(path.name))
    return tried


def test_a_tiff_is_tried_where_others_do_not_fuzz_what_unpacks_it(tmp_path, tried):
    for packing in ("lzw", "jpeg", "packbits", "zlib", "zstd", None):
        path = tmp_path / f"{packing}.tif"
        tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression=packing)
        assert isinstance(opening.open_path(path), Opened)
    assert tried == ["lzw.tif", "jpeg.tif", "packbits.tif"]


def test_of_a_folder_of_such_images_two_are_tried(tmp_path, tried):
    for number in range(6):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.zeros((4, 5), np.uint8), compression="lzw")
    opening.open_path(tmp_path)
    assert tried == ["0.tif", "3.tif"]
