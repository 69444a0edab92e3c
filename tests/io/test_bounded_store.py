"""Chunks of a zarr from a stranger become no more than a chunk, whatever compresses them, and run no code."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from napari_salt.errors import InputError
from napari_salt.io.bounded_store import SLACK, BoundedStore, check_unpacked
from napari_salt.io.read import read_labels, read_stack

MEGABYTE = 1024**2
PIXELS = np.arange(4 * 64 * 64, dtype=np.uint16).reshape(4, 64, 64)
CODECS = {
    "zstd": numcodecs.Zstd(),
    "gzip": numcodecs.GZip(1),
    "zlib": numcodecs.Zlib(1),
    "bz2": numcodecs.BZ2(1),
    "lzma": numcodecs.LZMA(),
    "blosc": numcodecs.Blosc("zstd"),
}


def old_zarr(folder: Path, compressor) -> Path:
    """A plain array of format 2, which allows all of these codecs."""
    path = folder / "x.zarr"
    array = zarr.create_array(
        path,
        shape=PIXELS.shape,
        dtype="uint16",
        chunks=(1, 64, 64),
        zarr_format=2,
        compressors=compressor,
    )
    array[:] = PIXELS
    return path


@pytest.mark.parametrize("name", CODECS)
def test_honest_chunks_are_read(tmp_path, name):
    stack = read_stack(old_zarr(tmp_path, CODECS[name]))
    assert (stack.plane(2) == PIXELS[2]).all()


@pytest.mark.parametrize("name", ["zstd", "gzip", "zlib", "bz2", "lzma"])
def test_a_bomb_is_not_unpacked(tmp_path, name):
    path = old_zarr(tmp_path, CODECS[name])
    (path / "2.0.0").write_bytes(CODECS[name].encode(bytes(64 * MEGABYTE)))
    stack = read_stack(path)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"would become|bytes make sense"):
        stack.plane(2)
    assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    tracemalloc.stop()
    assert (stack.plane(1) == PIXELS[1]).all()


@pytest.mark.parametrize("sharded", [False, True])
def test_a_zarr_of_format_3_is_bounded_too(tmp_path, sharded):
    path = tmp_path / "x.zarr"
    array = zarr.create_array(
        path,
        shape=PIXELS.shape,
        dtype="uint16",
        chunks=(1, 64, 64),
        shards=(2, 64, 64) if sharded else None,
    )
    array[:] = PIXELS
    assert (read_stack(path).plane(3) == PIXELS[3]).all()
    (path / "c/1/0/0").write_bytes(CODECS["zstd"].encode(bytes(64 * MEGABYTE)))
    with pytest.raises(InputError):
        read_stack(path).plane(2 if sharded else 1)


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_gathered_in_one_place_bounds_too(tmp_path, version):
    path = tmp_path / "x.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array(
        "a/b", shape=PIXELS.shape, dtype="uint16", chunks=(1, 64, 64), compressors="auto"
    )
    array[:] = PIXELS
    zarr.consolidate_metadata(path)
    place = path / "a" / "b" / ("1.0.0" if version == 2 else "c/1/0/0")
    place.write_bytes(CODECS["zstd"].encode(bytes(64 * MEGABYTE)))
    store = BoundedStore.of(path)
    node = zarr.open(store, mode="r")
    with pytest.raises(ValueError, match="would become"):
        node["a/b"][1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["1.0.0", ".zarray"])
def test_a_pipe_in_the_place_of_a_chunk_is_not_waited_for(tmp_path, name):
    path = old_zarr(tmp_path, CODECS["zstd"])
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(InputError):
        read_stack(path).plane(1)


@pytest.mark.parametrize("name", ["1.0.0", ".zarray"])
def test_a_file_that_is_much_too_long_is_not_read(tmp_path, name):
    path = old_zarr(tmp_path, None)
    with (path / name).open("r+b") as file:
        file.truncate(2**36)
    with pytest.raises(InputError):
        read_stack(path).plane(1)


def test_numbers_that_start_like_an_archive_are_numbers():
    for start in (b"\x1f\x8b", b"\x78\x9c", b"BZh", b"\xfd7zXZ"):
        check_unpacked(start + bytes(1000), 10)
    with pytest.raises(ValueError, match="would become"):
        check_unpacked(CODECS["gzip"].encode(bytes(SLACK + 1000)), 10)


@pytest.mark.parametrize(
    "change", [{"filters": [{"id": "pickle"}]}, {"filters": [{"id": "zlib", "level": 1}]}]
)
def test_codecs_that_run_code_or_pack_twice_are_refused(tmp_path, change):
    path = old_zarr(tmp_path, CODECS["zstd"])
    text = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps(text | change))
    with pytest.raises(InputError, match=r"is not opened: it|cannot be read as zarr"):
        read_stack(path)


def test_labels_are_looked_for_beside_the_image_only(tmp_path):
    secret = old_zarr(tmp_path, None)
    image = tmp_path / "image.zarr"
    group = zarr.open_group(image, mode="w")
    group.create_group("labels").attrs["labels"] = [f"../../{secret.name}", str(secret)]
    with pytest.raises(InputError) as caught:
        read_labels(image)
    assert "x.zarr" not in str(caught.value)
