"""Where masks go: names and places are checked first, then everything asked for is written."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pycocotools.coco import COCO

from napari_salt.commands.arguments import build_parser
from napari_salt.commands.masks_out import masks_out
from napari_salt.errors import InputError, OutputError
from napari_salt.records import Label, Origin
from napari_salt.session.stack import Stack

LABELS = (Label(1, "cell"), Label(2, "axon"))


def asked(*more, folder: Path):
    """What the command line would ask for, with files in ``folder``."""
    words = ["segment", str(folder / "image.tif"), "a.salt.safetensors"]
    words += [str(folder / word) if "." in word and "-" not in word else word for word in more]
    return masks_out(build_parser().parse_args(words))


@pytest.fixture
def stack():
    return Stack(np.zeros((2, 6, 8), np.uint8), spacing=(2, 1, 1), units=("mm",) * 3, name="t1")


@pytest.fixture
def masks():
    found = np.zeros((2, 6, 8), np.uint8)
    found[:, 1:3, 1:3] = found[0, 4:6, 5:8] = 1
    found[1, 5, 0] = 2
    return found


def test_labels_are_written_as_they_are(tmp_path, stack, masks):
    asked("--out", "m.nii", folder=tmp_path).write(masks, stack, LABELS)
    image = nibabel.load(tmp_path / "m.nii")
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), masks)


def test_objects_and_their_table(tmp_path, stack, masks):
    wanted = asked(
        "--out",
        "m.json",
        "--objects",
        "components",
        "--table",
        "t.csv",
        "--volume",
        folder=tmp_path,
    )
    wanted.write(masks, stack, LABELS)
    coco = COCO(str(tmp_path / "m.json"))
    found = coco.loadAnns(coco.getAnnIds())
    assert [(a["object_id"], a["category_id"]) for a in found] == [(1, 1), (2, 1), (1, 1), (3, 2)]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["cell", "axon"]
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[1].startswith("1,cell,8,16,")


def test_a_table_alone_leaves_the_masks_alone(tmp_path, stack, masks):
    asked("--out", "m.nii", "--table", "t.csv", folder=tmp_path).write(masks, stack, LABELS)
    assert np.asarray(nibabel.load(tmp_path / "m.nii").dataobj).max() == 2
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 4


def test_what_cannot_work_is_refused_first(tmp_path, stack):
    with pytest.raises(InputError, match=r"not written as \.png"):
        asked("--out", "m.png", folder=tmp_path)
    with pytest.raises(InputError, match="another name"):
        asked("--out", "image.tif", folder=tmp_path)
    with pytest.raises(InputError, match=r"must end in \.csv"):
        asked("--out", "m.tif", "--table", "t.xls", folder=tmp_path)
    with pytest.raises(InputError, match="--objects or --table"):
        asked("--out", "m.tif", "--volume", folder=tmp_path)
    with pytest.raises(OutputError, match="no folder"):
        asked("--out", "no/m.ome.zarr", folder=tmp_path)
    with pytest.raises(InputError, match="this image is none"):
        asked("--out", "m.dcm", folder=tmp_path).check(stack.info)


def test_labels_may_go_into_an_ome_zarr_image_but_not_over_another(tmp_path, stack):
    image = tmp_path / "image.ome.zarr"
    image.mkdir()
    (image / "thing").touch()
    words = ["segment", str(image), "a.salt.safetensors", "--out", str(image)]
    wanted = masks_out(build_parser().parse_args(words))
    with pytest.raises(InputError, match="something else"):
        wanted.check(stack.info)
    with pytest.raises(InputError, match="no OME-Zarr image"):
        wanted.check(Stack(np.zeros((2, 6, 8)), origin=Origin(str(image), "ome-zarr")).info)
