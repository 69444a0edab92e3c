"""Segmentations of 3D Slicer as label images: names, colours, layers, and parts of an image."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
import slicerio

from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack
from napari_salt.viewer_link.image_readers import read_image

SLICER = Path(slicerio.__file__).parent / "data"
STEPS = np.diag([0.5, 0.75, 3.0])


def save(path, data, *segments, origin=(10.0, -20.0, 30.0), **header):
    """Each segment is its name, value and layer."""
    given = {"space": "left-posterior-superior", "space directions": STEPS}
    for place, (name, value, layer) in enumerate(segments):
        given[f"Segment{place}_Name"] = name
        given[f"Segment{place}_LabelValue"] = str(value)
        given[f"Segment{place}_Layer"] = str(layer)
        given[f"Segment{place}_Color"] = "1 0.5 0"
    nrrd.write(str(path), data, given | {"space origin": np.array(origin)} | header)
    return path


def layers(path, data, *segments):
    steps = np.vstack([np.full(3, np.nan), STEPS])
    kinds = ["list", "domain", "domain", "domain"]
    return save(path, data, *segments, kinds=kinds, **{"space directions": steps})


def test_a_segmentation_that_3d_slicer_saved():
    image = read_stack(SLICER / "CTChest4.nrrd")
    labels = read_labels(SLICER / "Segmentation.seg.nrrd", like=image.info)
    assert labels.names[5] == "right lung"
    assert labels.colors[5] == pytest.approx((0.0862745, 0.772549, 0.278431, 1.0))
    assert labels.shape == image.info.shape
    assert labels.info.origin.affine == image.info.origin.affine
    expected = slicerio.read_segmentation(str(SLICER / "Segmentation.seg.nrrd"))["voxels"]
    np.testing.assert_array_equal(labels.labels, expected.transpose(2, 1, 0))


def test_segments_that_overlap_are_refused_where_they_do():
    labels = read_labels(SLICER / "SegmentationOverlapping.seg.nrrd")
    assert labels.names[8] == "overlapping sphere"
    assert set(np.unique(labels.plane(0))) <= set(labels.names) | {0}
    with pytest.raises(
        InputError, match=r"“overlapping sphere” .* overlaps another one on slice 16"
    ):
        labels.labels  # noqa: B018 - to read it is the test


def test_layers_with_the_same_value_are_counted(tmp_path):
    data = np.zeros((2, 5, 4, 3), np.uint8)
    data[0, 1, 2, 0] = data[1, 3, 3, 2] = 1
    path = layers(tmp_path / "a.seg.nrrd", data, ("laeuft", 1, 0), ("b", 1, 1))
    # As 3D Slicer has it; pynrrd writes ASCII alone.
    path.write_bytes(path.read_bytes().replace(b"laeuft", "läuft".encode()))
    labels = read_labels(path)
    assert labels.labels[0, 2, 1] == 1
    assert labels.labels[2, 3, 3] == 2
    assert labels.labels.sum() == 3
    assert labels.names == {1: "läuft", 2: "b"}


@pytest.mark.parametrize("origin", [(10.5, -20.0, 33.0), (10.5 + 1e-6, -20.0, 33.0)])
def test_a_part_of_an_image_is_laid_on_its_voxels(tmp_path, origin):
    image = read_stack(save(tmp_path / "i.nrrd", np.zeros((6, 5, 4), np.int16)))
    part = np.arange(1, 9, dtype=np.uint8).reshape(2, 2, 2)
    labels = read_labels(save(tmp_path / "p.seg.nrrd", part, origin=origin), like=image.info)
    assert labels.shape == (4, 5, 6)
    np.testing.assert_array_equal(labels.labels[1:3, 0:2, 1:3], part.T)
    assert labels.labels.sum() == part.sum()
    assert labels.info.origin.affine == image.info.origin.affine


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": (10.2, -20.0, 33.0)},
        {"origin": (9.5, -20.0, 33.0)},
        {"origin": (13.0, -20.0, 33.0)},
        {"space directions": STEPS * (1, 1, 1.02)},
        {"space directions": STEPS * (1, -1, 1)},
    ],
    ids=["between", "before", "beyond", "size", "mirrored"],
)
def test_what_is_no_part_of_it_is_left_as_it_is(tmp_path, changes):
    image = read_stack(save(tmp_path / "i.nrrd", np.zeros((6, 5, 4), np.int16)))
    part = save(tmp_path / "p.seg.nrrd", np.ones((2, 2, 2), np.uint8), **changes)
    assert read_labels(part, like=image.info).shape == (2, 2, 2)


def test_strange_descriptions_of_segments_are_left_out(tmp_path):
    path = save(tmp_path / "a.seg.nrrd", np.ones((3, 3, 3), np.uint8), ("good", 1, 0))
    strange = (
        b"Segment1_LabelValue:=-4\nSegment2_LabelValue:=99999999999\nSegment3_Layer:=x\n"
        b"Segment999999999_Name:=far\nSegment4_Color:=nan 1 1\nSegment4_LabelValue:=4\n\n"
    )
    path.write_bytes(path.read_bytes().replace(b"\n\n", b"\n" + strange, 1))
    labels = read_labels(path)
    assert labels.names == {1: "good", 4: "segment 5"}
    assert set(labels.colors) == {1}


def test_napari_gets_a_layer_of_labels():
    ((data, attributes, kind),) = read_image(SLICER / "Segmentation.seg.nrrd")
    assert kind == "labels"
    assert data.shape == (34, 128, 128)
    assert "ribs" in attributes["features"]["name"]
