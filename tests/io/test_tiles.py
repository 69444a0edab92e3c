"""Large TIFF pages are read by the tile."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_salt.errors import InputError
from napari_salt.io import tiles
from napari_salt.io.read import read_stack
from napari_salt.io.tiles import Tiles


@pytest.fixture(autouse=True)
def small_pages_count_as_large(monkeypatch):
    monkeypatch.setattr(tiles, "LARGE", 1000)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


LAYOUTS = [
    (noise(3, 300, 400), {"tile": (64, 64), "photometric": "minisblack"}),
    (noise(3, 300, 400), {"rowsperstrip": 32, "photometric": "minisblack"}),
    (noise(300, 400, 3), {"tile": (64, 64), "photometric": "rgb"}),
]


@pytest.mark.parametrize(("data", "layout"), LAYOUTS)
def test_only_the_tiles_that_are_touched_are_read(tmp_path, monkeypatch, data, layout):
    path = tmp_path / "large.tif"
    axes = "YXS" if data.shape[-1] == 3 else "ZYX"
    options = {"compression": "zlib", "ome": True, "metadata": {"axes": axes}}
    tifffile.imwrite(path, data, **options, **layout)
    stack = read_stack(path)
    assert isinstance(stack.data, Tiles)
    read, reading = [], tifffile.FileHandle.read
    monkeypatch.setattr(tifffile.FileHandle, "read", lambda *a: read.append(1) or reading(*a))
    index = stack.info.shape[0] - 1
    part = stack.region(index, slice(70, 80), slice(100, 110))
    plane = data if data.shape[-1] == 3 else data[index]
    np.testing.assert_array_equal(part, plane[70:80, 100:110])
    assert len(read) == 1
    np.testing.assert_array_equal(stack.plane(index), plane)


def test_the_full_resolution_of_a_pyramid_is_taken(tmp_path):
    data, path = noise(512, 512), tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        options = {"tile": (128, 128), "compression": "zlib", "photometric": "minisblack"}
        tif.write(data, subifds=1, **options)
        tif.write(data[::2, ::2], subfiletype=1, **options)
    stack = read_stack(path)
    assert stack.info.shape == (1, 512, 512)
    np.testing.assert_array_equal(stack.region(0, slice(200, 260), slice(0, 9)), data[200:260, :9])


def test_a_file_that_was_cut_short_says_so(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, noise(2, 300, 400), tile=(64, 64), compression="zlib")
    stack = read_stack(path)
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[1].dataoffsets[-1]
    with path.open("r+b") as file:
        file.truncate(last + 5)
    with pytest.raises(InputError, match="cut short"):
        stack.region(1, slice(290, 300), slice(390, 400))
