from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_salt.errors import OutputError
from napari_salt.io.slice_file import SliceFile

FULL = Path("/dev/full")
full_disk = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def fill_disk(file: SliceFile) -> None:
    """Let all that is written from now on meet a full disk."""
    full = os.open(FULL, os.O_RDWR)
    os.dup2(full, file._file.fileno())
    os.close(full)


def test_planes_come_back_in_any_order_and_the_rest_is_0(tmp_path):
    with SliceFile((4, 2, 3), np.uint16, tmp_path) as file:
        file.put(3, np.full((2, 3), 300))
        file[1] = np.arange(6).reshape(2, 3)
        assert file[1].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert file[3].dtype == np.uint16
        assert (file[3] == 300).all()
        assert not file[0].any()
        assert not file[2].any()


def test_it_is_indexed_as_an_array_is(tmp_path):
    whole = np.arange(4 * 5 * 6, dtype=np.float16).reshape(4, 5, 6)
    whole[2] = 0
    with SliceFile(whole.shape, whole.dtype, tmp_path) as file:
        for index in (3, 0, 1):
            file[index] = whole[index]
        np.testing.assert_array_equal(file, whole)
        for key in (np.s_[1], np.s_[-1, 2:4], np.s_[1:, 3, ::2], np.s_[..., 2], np.s_[:0]):
            np.testing.assert_array_equal(file[key], whole[key])


def test_a_file_takes_room_only_for_what_was_put_in(tmp_path):
    with SliceFile((100_000, 512, 512), np.uint16, tmp_path) as file:
        file[99_999] = np.ones((512, 512))
        assert os.fstat(file._file.fileno()).st_blocks * 512 < 2_000_000
        assert file[99_999].all()
        assert not file[50_000].any()


def test_nothing_is_left_behind(tmp_path):
    with SliceFile((1, 2, 2), np.uint8, tmp_path) as file:
        file.put(0, np.ones((2, 2)))
    assert list(tmp_path.iterdir()) == []


@full_disk
def test_a_full_disk_is_a_sentence_and_reading_goes_on(tmp_path):
    file = SliceFile((3, 200, 200), np.uint8, tmp_path)
    file.put(0, np.ones((200, 200)))
    inside = os.dup(file._file.fileno())
    fill_disk(file)
    for index in (1, 0):
        with pytest.raises(OutputError, match="is full; free some space"):
            file.put(index, np.full((200, 200), 7))
        assert not file[index].any(), "half a plane is none"
    os.dup2(inside, file._file.fileno())  # there is room again
    file.put(1, np.full((200, 200), 7))
    assert (file[1] == 7).all()
    os.close(inside)


def test_one_thread_reads_while_another_writes(tmp_path):
    wrong = []
    with SliceFile((50, 64, 64), np.uint16, tmp_path) as file:

        def read():
            for _ in range(40):
                for index in range(0, 50, 7):
                    values = np.unique(file[index])
                    if values.size > 1 or values[0] not in (0, index + 1):
                        wrong.append((index, values))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for index in range(50):
            file[index] = np.full((64, 64), index + 1)
        for reader in readers:
            reader.join()
    assert wrong == []


def test_a_plane_of_another_shape_is_refused(tmp_path):
    with (
        SliceFile((2, 4, 4), np.uint8, tmp_path) as file,
        pytest.raises(ValueError, match="does not fit"),
    ):
        file.put(0, np.ones((5, 4)))


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="choose another folder"):
        SliceFile((1, 2, 2), np.uint8, tmp_path / "none")
