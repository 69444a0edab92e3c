"""Arrays in temporary files: handed over by name, gone with their owner."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from napari_salt.errors import OutputError
from napari_salt.scratch import PREFIX, handing_over, scratch


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def files(folder):
    return list(folder.glob(PREFIX + "*"))


def test_it_is_an_array_of_zeros_whose_file_goes_with_it(folder):
    array = scratch((30, 40), np.float16)
    assert not array.any()
    array[3:5] = 2
    array.release()
    assert float(array.sum()) == 160
    part = array[3]
    del array
    gc.collect()
    assert files(folder)  # somebody still looks at a part of it
    assert float(part.sum()) == 80
    del part
    gc.collect()
    assert not files(folder)


def test_it_is_handed_over_without_its_pixels(folder):
    array = scratch((300, 400), np.uint16)
    array[299, 399] = 7
    with handing_over():
        message = pickle.dumps(array)
    assert len(message) < 1000
    code = "import pickle, sys; a = pickle.load(sys.stdin.buffer); print(a.shape, a.sum())"
    told = subprocess.run(
        [sys.executable, "-c", code], input=message, capture_output=True, check=True
    )
    assert told.stdout.split() == [b"(300,", b"400)", b"7"]
    assert not files(folder)


def test_else_it_is_pickled_as_any_array(folder):
    array = scratch((3, 4), np.uint8)
    array[1, 1] = 5
    copy = pickle.loads(pickle.dumps(array))
    assert type(copy) is np.ndarray
    np.testing.assert_array_equal(copy, array)
    with handing_over():
        part = pickle.loads(pickle.dumps(array[1]))
    np.testing.assert_array_equal(part, [0, 5, 0, 0])


@pytest.mark.skipif(os.name != "posix", reason="asks whether a process lives the POSIX way")
def test_what_a_killed_process_left_is_swept_away(folder):
    (done := subprocess.Popen([sys.executable, "-c", ""])).wait()
    left = folder / f"{PREFIX}{done.pid}-abc"
    left.write_bytes(b"0")
    array = scratch((2, 2), np.uint8)
    assert len(files(folder)) == 1
    assert array.shape == (2, 2)


@pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="room is taken when it is written to"
)
def test_a_full_disk_says_so_before_any_work(monkeypatch, folder):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"No space left.*free 3 MB"):
        scratch((2048, 1024), np.uint8)
    assert not files(folder)
