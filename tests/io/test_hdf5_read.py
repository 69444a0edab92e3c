"""HDF5: which dataset, its axes, its sizes."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from napari_salt.errors import ChoiceNeeded, InputError, MissingExtra
from napari_salt.io import probe
from napari_salt.io.read import read_labels, read_stack


def numbered(*shape, dtype=np.uint16):
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """These files are ours; how files are tried in a child first is the matter of test_probe."""
    monkeypatch.setattr(probe, "_expendable", True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells.h5"


def tags(letters):
    return json.dumps({"axes": [{"key": letter, "typeFlags": 2} for letter in letters]})


def test_the_only_image_is_opened(path):
    data = numbered(4, 6, 5)
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = data
        file["volumes/raw"].attrs["element_size_um"] = [2.0, 0.5, 0.25]
        file["version"] = 3
        file["table"] = np.zeros(9)
        file["text"] = "no image"
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.plane(3), data[3])
    assert stack.info.shape == (4, 6, 5)
    assert stack.info.spacing == (2.0, 0.5, 0.25)
    assert stack.info.units == ("um", "um", "um")
    assert stack.info.dtype == "uint16"
    assert stack.info.origin.path == f"{path}::/volumes/raw"
    assert stack.info.origin.format == "hdf5"


@pytest.mark.parametrize(("axes", "aside"), [("xyz", True), ("zyx", False)])
def test_slices_that_lie_on_their_side_are_told(path, axes, aside):
    with h5py.File(path, "w") as file:
        file["raw"] = numbered(4, 6, 5)
        file["raw"].attrs["axistags"] = tags(axes)
    stack = read_stack(path)
    assert stack.info.shape == ((5, 4, 6) if aside else (4, 6, 5))
    assert ("slices lie on their side" in stack.note) is aside


def test_several_images_are_listed_and_one_is_named(path):
    with h5py.File(path, "w") as file:
        file["raw"] = numbered(4, 6, 5)
        file["labels"] = np.ones((4, 6, 5), np.uint8)
    with pytest.raises(ChoiceNeeded) as caught:
        read_stack(path)
    assert "/labels (4 × 6 × 5, uint8); /raw (4 × 6 × 5, uint16)" in str(caught.value)
    assert "cells.h5::/labels" in str(caught.value)
    np.testing.assert_array_equal(
        read_stack(caught.value.choices[1].path).plane(1), numbered(4, 6, 5)[1]
    )
    assert read_labels(f"{path}::labels").labels.sum() == 120
    with pytest.raises(InputError, match="no image “/other”; it holds: /labels"):
        read_stack(f"{path}::/other")


@pytest.mark.parametrize(
    ("letters", "shape", "stack", "channels"),
    [
        ("zyx", (4, 6, 5), (4, 6, 5), 1),
        ("tzyxc", (2, 4, 6, 5, 2), (4, 6, 5), 2),
        ("tyx", (4, 6, 5), (4, 6, 5), 1),
        ("yxz", (6, 5, 4), (4, 6, 5), 1),
        ("yxc", (6, 5, 3), (1, 6, 5), 3),
    ],
)
def test_axes_of_ilastik(path, letters, shape, stack, channels):
    data = numbered(*shape, dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["exported_data"] = data
        file["exported_data"].attrs["axistags"] = tags(letters)
    opened = read_stack(path)
    assert opened.info.shape == stack
    assert opened.info.channels == channels
    if letters == "yxz":
        np.testing.assert_array_equal(opened.plane(3), data[:, :, 3])
    if letters == "tzyxc":
        np.testing.assert_array_equal(opened.plane(2), data[0, 2])


def test_dimension_labels_count_too(path):
    with h5py.File(path, "w") as file:
        file["a"] = numbered(6, 5, 4)
        for dim, label in zip(file["a"].dims, ("y", "x", "t"), strict=True):
            dim.label = label
        file["a"].attrs["element_size_um"] = [9, 0.5, 0.25]
    stack = read_stack(path)
    assert (stack.slice_axis_name, stack.info.shape) == ("T", (4, 6, 5))
    assert stack.info.spacing == (1, 0.5, 0.25)


@pytest.mark.parametrize("sizes", [[1, 2], [0, 1, 1], [np.nan, 1, 1], "text"])
def test_sizes_that_mean_nothing_are_left_out(path, sizes):
    with h5py.File(path, "w") as file:
        file["a"] = numbered(4, 6, 5)
        file["a"].attrs["element_size_um"] = sizes
        file["a"].attrs["axistags"] = "no json"
    assert read_stack(path).info.units == ("pixel", "pixel", "pixel")


def test_colour(path):
    with h5py.File(path, "w") as file:
        file["a"] = numbered(4, 6, 5, 3, dtype=np.uint8)
    assert read_stack(path).info.rgb


def test_only_the_slice_asked_for_is_read(path, monkeypatch):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=numbered(4, 6, 5), chunks=(1, 6, 5), compression="gzip")
    stack = read_stack(path)
    asked = []
    getting = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, key: (asked.append(key), getting(self, key))[1]
    )
    stack.plane(2)
    assert asked == [(2, slice(None), slice(None))]


def test_damaged_files_and_files_without_an_image(path, tmp_path):
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_stack(path)
    with h5py.File(path, "w") as file:
        file["a"] = numbered(40, 60, 50)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cut short"):
        read_stack(path)
    with h5py.File(path, "w") as file:
        file["a"] = "text"
    with pytest.raises(InputError, match="holds no image"):
        read_stack(path)
    np.save(tmp_path / "a.npy", numbered(2, 3, 4))
    with pytest.raises(InputError, match="Only HDF5 files have datasets"):
        read_stack(f"{tmp_path / 'a.npy'}::/a")


def test_a_dataset_that_lies_in_another_file_is_none_of_this_one(path, tmp_path):
    with h5py.File(tmp_path / "private.h5", "w") as file:
        file["a"] = numbered(4, 6, 5)
    layout = h5py.VirtualLayout((4, 6, 5), np.uint16)
    layout[:] = h5py.VirtualSource(tmp_path / "private.h5", "a", (4, 6, 5))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file["linked"] = h5py.ExternalLink(tmp_path / "private.h5", "/a")
    for dataset in ("", "::/virtual", "::/linked"):
        with pytest.raises(InputError, match="no image"):
            read_stack(f"{path}{dataset}")


def test_a_virtual_dataset_of_the_same_file_is_an_image(path):
    layout = h5py.VirtualLayout((2, 6, 5), np.uint16)
    layout[:] = h5py.VirtualSource(".", "a", (4, 6, 5))[:2]
    with h5py.File(path, "w") as file:
        file["a"] = numbered(4, 6, 5)
        file.create_virtual_dataset("part", layout)
    assert np.array_equal(read_stack(f"{path}::/part").plane(1), numbered(4, 6, 5)[1])


def test_a_missing_package_is_named(path, monkeypatch):
    path.write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r'pip install "napari-salt\[hdf5\]"'):
        read_stack(path)
