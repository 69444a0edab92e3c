"""OME-Zarr labels, read with ome_zarr-py's reader; images beside them are written with ome_zarr-py too."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr.writer import write_image, write_labels

from napari_salt.errors import InputError
from napari_salt.io.read import read_stack
from napari_salt.io.writing.ome_zarr import write_alone, write_beside
from napari_salt.records import Origin
from writing_data import LABELS, SHAPE, info, masks

BIG = (6, 64, 48)
VERSIONS = pytest.mark.parametrize("fmt", [FormatV04(), FormatV05()], ids=["0.4", "0.5"])
AXES = {
    "zyx": ([("z", "space"), ("y", "space"), ("x", "space")], (2.5, 0.65, 0.5)),
    "czyx": (
        [("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space")],
        (1, 2.5, 0.65, 0.5),
    ),
    "tczyx": (
        [("t", "time"), ("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space")],
        (1, 1, 2.5, 0.65, 0.5),
    ),
}


def image_at(path, fmt, axes="zyx", shape=BIG, with_labels=()):
    """An image of two levels with physical sizes, as ome_zarr-py writes it."""
    named, scale = AXES[axes]
    units = {"space": {"unit": "micrometer"}, "time": {"unit": "second"}, "channel": {}}
    described = [{"name": name, "type": kind, **units[kind]} for name, kind in named]
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    group = zarr.open_group(path, mode="w", zarr_format=fmt.zarr_format)
    write_image(
        pixels,
        group,
        axes=described,
        fmt=fmt,
        scale_factors=[{"y": 2, "x": 2}],
        scale={name: size for (name, _), size in zip(named, scale, strict=True)},
    )
    for name in with_labels:
        write_labels(np.ones(shape, np.uint8), group, name, axes=described, fmt=fmt)
    return path


def nodes(path):
    return list(Reader(parse_url(str(path), mode="r"))())


def labels_of(path, name):
    """The node of a label image by its name, as ome_zarr-py finds it from the image."""
    return next(node for node in nodes(path) if node.metadata.get("name") == name)


def big_info(path, shape=BIG, spacing=(2.5, 0.65, 0.5)):
    return info(shape=shape, spacing=spacing, origin=Origin(str(path), "ome-zarr"))


@VERSIONS
@pytest.mark.parametrize("axes", ["zyx", "czyx", "tczyx"])
def test_labels_beside_the_image(tmp_path, fmt, axes):
    shape = {"zyx": BIG, "czyx": (2, *BIG), "tczyx": (1, 2, *BIG)}[axes]
    path = image_at(tmp_path / "a.ome.zarr", fmt, axes, shape)
    written = masks(shape=BIG)
    write_beside(path, written, big_info(path), LABELS, "salt")
    image, found = nodes(path)[0], labels_of(path, "salt")
    assert [a["name"] for a in found.metadata["axes"]] == list(axes)
    assert found.metadata["axes"] == image.metadata["axes"]
    assert (
        found.metadata["coordinateTransformations"] == image.metadata["coordinateTransformations"]
    )
    assert found.data[0].dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(found.data[0]).reshape(BIG), written)
    assert [d.shape[-3:] for d in found.data] == [d.shape[-3:] for d in image.data]
    assert all(set(d.shape[:-3]) <= {1} for d in found.data)
    assert found.metadata["color"][1] == [1, 0, 0, 1]
    assert found.metadata["color"][2] == pytest.approx(LABELS[1].color, abs=1 / 255)
    assert found.metadata["properties"] == {i: {"name": n.name} for i, n in enumerate(LABELS, 1)}


@VERSIONS
def test_smaller_levels_show_the_nearest_pixel(tmp_path, fmt):
    path = image_at(tmp_path / "a.ome.zarr", fmt)
    written = np.random.default_rng(0).integers(0, 3, BIG)
    write_beside(path, written, big_info(path), LABELS, "salt")
    small = np.asarray(labels_of(path, "salt").data[1])
    np.testing.assert_array_equal(small, written[:, 1::2, 1::2])


@VERSIONS
def test_other_labels_stay_and_one_of_this_name_is_replaced(tmp_path, fmt):
    path = image_at(tmp_path / "a.ome.zarr", fmt, with_labels=["theirs"])
    for largest in (2, 300):
        write_beside(path, masks(largest, BIG), big_info(path), LABELS, "salt")
    listed = dict(zarr.open_group(path / "labels", mode="r").attrs)
    assert listed.get("ome", listed)["labels"] == ["theirs", "salt"]
    assert np.asarray(labels_of(path, "theirs").data[0]).all()
    ours = labels_of(path, "salt").data[0]
    assert (ours.dtype, ours.max()) == (np.uint16, 300)
    assert sorted(p.name for p in (path / "labels").iterdir() if p.is_dir()) == ["salt", "theirs"]


@VERSIONS
def test_masks_of_a_smaller_level_begin_there(tmp_path, fmt):
    path = image_at(tmp_path / "a.ome.zarr", fmt)
    half = big_info(path, (6, 32, 24), (2.5, 1.3, 1.0))
    write_beside(path, masks(shape=half.shape), half, LABELS, "salt")
    found = labels_of(path, "salt")
    assert [d.shape for d in found.data] == [(6, 32, 24)]
    assert found.metadata["coordinateTransformations"][0][0]["scale"] == [2.5, 1.3, 1.0]


@VERSIONS
def test_nothing_is_in_a_chunk_larger_than_a_slice(tmp_path, fmt):
    path = image_at(tmp_path / "a.ome.zarr", fmt)
    write_beside(path, masks(shape=BIG), big_info(path), LABELS, "salt")
    array = zarr.open_array(path / "labels" / "salt" / "0", mode="r")
    assert array.chunks == (1, 64, 48)
    assert array.metadata.zarr_format == fmt.zarr_format


@VERSIONS
def test_metadata_gathered_in_one_place_knows_the_labels(tmp_path, fmt):
    path = image_at(tmp_path / "a.ome.zarr", fmt)
    zarr.consolidate_metadata(path)
    write_beside(path, masks(shape=BIG), big_info(path), LABELS, "salt")
    group = zarr.open_group(path, mode="r", use_consolidated=True)
    assert group["labels/salt/0"].shape == BIG


def test_what_does_not_fit_beside_is_refused_and_leaves_nothing(tmp_path):
    path = image_at(tmp_path / "a.ome.zarr", FormatV04())
    with pytest.raises(InputError, match="no level"):
        write_beside(path, masks(), big_info(path, SHAPE), LABELS, "salt")
    with pytest.raises(InputError, match="cannot be the name"):
        write_beside(path, masks(shape=BIG), big_info(path), LABELS, "../x")
    films = image_at(tmp_path / "t.ome.zarr", FormatV04(), "tczyx", (2, 1, *BIG))
    with pytest.raises(InputError, match="several axes of slices"):
        write_beside(films, masks(shape=BIG), big_info(films), LABELS, "salt")
    with pytest.raises(InputError, match="no OME-Zarr image"):
        write_beside(tmp_path, masks(), info(), LABELS, "salt")
    assert not any(folder.joinpath("labels").exists() for folder in (path, films, tmp_path))


def test_other_versions_are_not_written_into(tmp_path):
    path = image_at(tmp_path / "a.ome.zarr", FormatV04())
    attrs = json.loads((path / ".zattrs").read_text())
    attrs["multiscales"][0]["version"] = "0.3"
    (path / ".zattrs").write_text(json.dumps(attrs))
    with pytest.raises(InputError, match=r"0\.3"):
        write_beside(path, masks(shape=BIG), big_info(path), LABELS, "salt")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_label_image_of_its_own(tmp_path, version):
    path = write_alone(tmp_path / "m.ome.zarr", masks(), info(), LABELS, version)
    (node,) = nodes(path)
    assert [type(spec).__name__ for spec in node.specs] == ["Label", "Multiscales"]
    np.testing.assert_array_equal(np.asarray(node.data[0]), masks())
    assert [(a["name"], a["unit"]) for a in node.metadata["axes"]] == [
        (letter, "micrometer") for letter in "zyx"
    ]
    assert node.metadata["coordinateTransformations"][0] == [
        {"type": "scale", "scale": [2.5, 0.65, 0.5]}
    ]
    assert node.metadata["properties"][2] == {"name": LABELS[1].name}


def test_a_pyramid_lies_where_its_pixels_lie(tmp_path):
    shape = (2, 520, 301)
    written = np.random.default_rng(0).integers(0, 3, shape)
    path = write_alone(tmp_path / "m.ome.zarr", written, info(shape=shape), LABELS)
    (node,) = nodes(path)
    assert [d.shape for d in node.data] == [shape, (2, 260, 151), (2, 130, 76)]
    scale, shift = node.metadata["coordinateTransformations"][2]
    assert scale["scale"] == [2.5, 2.6, 2.0]
    assert shift["translation"] == pytest.approx([0, 0.975, 0.75])
    np.testing.assert_array_equal(np.asarray(node.data[1])[:, :, 0], written[:, 1::2, 0])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_masks_of_an_image_that_lies_elsewhere_lie_on_it_at_every_level(tmp_path, version):
    shape, image = (2, 520, 301), tmp_path / "t1.ome.zarr"
    group = zarr.open_group(image, mode="w", zarr_format=2)
    steps = [
        {"type": "scale", "scale": [2, 0.5, 0.25]},
        {"type": "translation", "translation": [100, -7.5, 0.125]},
    ]
    group.create_array("0", data=np.zeros(shape, np.uint8))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    stack = read_stack(image)
    path = write_alone(tmp_path / "m.ome.zarr", np.ones(shape, int), stack.info, LABELS, version)
    (node,) = nodes(path)
    for level, kinds in enumerate(node.metadata["coordinateTransformations"]):
        assert [one["type"] for one in kinds] == ["scale", "translation"]
        size = 2**level
        middle = (100, -7.5 + 0.5 * (size - 1) / 2, 0.125 + 0.25 * (size - 1) / 2)
        assert kinds[1]["translation"] == pytest.approx(middle)
        assert read_stack(path, level=level).info.origin.offset == pytest.approx(middle)
    coarse = read_stack(path, level=1).info
    again = write_alone(tmp_path / "n.ome.zarr", np.ones(coarse.shape, int), coarse, LABELS)
    for level in range(2):
        found, there = read_stack(again, level=level).info, read_stack(path, level=level + 1).info
        assert found.spacing == there.spacing
        assert found.origin.offset == pytest.approx(there.origin.offset)


def test_time_and_pixels_have_their_axes(tmp_path):
    frames = info(units=("ms", "pixel", "pixel"), spacing=(500, 1, 1))
    (node,) = nodes(write_alone(tmp_path / "m.ome.zarr", masks(), frames, LABELS))
    assert node.metadata["axes"] == [
        {"name": "t", "type": "time", "unit": "millisecond"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]


def test_only_masks_are_replaced(tmp_path):
    path = image_at(tmp_path / "a.ome.zarr", FormatV04())
    with pytest.raises(InputError, match="something else"):
        write_alone(path, masks(), info(), LABELS)
    own = write_alone(tmp_path / "m.ome.zarr", masks(), info(), LABELS)
    write_alone(own, masks(300), info(), LABELS)
    assert nodes(own)[0].data[0].max() == 300
