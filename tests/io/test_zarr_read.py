"""OME-Zarr of both versions, as ome-zarr-py writes it and as bare zarr; labels, levels, damage."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.writer import write_image, write_labels

from napari_salt.errors import ChoiceNeeded, InputError
from napari_salt.io.opening import Wanted, open_path
from napari_salt.io.read import read_labels, read_stack

VERSIONS = {"0.4": (FormatV04(), 2), "0.5": (FormatV05(), 3)}


def numbered(*shape):
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def root(path, version):
    return zarr.open_group(str(path), mode="w", zarr_format=VERSIONS[version][1])


@pytest.fixture(params=VERSIONS)
def image(request, tmp_path):
    """``(T, C, Z, Y, X)`` with two levels and one label image."""
    group, data = root(tmp_path / "cells.ome.zarr", request.param), numbered(2, 3, 4, 8, 6)
    form = VERSIONS[request.param][0]
    write_image(
        data,
        group,
        fmt=form,
        axes="tczyx",
        scale_factors=[2],
        scale={"t": 30, "c": 1, "z": 2.0, "y": 0.5, "x": 0.25},
        axes_units={"t": "second"} | dict.fromkeys("zyx", "micrometer"),
    )
    ids = np.zeros((4, 8, 6), np.uint8)
    ids[3, 2, 1] = 5
    write_labels(
        ids,
        group,
        name="nuclei",
        fmt=form,
        axes="zyx",
        scale_factors=[2],
        scaler=None,
        scale={"z": 2.0, "y": 0.5, "x": 0.25},
        label_metadata={
            "colors": [{"label-value": 5, "rgba": [255, 0, 51, 255]}],
            "properties": [{"label-value": 5, "name": "nucleus"}, {"label-value": 0, "name": "x"}],
        },
    )
    return tmp_path / "cells.ome.zarr", data


def test_axes_sizes_and_units(image):
    path, data = image
    stack = read_stack(path, fixed={"t": 1, "c": 2})
    assert stack.info.shape == (4, 8, 6)
    assert stack.info.dtype == "uint16"
    assert stack.info.spacing == (2.0, 0.5, 0.25)
    assert stack.info.units == ("um", "um", "um")
    assert stack.info.name == "cells"
    for index in range(4):
        np.testing.assert_array_equal(stack.plane(index), data[1, 2, index])
    assert (stack.info.origin.path, stack.info.origin.format) == (str(path), "ome-zarr")
    times = read_stack(path, slice_axis="time", fixed={"z": 3})
    assert (times.info.spacing[0], times.info.units[0], times.info.channels) == (30, "s", 3)
    np.testing.assert_array_equal(times.plane(1), np.moveaxis(data[1, :, 3], 0, -1))


def test_levels(image):
    path, _ = image
    fine, coarse = read_stack(path, level=0), read_stack(path, level=1)
    assert fine.info.shape == (4, 8, 6)
    assert coarse.info.shape == (4, 4, 3)
    assert coarse.info.spacing == (2.0, 1.0, 0.5)
    opened = open_path(path, Wanted(level=1))
    assert [level.shape[-1] for level in opened.pyramid] == [6, 3]
    with pytest.raises(InputError, match="no level 2; it has 2, counted from 0"):
        read_stack(path, level=2)


def test_a_level_opened_by_itself_has_the_axes_and_sizes_of_the_image(image):
    path, _ = image
    level = next(name for name in ("1", "s1", "scale1") if (path / name).is_dir())
    alone, coarse = open_path(path / level), open_path(path, Wanted(level=1))
    assert alone.name == "cells level 1"
    assert (alone.axes, alone.sizes, alone.units) == (coarse.axes, coarse.sizes, coarse.units)
    assert (alone.origin, alone.offsets) == (coarse.origin, coarse.offsets)
    assert (alone.pyramid, alone.origin.level) == ((), 1)
    np.testing.assert_array_equal(alone.data[...], coarse.data[...])
    with pytest.raises(InputError, match="no level 1; it has 1"):
        open_path(path / level, Wanted(level=1))


def test_an_array_in_a_folder_that_is_no_image_is_a_plain_one(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("1", data=numbered(3, 4, 5))
    assert open_path(tmp_path / "a.zarr" / "1").origin.format == "zarr"
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"datasets": "damaged"}]}
    assert open_path(tmp_path / "a.zarr" / "1").origin.format == "zarr"


def test_label_images_with_names_and_colours(image):
    path, _ = image
    for place in (path, path / "labels" / "nuclei"):
        labels = read_labels(place)
        assert labels.shape == (4, 8, 6)
        assert labels.labels[3, 2, 1] == 5
        assert labels.names == {5: "nucleus"}
        assert labels.colors == {5: (1.0, 0.0, 0.2, 1.0)}
        assert labels.spacing == (2.0, 0.5, 0.25)
    assert read_labels(path, level=1).shape == (4, 4, 3)


def test_several_label_images_need_a_choice(image):
    path, _ = image
    write_labels(
        np.zeros((4, 8, 6), np.uint8),
        str(path),
        name="cells",
        axes="zyx",
        scaler=None,
        scale_factors=[],
    )
    with pytest.raises(ChoiceNeeded, match=r"2 label images \(.*\); choose one as cells.ome.zarr/"):
        read_labels(path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("axes", ["yx", "zyx", "tyx", "cyx"])
def test_any_subset_of_axes(tmp_path, version, axes):
    data = numbered(3, 5, 4)[0] if axes == "yx" else numbered(3, 5, 4)
    write_image(
        data,
        root(tmp_path / "a.zarr", version),
        axes=axes,
        scale_factors=[],
        fmt=VERSIONS[version][0],
    )
    stack = read_stack(tmp_path / "a.zarr")
    count = 3 if axes in ("zyx", "tyx") else 1
    assert stack.info.shape == (count, 5, 4)
    assert stack.info.channels == (3 if axes == "cyx" else 1)
    assert stack.info.units == ("pixel", "pixel", "pixel")
    last = stack.plane(count - 1)
    np.testing.assert_array_equal(
        last, np.moveaxis(data, 0, -1) if axes == "cyx" else data.reshape(-1, 5, 4)[-1]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_written_by_hand(tmp_path, version):
    """Scales of a level and of the whole are multiplied; a translation comes before the second scale."""
    group = root(tmp_path / "h.zarr", version)
    group.create_array("p", data=numbered(2, 3, 4), chunks=(1, 3, 4))
    image = {
        "axes": [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"],
        "datasets": [
            {
                "path": "p",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [4, 1, 1]},
                    {"type": "translation", "translation": [1, 0, 0]},
                ],
            }
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [10, 10, 20]}],
    }
    if version == "0.4":
        group.attrs["multiscales"] = [image | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    opened = open_path(tmp_path / "h.zarr")
    assert opened.stack().info.spacing == (40, 10, 20)
    assert opened.stack().info.units == ("nm", "nm", "nm")
    assert opened.stack().info.origin.offset == (10, 0, 0)
    assert opened.pyramid == ()


@pytest.mark.parametrize("form", [2, 3])
def test_plain_arrays_and_groups_of_one(tmp_path, form):
    data = numbered(3, 5, 4)
    zarr.create_array(str(tmp_path / "a.zarr"), data=data, chunks=(1, 5, 4), zarr_format=form)
    group = zarr.open_group(str(tmp_path / "g.zarr"), mode="w", zarr_format=form)
    group.create_array("inner", data=data)
    for place in ("a.zarr", "g.zarr", "g.zarr/inner"):
        stack = read_stack(tmp_path / place)
        np.testing.assert_array_equal(stack.plane(2), data[2])
        assert stack.info.origin.format == "zarr"
    group.create_array("other", data=data)
    with pytest.raises(
        ChoiceNeeded, match=r"2 images \(inner, other\); open one of them as g.zarr/"
    ):
        read_stack(tmp_path / "g.zarr")


def test_dimension_names_of_a_plain_array(tmp_path):
    zarr.create_array(
        str(tmp_path / "a.zarr"), data=numbered(3, 5, 4), dimension_names=("y", "x", "time")
    )
    stack = read_stack(tmp_path / "a.zarr")
    assert (stack.slice_axis_name, stack.info.shape) == ("T", (4, 3, 5))


def test_only_the_chunks_of_a_slice_are_read(tmp_path):
    zarr.create_array(
        str(tmp_path / "b.zarr"), data=numbered(6, 8, 8), chunks=(1, 8, 8), zarr_format=2
    )
    stack = read_stack(tmp_path / "b.zarr")
    for index in (0, 1, 2, 4, 5):
        (tmp_path / f"b.zarr/{index}.0.0").write_bytes(b"damaged")
    np.testing.assert_array_equal(stack.plane(3), numbered(6, 8, 8)[3])
    with pytest.raises(InputError, match=r"Pixels of b.zarr cannot be read"):
        stack.plane(4)


def test_damaged_metadata(tmp_path):
    group = root(tmp_path / "a.zarr", "0.4")
    with pytest.raises(InputError, match="holds no image"):
        read_stack(tmp_path / "a.zarr")
    group.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    with pytest.raises(InputError, match=r"OME metadata of a.zarr cannot be used"):
        read_stack(tmp_path / "a.zarr")
    group.create_array("0", data=numbered(2, 3, 4))
    with pytest.raises(InputError, match="name 2 axes for an array of 3"):
        read_stack(tmp_path / "a.zarr")
    group.attrs.clear()
    group.attrs["plate"] = {}
    with pytest.raises(InputError, match="is a plate"):
        read_stack(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".zgroup").write_text(json.dumps({"zarr_format": "none"}))
    with pytest.raises(InputError, match="cannot be read as zarr"):
        read_stack(tmp_path / "a.zarr")


def test_labels_without_a_group_of_their_own(tmp_path):
    ids = np.zeros((2, 3, 4), np.int32)
    ids[1, 1, 1] = 9
    zarr.create_array(str(tmp_path / "l.zarr"), data=ids)
    assert read_labels(tmp_path / "l.zarr").labels[1, 1, 1] == 9
