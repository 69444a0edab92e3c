"""NRRD: what pynrrd, SimpleITK and 3D Slicer write lies where they say; what lies is refused."""

from __future__ import annotations

import gzip
import os
import random
import tracemalloc
from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import slicerio

from format_data import marked_volume, world_of
from fuzz_mutations import mutate
from napari_salt.errors import InputError, NapariSaltError
from napari_salt.io import raw_voxels
from napari_salt.io.read import read_stack

SLICER = Path(slicerio.__file__).parent / "data"
DIRECTIONS = np.array([[-1.6, 0.35, 0.1], [0.3, 1.1, 0.4], [0.2, -0.5, 2.8]])
"""Steps along columns, rows and slices."""
SPACES = {
    "left-posterior-superior": (-1, -1, 1),
    "LPS": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "RAS": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "scanner-xyz": (-1, -1, 1),
}
HEADER = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"


def save(path, data, **header):
    """``data`` has the axes of the file, the fastest first."""
    given = {"space": "left-posterior-superior", "space directions": DIRECTIONS}
    nrrd.write(str(path), data, given | {"space origin": np.array([30.0, -20, 12])} | header)
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("dtype", ["int16", ">u2", "float32", "uint8"])
def test_slices_are_the_third_axis_turned_and_never_flipped(tmp_path, name, encoding, dtype):
    volume = marked_volume((7, 6, 5), (4, 1, 3)).astype(dtype)
    stack = read_stack(save(tmp_path / name, volume, encoding=encoding))
    assert stack.info.shape == (5, 6, 7)
    for index in (4, 0, 3):
        np.testing.assert_array_equal(stack.plane(index), volume[:, :, index].T)
    assert stack.info.name == "a"
    assert stack.info.origin.path == str(tmp_path / name)
    np.testing.assert_allclose(
        stack.info.spacing, np.linalg.norm(DIRECTIONS, axis=1)[::-1], rtol=1e-6
    )
    assert stack.info.units == ("mm", "mm", "mm")


@pytest.mark.parametrize(("space", "to_ras"), SPACES.items())
def test_a_voxel_lies_where_its_space_says(tmp_path, space, to_ras):
    volume = marked_volume((7, 6, 5), (4, 1, 3))
    stack = read_stack(save(tmp_path / "a.nrrd", volume, space=space))
    there = (np.array([4, 1, 3]) @ DIRECTIONS + (30, -20, 12)) * to_ras
    np.testing.assert_allclose(world_of(stack.info.origin.affine, (3, 1, 4)), there)


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, -1, 0, 0, 0, -1, 1, 0, 0)])
def test_a_voxel_lies_where_simpleitk_says(tmp_path, direction):
    image = sitk.GetImageFromArray(marked_volume((5, 6, 7), (2, 1, 4)))
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(tmp_path / "s.nrrd"))
    stack = read_stack(tmp_path / "s.nrrd")
    assert stack.info.spacing == (3.0, 0.75, 0.5)
    assert stack.plane(2)[1, 4] == 100
    x, y, z = image.TransformIndexToPhysicalPoint((4, 1, 2))
    np.testing.assert_allclose(world_of(stack.info.origin.affine, (2, 1, 4)), (-x, -y, z))


def test_a_scan_that_3d_slicer_saved(tmp_path):
    stack = read_stack(SLICER / "CTChest4.nrrd")
    image = sitk.ReadImage(str(SLICER / "CTChest4.nrrd"))
    np.testing.assert_array_equal(stack.plane(20), sitk.GetArrayFromImage(image)[20])
    x, y, z = image.TransformIndexToPhysicalPoint((100, 30, 20))
    np.testing.assert_allclose(world_of(stack.info.origin.affine, (20, 30, 100)), (-x, -y, z))


def test_other_axes_than_those_in_space(tmp_path):
    none = np.full(3, np.nan)
    color = np.random.default_rng(0).integers(0, 255, (3, 5, 4, 2)).astype(np.uint8)
    kinds = ["RGB-color", "domain", "domain", "domain"]
    steps = np.vstack([none, DIRECTIONS])
    path = save(tmp_path / "c.nrrd", color, kinds=kinds, **{"space directions": steps})
    stack = read_stack(path)
    assert stack.info.rgb
    np.testing.assert_array_equal(stack.plane(1), color[..., 1].transpose(2, 1, 0))
    movie = np.arange(5 * 4 * 2 * 3, dtype=np.int16).reshape(5, 4, 2, 3)
    kinds = ["domain", "domain", "domain", "time"]
    steps = np.vstack([DIRECTIONS, none])
    path = save(tmp_path / "t.nrrd", movie, kinds=kinds, **{"space directions": steps})
    np.testing.assert_array_equal(read_stack(path, fixed={"T": 2}).plane(1), movie[:, :, 1, 2].T)
    weighted = np.arange(6 * 5 * 4 * 2, dtype=np.int16).reshape(6, 5, 4, 2)
    kinds = ["list", "domain", "domain", "domain"]
    steps = np.vstack([none, DIRECTIONS])
    path = save(tmp_path / "d.nrrd", weighted, kinds=kinds, **{"space directions": steps})
    np.testing.assert_array_equal(read_stack(path, fixed={"C": 4}).plane(1), weighted[4, :, :, 1].T)


def test_without_a_place_there_are_sizes_and_planes(tmp_path):
    plane = np.arange(12, dtype=np.uint8).reshape(4, 3)
    nrrd.write(str(tmp_path / "p.nrrd"), plane, {"spacings": [0.5, 2.0], "units": ["um", "um"]})
    info = read_stack(tmp_path / "p.nrrd").info
    assert (info.shape, info.spacing[1:], info.units[1:]) == ((1, 3, 4), (2.0, 0.5), ("um", "um"))
    assert info.origin.affine is None


def test_voxels_that_are_packed_are_unpacked_once_and_large_ones_to_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_voxels, "IN_MEMORY", 100)
    volume = marked_volume((7, 6, 5), (4, 1, 3))
    stack = read_stack(save(tmp_path / "a.nrrd", volume, encoding="gzip"))
    parts = []
    kept = raw_voxels._parts
    monkeypatch.setattr(raw_voxels, "_parts", lambda *a: parts.append(1) or kept(*a))
    for index in (4, 0, 3):
        np.testing.assert_array_equal(stack.plane(index), volume[:, :, index].T)
    assert len(parts) == 1


# ---- what a header claims


def refusal(path):
    """What opening a file, or its first slice, is refused by; it must not take memory."""
    tracemalloc.start()
    try:
        with pytest.raises(NapariSaltError) as caught:
            read_stack(path).plane(0)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"sizes: 4 3 2\nsizes: 4 3 2", "Duplicate"),
        (b"sizes: 4 3", "3 axes"),
        (b"sizes: 4 3 0", "no voxels"),
        (b"sizes: 4 3 -2", "no voxels"),
        (b"sizes: 4 3 1e300", "no voxels"),
        (b"sizes: 4 3 nan", "no voxels"),
        (b"sizes: 4 3 x", "cannot be read as NRRD"),
        (b"sizes: 100000 100000 100000", "cut short"),
        (b"sizes: 4 3 3", "cut short"),
        (b"sizes: 4 3 2\nbyte skip: 1", "cut short"),
        (b"sizes: 4 3 2\nbyte skip: -2", "skips"),
        (b"sizes: 4 3 2\nline skip: 1", "skips"),
        (b"sizes: 4 3 2\ndata file: LIST", "files of their own"),
        (b"sizes: 4 3 2\ndata file: a%03d.raw 1 2 1", "files of their own"),
        (b"sizes: 4 3 2\ndata file: ../a.raw", "only a file in its own folder"),
        (b"sizes: 4 3 2\ndata file: /etc/passwd", "only a file in its own folder"),
        (b"sizes: 4 3 2\ndata file: C:\\a.raw", "only a file in its own folder"),
        (b"sizes: 4 3 2\ndata file: none.raw", "not beside it"),
        (b"sizes: 4 3 2\ndata file: .", "only a file in its own folder"),
        (b"sizes: 4 3 2\nkinds: list list list", "no slices can be made"),
    ],
)
def test_sizes_and_places_that_lie_are_refused(tmp_path, line, words):
    header = HEADER.replace(b"sizes: 4 3 2", line)
    (tmp_path / "a.nrrd").write_bytes(header + b"\n" + bytes(24))
    assert words in refusal(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"raw", b"ascii", "written as ascii"),
        (b"raw", b"hex", "written as hex"),
        (b"raw", b"zrl", "written as zrl"),
        (b"uint8", b"block", "type “block”"),
        (b"uint8", b"int16", "order of its bytes"),
        (b"NRRD0004", b"NRRD0009", "version"),
        (b"NRRD0004", b"JUNK", "cannot be read as NRRD"),
        (b"dimension: 3", b"dimension: 1", "1 axes"),
        (b"dimension: 3\n", b"", "no field 'dimension'"),
    ],
)
def test_what_is_not_read_is_said(tmp_path, old, new, words):
    (tmp_path / "a.nrrd").write_bytes(HEADER.replace(old, new) + b"\n" + bytes(48))
    assert words in refusal(tmp_path / "a.nrrd")


def test_a_few_packed_bytes_do_not_fill_memory_or_disk(tmp_path):
    header = HEADER.replace(b"raw", b"gzip")
    bomb = gzip.compress(bytes(2**22))
    claims = header.replace(b"4 3 2", b"40000 30000 2000")
    (tmp_path / "a.nrrd").write_bytes(claims + b"\n" + bomb)
    assert "more voxels than there are" in refusal(tmp_path / "a.nrrd")
    (tmp_path / "b.nrrd").write_bytes(header + b"\n" + bomb)
    tracemalloc.start()
    assert read_stack(tmp_path / "b.nrrd").plane(1).shape == (3, 4)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    (tmp_path / "c.nrrd").write_bytes(header + b"\n" + gzip.compress(bytes(23)))
    assert "ends before its last voxel" in refusal(tmp_path / "c.nrrd")


def test_a_header_without_end_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "a.nrrd").open("wb") as file:
        file.write(HEADER + b"x: y\n" * 10)
        file.seek(2**33)
        file.write(b"\n\n")
    assert "its header has no end" in refusal(tmp_path / "a.nrrd")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_place_of_voxels_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.raw")
    (tmp_path / "a.nhdr").write_bytes(HEADER + b"data file: a.raw\n\n")
    assert "not beside it" in refusal(tmp_path / "a.nhdr")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_damaged_files_open_or_are_refused(tmp_path, encoding):
    whole = save(tmp_path / "a.nrrd", marked_volume((7, 6, 5), (4, 1, 3)), encoding=encoding)
    content = whole.read_bytes()
    for dice in range(300):
        whole.write_bytes(mutate(content, random.Random(dice)))
        try:
            read_stack(whole).plane(0)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either ending will do
