"""A stack seen through any array, along any axis."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.session.stack import Stack


class Lazy:
    """Array that remembers how it was indexed."""

    def __init__(self, data):
        self.data, self.shape, self.dtype, self.keys = data, data.shape, data.dtype, []

    def __getitem__(self, key):
        self.keys.append(key)
        return self.data[key]


def numbered(*shape, dtype=np.uint16):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


VOLUME, COLOR, SERIES = numbered(4, 5, 6), numbered(4, 5, 6, 3), numbered(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("data", "options", "shape", "channels", "index", "expected"),
    [
        (VOLUME, {}, (4, 5, 6), 1, 2, VOLUME[2]),
        (VOLUME, {"slice_axis": 1}, (5, 4, 6), 1, 3, VOLUME[:, 3]),
        (VOLUME, {"slice_axis": -1}, (6, 4, 5), 1, 5, VOLUME[..., 5]),
        (VOLUME[0], {}, (1, 5, 6), 1, 0, VOLUME[0]),
        (COLOR, {"rgb": True}, (4, 5, 6), 3, 1, COLOR[1]),
        (COLOR[0], {"rgb": True}, (1, 5, 6), 3, 0, COLOR[0]),
        (COLOR[..., :1], {"channel_axis": 3}, (4, 5, 6), 1, 1, COLOR[1, ..., 0]),
        (SERIES, {}, (2, 4, 5), 1, 1, SERIES[1, 0]),
        (SERIES, {"slice_axis": 1}, (3, 4, 5), 1, 2, SERIES[0, 2]),
        (SERIES, {"slice_axis": 1, "fixed": {0: 1}}, (3, 4, 5), 1, 2, SERIES[1, 2]),
        (SERIES, {"slice_axis": 0, "fixed": {1: 2}}, (2, 4, 5), 1, 1, SERIES[1, 2]),
        (SERIES, {"channel_axis": 1}, (2, 4, 5), 3, 1, np.moveaxis(SERIES[1], 0, -1)),
        (SERIES, {"slice_axis": 1, "channel_axis": 0}, (3, 4, 5), 2, 1, SERIES[:, 1].transpose(1, 2, 0)),
        (VOLUME, {"fixed": {0: 3}}, (1, 5, 6), 1, 0, VOLUME[3]),
    ],
)  # fmt: skip
def test_planes(data, options, shape, channels, index, expected):
    stack = Stack(data, **options)
    assert (stack.info.shape, stack.info.channels, len(stack)) == (shape, channels, shape[0])
    np.testing.assert_array_equal(stack.plane(index), expected)


def test_one_plane_is_read_at_a_time():
    lazy = Lazy(SERIES)
    stack = Stack(lazy, slice_axis=1, fixed={0: 1})
    assert lazy.keys == []
    stack.plane(2)
    assert lazy.keys == [(1, 2, slice(None), slice(None))]


@pytest.mark.parametrize("wrap", ["zarr", "dask"])
def test_lazy_arrays(wrap):
    if wrap == "zarr":
        zarr = pytest.importorskip("zarr")
        data = zarr.array(VOLUME, chunks=(1, 5, 6))
    else:
        data = pytest.importorskip("dask.array").from_array(VOLUME, chunks=(1, 5, 6))
    plane = Stack(data, slice_axis=1).plane(4)
    assert type(plane) is np.ndarray
    np.testing.assert_array_equal(plane, VOLUME[:, 4])


def test_planes_are_native_and_read_only():
    data = VOLUME.astype(">u2")
    stack = Stack(data)
    plane = stack.plane(1)
    assert plane.dtype.isnative
    assert stack.info.dtype == "uint16"
    with pytest.raises(ValueError, match="read-only"):
        Stack(VOLUME).plane(0)[0, 0] = 1
    data[1, 0, 0] = 9  # the source stays the user's to change
    assert stack.plane(1)[0, 0] == 9


def test_geometry_is_kept():
    info = Stack(VOLUME, spacing=(2, 1, 0.5), units=("s", "um", "um"), name="brain").info
    assert (info.spacing, info.units, info.name) == ((2.0, 1.0, 0.5), ("s", "um", "um"), "brain")


def test_slice_axis_has_a_name():
    assert Stack(SERIES, slice_axis=0, axes="TZYX").slice_axis_name == "T"
    assert Stack(VOLUME).slice_axis_name == "Z"


@pytest.mark.parametrize(
    ("data", "options", "word"),
    [
        (numbered(5), {}, "rows and columns"),
        (numbered(5, 3), {"rgb": True}, "rows and columns"),
        (VOLUME, {"slice_axis": 3}, "does not exist"),
        (VOLUME, {"slice_axis": -4}, "does not exist"),
        (COLOR, {"slice_axis": 3, "rgb": True}, "cannot be the slice axis"),
        (numbered(4, 5, 6, 2), {"rgb": True}, "3 or 4 channels"),
        (SERIES, {"slice_axis": 1, "fixed": {0: 2}}, "does not exist"),
        (VOLUME.astype(complex), {}, "complex128"),
        (VOLUME[:, :0], {}, "empty"),
        (VOLUME, {"spacing": (1, 0, 1)}, "positive"),
        (VOLUME, {"spacing": (1, float("nan"), 1)}, "positive"),
        (VOLUME, {"spacing": (1, 1)}, "three"),
        (VOLUME, {"units": ("um",)}, "three units"),
    ],
)
def test_what_is_no_stack(data, options, word):
    with pytest.raises(InputError, match=word):
        Stack(data, **options)


@pytest.mark.parametrize("shape", [(10**19, 4, 4), (2**40, 4, 4), (4, 2**31, 4)])
def test_a_file_that_says_it_is_longer_than_any_is_refused(shape):
    data = Lazy(VOLUME)
    data.shape = shape
    with pytest.raises(InputError, match="damaged"):
        Stack(data)


@pytest.mark.parametrize("index", [-1, 4])
def test_slices_that_do_not_exist(index):
    with pytest.raises(InputError, match="slices 0 to 3"):
        Stack(VOLUME).plane(index)


@pytest.mark.parametrize(
    ("data", "options", "index"),
    [
        (VOLUME, {}, 2),
        (VOLUME, {"slice_axis": 1}, 3),
        (VOLUME, {"slice_axis": -1}, 5),
        (VOLUME[0], {}, 0),
        (COLOR, {"rgb": True}, 1),
        (SERIES, {"channel_axis": 1}, 1),
        (SERIES, {"slice_axis": 1, "fixed": {0: 1}}, 2),
    ],
)
def test_a_region_is_a_part_of_the_plane_and_nothing_else_is_read(data, options, index):
    lazy = Lazy(data)
    stack = Stack(lazy, **options)
    part = stack.region(index, slice(1, 3), slice(2, 4))
    assert part.shape[:2] == (2, 2)
    assert data[lazy.keys[-1]].size == part.size
    np.testing.assert_array_equal(part, stack.plane(index)[1:3, 2:4])


def test_a_region_of_no_slice():
    with pytest.raises(InputError, match="does not exist"):
        Stack(VOLUME).region(4, slice(0, 1), slice(0, 1))
