"""Segmenting a coarse level of a pyramid and writing it on the grid of the finest."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_salt.cli import main
from napari_salt.io.read import read_labels, read_stack


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory, tiny_work):
    """Six slices: level 1 is the tiny stack, level 0 has an odd number of rows and columns."""
    coarse = np.asarray(tifffile.imread(tiny_work / "image.tif"))[:6]
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :-1, :-1]
    path = tmp_path_factory.mktemp("levels") / "cells.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    datasets = []
    for name, data, size in (("0", fine, 0.5), ("1", coarse, 1.0)):
        group.create_array(name, data=data)
        scale = {"type": "scale", "scale": [2.0, size, size]}
        datasets.append({"path": name, "coordinateTransformations": [scale]})
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def segment(capsys, pyramid, tiny_work, out, *more):
    """What ``segment --json`` says of level 1."""
    words = [pyramid, tiny_work / "a.salt.safetensors", "--out", out, "--json", *more]
    assert main(["segment", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def at_its_level(capsys, pyramid, tiny_work, tmp_path):
    """Masks of level 1 on their own grid."""
    told = segment(capsys, pyramid, tiny_work, tmp_path / "coarse.tif", "--level", 1)
    assert told["shape"] == [6, 24, 24]
    return read_labels(tmp_path / "coarse.tif").labels


@pytest.mark.parametrize("name", ["fine.tif", "fine.nii.gz", "fine.ome.zarr", ""])
def test_masks_of_a_level_at_full_resolution(
    capsys, pyramid, tiny_work, tmp_path, at_its_level, name
):
    out = tmp_path / name if name else pyramid
    doubts = tmp_path / "unsure.tif"
    more = ("--level", 1, "--full-resolution", "--uncertainty", doubts)
    told = segment(capsys, pyramid, tiny_work, out, *more)
    assert (told["shape"], told["level"]) == ([6, 47, 47], 1)
    written, finest = read_labels(out), read_stack(pyramid).info
    assert (written.shape, written.spacing) == (finest.shape, finest.spacing)
    assert set(written.units) == {"mm"}
    enlarged = at_its_level.repeat(2, axis=1).repeat(2, axis=2)[:, :-1, :-1]
    assert enlarged.any()
    np.testing.assert_array_equal(written.labels, enlarged)
    assert read_stack(doubts).info.shape == finest.shape


def test_without_a_coarser_level_there_is_nothing_to_enlarge(capsys, pyramid, tmp_path):
    words = ["segment", pyramid, "a.salt.safetensors", "--out", tmp_path / "m.tif"]
    assert main([*map(str, words), "--full-resolution"]) == 2
    assert "give --level 1 or more" in capsys.readouterr().err
