"""A folder of PNG masks, read with Pillow and scikit-image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from skimage.io import imread

from napari_salt.errors import InputError, OutputError
from napari_salt.io.image_folder import open_folder
from napari_salt.io.writing.png_folder import write_png_folder
from napari_salt.io.writing.source_slices import slices_of
from writing_data import LABELS, info, masks


def test_one_indexed_picture_a_slice_in_the_colours_of_the_labels(tmp_path):
    folder = write_png_folder(tmp_path / "m", masks(), info(), LABELS)
    files = sorted(folder.glob("*.png"))
    assert [file.name for file in files] == ["t1_0000.png", "t1_0001.png", "t1_0002.png"]
    for file, plane in zip(files, masks(), strict=True):
        with Image.open(file) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), plane)
            shown = np.asarray(picture.convert("RGB"))
        assert {tuple(c) for c in shown[plane == 1]} <= {(255, 0, 0)}
        assert {tuple(c) for c in shown[plane == 2]} <= {(0, 102, 255)}
        assert not shown[plane == 0].any()


def test_large_ids_are_grey_with_16_bits(tmp_path):
    folder = write_png_folder(tmp_path / "m", masks(40000), info(), LABELS)
    last = imread(folder / "t1_0002.png")
    assert (last.dtype, last.max()) == (np.uint16, 40000)
    with pytest.raises(InputError, match="65535"):
        write_png_folder(tmp_path / "n", masks(70000), info(), LABELS)
    assert not (tmp_path / "n").exists()


def test_names_and_sizes_are_those_of_the_images(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name, rows in (("b.jpg", 4), ("b.png", 4), ("c10.png", 3)):
        Image.fromarray(np.zeros((rows, 5), np.uint8)).save(images / name)
    stack = open_folder(images).stack()
    folder = write_png_folder(tmp_path / "m", masks(), stack.info, LABELS, slices_of(stack))
    sizes = {}
    for file in folder.glob("*.png"):
        with Image.open(file) as picture:
            sizes[file.name] = picture.size
    assert sizes == {"b.png": (5, 4), "b-2.png": (5, 4), "c10.png": (5, 3)}
    told = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert [one["source"] for one in told["slices"]] == ["b.jpg", "b.png", "c10.png"]


def test_the_list_names_labels_and_sizes(tmp_path):
    folder = write_png_folder(tmp_path / "m", masks(), info(), LABELS)
    told = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert told["labels"][1] == {"id": 2, "name": LABELS[1].name, "color": "#0066ff99"}
    assert (told["spacing"], told["units"]) == ([2.5, 0.65, 0.5], ["um", "um", "um"])


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    write_png_folder(folder, masks(), info(), LABELS)
    write_png_folder(folder, masks(5), info(), LABELS)
    assert imread(folder / "t1_0002.png").max() == 5
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write_png_folder(tmp_path, masks(), info(), LABELS)
    assert (tmp_path / "thesis.txt").exists()
