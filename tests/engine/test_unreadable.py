"""Adapt and Segment on a stack of which slices cannot be read, on a tiny network."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_salt.engine.requests import AdaptRequest, SegmentRequest
from napari_salt.engine.tasks import finish, predictions_of, run_task
from napari_salt.errors import UnreadableSlice
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings
from napari_salt.session.stack import Stack
from tiny import LABELS, shapes, write_checkpoint

COUNT = 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.pth")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SALT_CACHE", str(tmp_path / "cache"))


def torn(image, *gone):
    """The stack as dask reads it from a folder where files are missing."""

    def load(block, block_info=None):
        index = block_info[0]["array-location"][0][0]
        if index in gone:
            raise FileNotFoundError(f"z{index}.tif")
        return block

    lazy = da.from_array(image, chunks=(1, *image.shape[1:]))
    return Stack(lazy.map_blocks(load, dtype=image.dtype, meta=image[:0]))


def adapt(stack, labels, checkpoint, out, *, slices=(2, 7), preview=None):
    painted = tuple(
        AnnotatedSlice(
            index, np.where(labels[index] > 0, labels[index], BACKGROUND).astype(np.uint16), True
        )
        for index in slices
    )
    settings = FitSettings(kind="none", backbone=str(checkpoint), steps=0, device="cpu")
    return finish(run_task(AdaptRequest(painted, LABELS, settings, out, preview=preview), stack))


def test_a_slice_that_nobody_painted_may_be_gone(checkpoint, tmp_path):
    image, labels = shapes(COUNT)
    out = tmp_path / "a.salt.safetensors"
    reports, result = adapt(torn(image, 3, 8, 11), labels, checkpoint, out, preview=8)
    assert out.is_file()
    assert result.left_out == (3, 8, 11)
    assert not list(predictions_of(reports)), "there is nothing to show of slice 8"


def test_painted_slices_must_be_there(checkpoint, tmp_path):
    image, labels = shapes(COUNT)
    with pytest.raises(UnreadableSlice, match="Slice 7 of the image could not be read"):
        adapt(torn(image, 7), labels, checkpoint, tmp_path / "a.salt.safetensors")


def test_all_others_are_segmented_where_that_is_wanted(checkpoint, tmp_path):
    image, labels = shapes(COUNT)
    out, stack = tmp_path / "a.salt.safetensors", torn(image, 3, 8)
    adapt(stack, labels, checkpoint, out)
    every = tuple(range(COUNT))
    reports, result = finish(
        run_task(SegmentRequest(out, every, device="cpu", leave_out=True), stack)
    )
    assert [one.index for one in predictions_of(reports)] == [
        index for index in every if index not in (3, 8)
    ]
    assert (result.slices, result.left_out) == (COUNT - 2, (3, 8))
    with pytest.raises(UnreadableSlice, match="Slice 3 of"):
        finish(run_task(SegmentRequest(out, every, device="cpu"), stack))
    reports, result = finish(run_task(SegmentRequest(out, (2, 4), device="cpu"), stack))
    assert (result.slices, result.left_out) == (2, ()), "nobody has asked for slice 3"
