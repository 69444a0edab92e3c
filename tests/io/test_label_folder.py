"""Folders of label images, those that we write and those of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_salt.cli import main
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.writing.png_folder import LIST, write_png_folder
from napari_salt.io.writing.source_slices import slices_of
from napari_salt.records import Label, StackInfo

IDS = np.random.default_rng(0).integers(0, 3, (3, 6, 7), np.uint8)
LABELS = (Label(1, "cell", (1.0, 0.0, 0.0, 1.0)), Label(2, "bud", (0.0, 0.4, 1.0, 1.0)))


def info(**options):
    known = {"channels": 1, "rgb": False, "dtype": "uint8", "name": "t1"}
    sizes = {"spacing": (2.0, 0.5, 0.5), "units": ("um", "um", "um")}
    return StackInfo(shape=IDS.shape, **known, **sizes, **options)


@pytest.mark.parametrize("factor", [1, 300])
def test_what_we_write_comes_back_with_names_colours_and_sizes(tmp_path, factor):
    ids = IDS.astype(np.uint16) * factor
    labels = [Label(one.label_id * factor, one.name, one.color) for one in LABELS]
    found = read_labels(write_png_folder(tmp_path / "m", ids, info(), labels))
    np.testing.assert_array_equal(found.labels, ids)
    assert found.names == {one.label_id: one.name for one in labels}
    assert found.colors == {one.label_id: one.color for one in labels}
    assert (found.spacing, found.units) == ((2.0, 0.5, 0.5), ("um", "um", "um"))


def test_slices_lie_in_the_order_of_the_images_they_belong_to(tmp_path):
    """``a.jpg`` and ``a.png`` make ``a.png`` and ``a-2.png``, which by name come the other way round."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.jpg", "a.png", "b.png"):
        Image.fromarray(IDS[0]).save(images / name)
    stack = read_stack(images)
    folder = write_png_folder(tmp_path / "m", IDS, stack.info, LABELS, slices_of(stack))
    np.testing.assert_array_equal(read_labels(folder).labels, IDS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_folders_of_others_are_read_in_natural_order(tmp_path, suffix):
    for number, plane in zip((1, 2, 10), IDS, strict=True):
        if suffix == ".png":
            Image.fromarray(plane).save(tmp_path / f"m{number}.png")
        else:
            tifffile.imwrite(tmp_path / f"m{number}.tif", plane)
    Image.fromarray(IDS[0]).save(tmp_path / "photo.jpg")
    found = read_labels(tmp_path)
    np.testing.assert_array_equal(found.labels, IDS)
    assert found.names == {}


def test_pictures_of_two_values_and_palettes_hold_ids(tmp_path):
    Image.fromarray(IDS[0] > 0).save(tmp_path / "a.png")
    palette = Image.fromarray(IDS[1])
    palette.putpalette([200, 100, 50] * 256)
    palette.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_labels(tmp_path).labels, [IDS[0] > 0, IDS[1]])


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"labels": [{"id": "1", "name": "cell", "color": "#ff0000"}]},
        {"labels": [7]},
        {"slices": [{"file": "../t1_0000.png"}], "labels": []},
        {"spacing": ["wide"] * 3},
    ],
)
def test_a_list_that_is_damaged_or_not_ours_is_left_out(tmp_path, change):
    folder = write_png_folder(tmp_path / "m", IDS, info(), LABELS)
    told = json.loads((folder / LIST).read_text(encoding="utf-8"))
    (folder / LIST).write_text(json.dumps(told | change), encoding="utf-8")
    found = read_labels(folder)
    np.testing.assert_array_equal(found.labels, IDS)
    assert found.names == {}


def test_folders_without_label_images_are_refused(tmp_path):
    Image.fromarray(IDS[0]).save(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match=r"holds no label images \(PNG or TIFF\)"):
        read_labels(tmp_path)


def test_evaluate_takes_folders(tmp_path, capsys):
    folder = write_png_folder(tmp_path / "m", IDS, info(), LABELS)
    tifffile.imwrite(tmp_path / "r.tif", IDS, photometric="minisblack")
    assert main(["evaluate", str(folder), str(tmp_path / "r.tif"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dice"], told["unit"], set(told["labels"])) == (1.0, "um", {"cell", "bud"})
