"""Objects of a stack, and their table as CSV; measured again by scikit-image and by hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_salt.errors import InputError, OutputError
from napari_salt.io import object_masks
from napari_salt.io.object_masks import common_sizes, find_objects
from napari_salt.io.object_table import write_table
from napari_salt.io.watched import WatchedMasks
from napari_salt.records import Label, Origin
from napari_salt.session.objects import ObjectsChoice
from napari_salt.session.stack import Stack
from writing_data import info

LABELS = (Label(3, "cell"), Label(300, "axon, “long”"))
SIZES = (2.5, 0.65, 0.5)


@pytest.fixture
def masks():
    """Two cells, one of them over two slices, and an axon over all."""
    found = np.zeros((3, 8, 10), np.uint16)
    found[0, 1:3, 1:4] = found[1, 2:4, 2:4] = 3
    found[1, 6:8, 7:9] = 3
    found[:, 5, 0:2] = 300
    return found


@pytest.fixture
def stack():
    pixels = np.arange(240, dtype=np.uint8).reshape(3, 8, 10)
    return Stack(pixels, spacing=SIZES, units=("um",) * 3, name="t1")


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_slice_by_slice_every_object_of_every_slice_has_its_number(tmp_path, masks, stack):
    with find_objects(masks, stack.info, ObjectsChoice(), tmp_path) as objects:
        ids = np.stack([objects.ids[index] for index in range(3)])
        assert objects.label_of == {1: 3, 2: 300, 3: 3, 4: 3, 5: 300, 6: 300}
        assert [np.unique(plane).tolist() for plane in ids] == [[0, 1, 2], [0, 3, 4, 5], [0, 6]]
    for object_id, label_id in objects.label_of.items():
        assert set(masks[ids == object_id]) == {label_id}
    np.testing.assert_array_equal(ids > 0, masks > 0)
    assert list(tmp_path.iterdir()) == []


def test_in_the_volume_objects_go_on_from_slice_to_slice(tmp_path, masks, stack):
    with find_objects(masks, stack.info, ObjectsChoice(volume=True), tmp_path) as objects:
        ids = np.asarray(objects.ids)
    assert objects.label_of == {1: 3, 2: 3, 3: 300}
    assert [int((ids == i).sum()) for i in (1, 2, 3)] == [10, 4, 6]


def test_names_and_colours_of_objects(tmp_path, masks, stack):
    labels = (Label(3, "cell", (1, 0.5, 0, 1)), LABELS[1])
    with find_objects(masks, stack.info, ObjectsChoice(volume=True), tmp_path) as objects:
        named = objects.labels(labels)
    assert [(one.label_id, one.name) for one in named] == [
        (1, "cell 1"),
        (2, "cell 2"),
        (3, "axon, “long” 1"),
    ]
    assert named[0].color != named[1].color


def test_the_table_of_slices(tmp_path, masks, stack):
    with find_objects(masks, stack.info, ObjectsChoice(), tmp_path) as objects:
        found = rows(write_table(tmp_path / "t.csv", objects, LABELS, stack))
        ids = [objects.ids[index] for index in range(3)]
    assert [(row["object"], row["label"], row["slice"]) for row in found] == [
        ("1", "cell", "0"),
        ("2", "axon, “long”", "0"),
        ("3", "cell", "1"),
        ("4", "cell", "1"),
        ("5", "axon, “long”", "1"),
        ("6", "axon, “long”", "2"),
    ]
    first = found[0]
    assert first["pixels"] == "6"
    assert float(first["area (um²)"]) == pytest.approx(6 * 0.65 * 0.5)
    assert float(first["centroid y (um)"]) == pytest.approx(1.5 * 0.65)
    assert float(first["centroid x (um)"]) == pytest.approx(2 * 0.5)
    assert [first[f"{end} {axis}"] for end in ("first", "last") for axis in ("row", "column")] == [
        "1",
        "1",
        "2",
        "3",
    ]
    assert float(first["equivalent diameter (um)"]) == pytest.approx(
        2 * np.sqrt(6 * 0.65 * 0.5 / np.pi), rel=1e-4
    )
    ids = np.stack(ids)
    for row in found:
        mean = np.asarray(stack.data)[ids == int(row["object"])].mean()
        assert float(row["mean intensity"]) == pytest.approx(mean, rel=1e-5)


def test_the_table_of_a_volume(tmp_path, masks, stack):
    with find_objects(masks, stack.info, ObjectsChoice(volume=True), tmp_path) as objects:
        found = rows(write_table(tmp_path / "t.csv", objects, LABELS, stack))
        ids = np.asarray(objects.ids)
    assert [row["label"] for row in found] == ["cell", "cell", "axon, “long”"]
    assert float(found[0]["volume (um³)"]) == pytest.approx(10 * np.prod(SIZES))
    assert float(found[2]["centroid z (um)"]) == pytest.approx(2.5)
    assert (found[2]["first slice"], found[2]["last slice"]) == ("0", "2")
    pixels = np.asarray(stack.data)
    for row in found:
        mean = pixels[ids == int(row["object"])].mean()
        assert float(row["mean intensity"]) == pytest.approx(mean, rel=1e-5)


def sizes_in_table(folder, masks, image, volume):
    """Area or volume, and equivalent diameter, of each object."""
    with find_objects(masks, image.info, ObjectsChoice(volume=volume), folder) as objects:
        found = rows(write_table(folder / "t.csv", objects, LABELS, image))
    titles = [name for name in found[0] if "³" in name or "²" in name or "diameter" in name]
    return np.array([[float(row[title]) for title in titles] for row in found])


def test_voxels_of_a_tilted_gantry_are_as_large_as_they_are(tmp_path, masks):
    tilt = np.deg2rad(30)
    along, down, across = SIZES
    affine = (
        (0, 0, -across, 0),
        (-along * np.sin(tilt), -down, 0, 0),
        (along * np.cos(tilt), 0, 0, 0),
    )
    common = {"spacing": SIZES, "units": ("um",) * 3}
    straight = Stack(np.zeros(masks.shape, np.uint8), **common)
    tilted = Stack(straight.data, **common, origin=Origin(affine=(*affine, (0, 0, 0, 1))))
    by_slice = (sizes_in_table(tmp_path, masks, image, False) for image in (straight, tilted))
    np.testing.assert_array_equal(*by_slice)
    expected = sizes_in_table(tmp_path, masks, straight, True) * np.cos(tilt) ** (1, 1 / 3)
    found = sizes_in_table(tmp_path, masks, tilted, True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [3, 4])
def test_the_channels_of_colours_have_their_names(tmp_path, masks, channels):
    pixels = np.zeros((*masks.shape, channels), np.uint8)
    pixels[..., :3] = 10, 20, 30
    stack = Stack(pixels, rgb=True)
    with find_objects(masks, stack.info, ObjectsChoice(), tmp_path) as objects:
        first = rows(write_table(tmp_path / "t.csv", objects, LABELS, stack))[0]
    colors = [name for name in first if "intensity" in name]
    expected = ["red", "green", "blue", "alpha"][:channels]
    assert colors == [f"mean intensity of {color}" for color in expected]
    assert [first[name] for name in colors[:3]] == ["10", "20", "30"]


def test_each_channel_has_its_mean(tmp_path, masks):
    pixels = np.zeros((3, 8, 10, 2), np.float32)
    pixels[..., 1] = 0.25
    stack = Stack(pixels, channel_axis=3, units=("um",) * 3)
    with find_objects(masks, stack.info, ObjectsChoice(), tmp_path) as objects:
        found = rows(write_table(tmp_path / "t.csv", objects, LABELS, stack))
    assert {row["mean intensity of channel 0"] for row in found} == {"0"}
    assert {row["mean intensity of channel 1"] for row in found} == {"0.25"}


def test_no_object_is_a_table_of_titles(tmp_path, stack):
    for volume in (False, True):
        empty = np.zeros((3, 8, 10), np.uint8)
        with find_objects(empty, stack.info, ObjectsChoice(volume=volume), tmp_path) as objects:
            assert rows(write_table(tmp_path / "t.csv", objects, LABELS, stack)) == []
            assert objects.label_of == {}


def test_touching_cells_are_told_apart_where_asked(tmp_path):
    row, column = np.ogrid[:40, :60]
    plane = ((row - 20) ** 2 + (column - 20) ** 2 < 100) | (
        (row - 20) ** 2 + (column - 37) ** 2 < 100
    )
    masks, geometry = plane[np.newaxis].astype(np.uint8), info(shape=(1, 40, 60), spacing=(1, 1, 1))
    for how, count in (("components", 1), ("watershed", 2)):
        with find_objects(masks, geometry, ObjectsChoice(how), tmp_path) as objects:
            assert len(objects.label_of) == count


def test_units_are_brought_to_that_of_the_columns():
    mixed = info(spacing=(0.002, 650, 0.5), units=("mm", "nm", "um"))
    assert common_sizes(mixed, volume=True) == ((2.0, 0.65, 0.5), "um")
    frames = info(spacing=(3, 1, 1), units=("s", "um", "um"))
    assert common_sizes(frames, volume=False) == ((1.0, 1, 1), "um")
    with pytest.raises(InputError, match="slices is not measured in um"):
        common_sizes(frames, volume=True)


def test_a_volume_beyond_memory_is_refused(tmp_path, masks, stack, monkeypatch):
    monkeypatch.setattr(object_masks, "MOST_VOXELS", 100)
    with (
        pytest.raises(InputError, match="slice by slice"),
        find_objects(masks, stack.info, ObjectsChoice(volume=True), tmp_path),
    ):
        pass


def test_slices_are_read_once_and_one_at_a_time(tmp_path, masks, stack):
    read = []
    with find_objects(WatchedMasks(masks, read.append), stack.info, ObjectsChoice(), tmp_path):
        assert read == [0, 1, 2]


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path, masks, stack):
    with (
        find_objects(masks, stack.info, ObjectsChoice(), tmp_path) as objects,
        pytest.raises(OutputError, match="does not exist"),
    ):
        write_table(tmp_path / "no" / "t.csv", objects, LABELS, stack)
    assert list(tmp_path.iterdir()) == []
