"""Compressed TIFF, written by tifffile or Pillow: what comes out is what went in, pixel by pixel."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import tifffile
from numcodecs import zstd
from PIL import Image

from format_data import ome_set
from napari_salt.errors import InputError, MissingExtra
from napari_salt.io import opening
from napari_salt.io.read import read_stack
from napari_salt.io.tiles import Tiles

RNG = np.random.default_rng(0)
LZW, ZSTD = tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.ZSTD


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """No trial in a process of its own, half a second each; `test_probe` has those."""
    monkeypatch.setattr(opening, "check_survives", lambda *_: None)


def noise(*shape, dtype):
    return RNG.integers(0, 200, shape).astype(dtype)


def planes(path, **options):
    stack = read_stack(path, **options)
    return np.stack([stack.plane(index) for index in range(len(stack))])


@pytest.mark.parametrize("packing", [LZW, ZSTD, "zlib"])
@pytest.mark.parametrize(
    ("data", "options"),
    [
        (noise(5, 6, 7, dtype="uint8"), {}),
        (noise(5, 6, 7, dtype="uint8"), {"photometric": "miniswhite"}),
        (noise(5, 6, 7, dtype="uint16"), {"predictor": True, "byteorder": ">"}),
        (noise(5, 6, 7, dtype="int16") - 100, {}),
        (noise(5, 6, 7, dtype="uint32") * 70_000, {"predictor": True}),
        (noise(5, 6, 7, dtype="float32") / 7, {}),
        (noise(5, 6, 7, dtype="float32") / 7, {"predictor": True}),
        (noise(5, 6, 7, dtype="uint8") > 100, {}),
        (noise(5, 6, 7, 3, dtype="uint16"), {"photometric": "rgb"}),
        (noise(5, 40, 50, dtype="uint16"), {"tile": (16, 16), "predictor": True}),
        (noise(5, 40, 50, dtype="uint16"), {"rowsperstrip": 16}),
    ],
)  # fmt: skip
def test_all_types_of_pixels(tmp_path, data, options, packing):
    whole = {"photometric": "minisblack"} | options
    tifffile.imwrite(tmp_path / "z.tif", data, compression=packing, metadata=None, **whole)
    np.testing.assert_array_equal(planes(tmp_path / "z.tif"), data)


def test_pixels_of_twelve_bits(tmp_path):
    data = noise(5, 6, 7, dtype="uint16") * 20
    tifffile.imwrite(tmp_path / "z.tif", data, bitspersample=12, photometric="minisblack")
    np.testing.assert_array_equal(planes(tmp_path / "z.tif"), data)


def test_colours_in_planes_of_their_own(tmp_path):
    data = noise(5, 3, 6, 7, dtype="uint8")
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "z.tif", data, compression=LZW, **options)
    np.testing.assert_array_equal(planes(tmp_path / "z.tif"), np.moveaxis(data, 1, -1))


def test_planes_in_several_files_of_an_ome_set(tmp_path):
    data = noise(4, 6, 7, dtype="uint16")
    for file in ome_set(tmp_path, data, compression=LZW):
        np.testing.assert_array_equal(planes(file), data)


def test_levels_of_a_pyramid(tmp_path):
    data = noise(2, 64, 64, dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "z.ome.tif") as tif:
        tif.write(data, subifds=1, compression=LZW, tile=(32, 32), metadata={"axes": "ZYX"})
        tif.write(data[:, ::2, ::2], subfiletype=1, compression=LZW, tile=(32, 32))
    np.testing.assert_array_equal(planes(tmp_path / "z.ome.tif"), data)
    np.testing.assert_array_equal(planes(tmp_path / "z.ome.tif", level=1), data[:, ::2, ::2])


def test_large_pages_are_read_by_the_tile(tmp_path):
    data = noise(2304, 2304, dtype="uint8")
    tifffile.imwrite(tmp_path / "z.tif", data, compression=ZSTD, tile=(256, 256))
    stack = read_stack(tmp_path / "z.tif")
    assert isinstance(stack._data, Tiles)
    np.testing.assert_array_equal(stack.region(0, slice(250, 270), slice(0, 9)), data[250:270, :9])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_has_the_colours_that_pillow_sees(tmp_path, mode):
    ramp = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    pages = [Image.fromarray(np.stack([ramp + k, ramp[::-1], ramp * 0], -1)) for k in range(4)]
    first, *rest = [page.convert(mode) for page in pages]
    path = tmp_path / "z.tif"
    first.save(path, compression="jpeg", save_all=True, append_images=rest)
    with Image.open(path) as shown:
        for index, plane in enumerate(planes(path)):
            shown.seek(index)
            np.testing.assert_allclose(plane, np.asarray(shown.convert(mode)), atol=1)


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB"])
def test_what_pillow_writes_is_read(tmp_path, packing, mode):
    data = [noise(30, 41, dtype="uint16" if mode == "I;16" else "uint8") for _ in range(4)]
    first, *rest = [Image.fromarray(page) for page in data]
    if mode in ("1", "RGB"):
        first, *rest = [page.convert(mode) for page in (first, *rest)]
    path = tmp_path / "z.tif"
    first.save(path, compression=packing, save_all=True, append_images=rest)
    for plane, page in zip(planes(path), [first, *rest], strict=True):
        np.testing.assert_array_equal(plane, np.asarray(page))


def packed_as(path, method):
    """A TIFF whose header says that it is compressed by ``method``."""
    tifffile.imwrite(path, noise(6, 7, dtype="uint8"), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.first.tags["Compression"].overwrite(method)


def test_a_compression_that_nothing_unpacks_is_told_at_once(tmp_path, monkeypatch):
    packed_as(tmp_path / "z.tif", tifffile.COMPRESSION.JBIG)
    told = r"^z\.tif is compressed with JBIG"
    with pytest.raises(InputError, match=f"{told}, which cannot be read here; save [^.]*\\.$"):
        read_stack(tmp_path / "z.tif")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtra, match=f"{told}; install the package imagecodecs, or [^.]*\\.$"
    ):
        read_stack(tmp_path / "z.tif")


@pytest.mark.parametrize("packing", [LZW, ZSTD])
def test_a_damaged_part_is_a_sentence(tmp_path, monkeypatch, packing):
    monkeypatch.setitem(
        tifffile.TIFF.COMPRESSORS._codecs, packing, lambda *_, **__: b"\x80\x17" * 9
    )
    tifffile.imwrite(tmp_path / "z.tif", noise(5, 6, 7, dtype="uint8"), compression=packing)
    with pytest.raises(InputError, match=r"Page 0 of z\.tif cannot be read"):
        planes(tmp_path / "z.tif")


def test_zstandard_unpacks_to_no_more_than_a_part(tmp_path, monkeypatch):
    bomb = zstd.compress(bytes(10**6))
    monkeypatch.setitem(tifffile.TIFF.COMPRESSORS._codecs, ZSTD, lambda *_, **__: bomb)
    tifffile.imwrite(tmp_path / "z.tif", noise(5, 6, 7, dtype="uint8"), compression=ZSTD)
    with pytest.raises(InputError, match=r"Page 0 of z\.tif cannot be read"):
        planes(tmp_path / "z.tif")
