"""COCO JSON, read with pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO

from napari_salt.errors import InputError
from napari_salt.io.writing.coco import write_coco
from napari_salt.io.writing.source_slices import SourceSlice
from writing_data import LABELS, info, masks


def load(path, capsys):
    found = COCO(str(path))
    capsys.readouterr()
    return found


def painted(coco, image_id, shape):
    """The label image that annotations of one image make."""
    plane = np.zeros(shape, np.int64)
    for one in coco.loadAnns(coco.getAnnIds(imgIds=image_id)):
        inside = coco.annToMask(one) > 0
        assert not plane[inside].any()
        plane[inside] = one["category_id"]
    return plane


def test_decoded_annotations_are_the_masks(tmp_path, capsys):
    stack = np.random.default_rng(0).integers(0, 3, (4, 30, 21))
    stack[1] = 0
    stack[2, 5:20, 5:15] = 1
    stack[2, 8:12, 8:12] = 0  # a hole
    stack[3] = 2  # all of a slice
    path = write_coco(tmp_path / "m.json", stack, info(shape=stack.shape), LABELS)
    coco = load(path, capsys)
    for index, plane in enumerate(stack):
        np.testing.assert_array_equal(painted(coco, index + 1, plane.shape), plane)


def test_each_connected_piece_is_an_annotation(tmp_path, capsys):
    plane = np.zeros((1, 6, 8), np.uint8)
    plane[0, 0:2, 0:3] = 1
    plane[0, 4:6, 5:8] = 1
    plane[0, 4, 0] = 2
    coco = load(write_coco(tmp_path / "m.json", plane, info(shape=plane.shape), LABELS), capsys)
    found = coco.loadAnns(coco.getAnnIds())
    assert [(a["category_id"], a["area"], a["bbox"], a["iscrowd"]) for a in found] == [
        (1, 6, [0, 0, 3, 2], 0),
        (1, 6, [5, 4, 3, 2], 0),
        (2, 1, [0, 4, 1, 1], 0),
    ]
    assert len({a["id"] for a in found}) == 3
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == [x.name for x in LABELS]


def test_images_carry_file_names_and_sizes(tmp_path, capsys):
    slices = [SourceSlice("a.jpg", 4, 5), SourceSlice("b.jpg", 3, 5), SourceSlice("c.jpg", 4, 5)]
    coco = load(write_coco(tmp_path / "m.json", masks(), info(), LABELS, slices), capsys)
    images = coco.loadImgs(coco.getImgIds())
    assert [(i["file_name"], i["height"], i["width"]) for i in images] == [
        ("a.jpg", 4, 5),
        ("b.jpg", 3, 5),
        ("c.jpg", 4, 5),
    ]
    np.testing.assert_array_equal(painted(coco, 2, (3, 5)), masks()[1, :3])


def test_objects_that_touch_stay_apart(tmp_path, capsys):
    objects = np.zeros((2, 4, 6), np.int32)
    objects[:, 1:3, 0:3], objects[0, 1:3, 3:6] = 7, 9
    path = write_coco(
        tmp_path / "m.json", objects, info(shape=objects.shape), LABELS, label_of={7: 1, 9: 1}
    )
    coco = load(path, capsys)
    found = coco.loadAnns(coco.getAnnIds())
    assert [(a["image_id"], a["object_id"], a["area"]) for a in found] == [
        (1, 7, 6),
        (1, 9, 6),
        (2, 7, 6),
    ]
    assert {a["category_id"] for a in found} == {1}


def test_no_object_is_no_annotation(tmp_path, capsys):
    empty = np.zeros((1, 4, 5), np.uint8)
    coco = load(write_coco(tmp_path / "m.json", empty, info(shape=empty.shape), LABELS), capsys)
    assert coco.getAnnIds() == []
    with pytest.raises(InputError, match="rename"):
        write_coco(tmp_path / "m.txt", empty, info(), LABELS)
