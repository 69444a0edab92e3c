from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import OutputError
from napari_salt.io.slice_file import SliceFile


def test_planes_come_back_in_any_order_and_the_rest_is_0(tmp_path):
    with SliceFile((4, 2, 3), np.uint16, tmp_path) as file:
        file.put(3, np.full((2, 3), 300))
        file.put(1, np.arange(6).reshape(2, 3))
        assert file[1].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert file[3].dtype == np.uint16
        assert (file[3] == 300).all()
        assert not file[0].any()
        assert not file[2].any()


def test_nothing_is_left_behind(tmp_path):
    with SliceFile((1, 2, 2), np.uint8, tmp_path) as file:
        file.put(0, np.ones((2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    file = SliceFile((1, 2, 2), np.uint8, tmp_path)

    class Full:
        def seek(self, place):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "_file", Full())
    with pytest.raises(OutputError, match="is full; free some space"):
        file.put(0, np.ones((2, 2)))


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="choose another folder"):
        SliceFile((1, 2, 2), np.uint8, tmp_path / "none")
