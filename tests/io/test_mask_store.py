"""Unfinished masks survive whatever ends their writers, and go together only with masks of the same make."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import zarr

from napari_salt.errors import InputError, OutputError
from napari_salt.io import done_log, mask_store
from napari_salt.io.done_log import DoneLog
from napari_salt.io.mask_store import DONE, MADE_OF, MadeOf, MaskStore, claimed
from napari_salt.records import Label, SlicePrediction, SliceSummary, StackInfo

SHAPE = (6, 10, 12)
LABELS = (Label(1, "cell", (1.0, 0.0, 0.0, 1.0)), Label(300, "axon", (0.0, 0.5, 1.0, 0.5)))
MADE = MadeOf("a" * 64, "image", SHAPE, LABELS, uncertainty=True)
INFO = StackInfo(SHAPE, spacing=(2.0, 0.5, 0.25), units=("mm", "mm", "mm"), name="t1")


def prediction(index: int, shape: tuple[int, ...] = SHAPE) -> SlicePrediction:
    random = np.random.default_rng(index)
    labels = random.choice(np.array([0, 1, 300], np.uint16), shape[1:])
    doubts = random.random(shape[1:]).astype(np.float16)
    summary = SliceSummary(
        index,
        float(doubts.mean()),
        {1: int((labels == 1).sum()), 300: int((labels == 300).sum())},
        {1: 0.1 + index / 7, 300: 0.25},
        random.random(8, np.float32),
    )
    return SlicePrediction(index, labels, doubts, summary)


def assert_kept(store: MaskStore, index: int) -> None:
    (summary,) = (one for one in store.summaries() if one.index == index)
    found, wanted = store.prediction(summary), prediction(index)
    assert np.array_equal(found.labels, wanted.labels)
    assert np.array_equal(found.uncertainty, wanted.uncertainty)
    assert found.summary.areas == wanted.summary.areas
    assert found.summary.label_uncertainty == wanted.summary.label_uncertainty
    assert found.summary.uncertainty == wanted.summary.uncertainty
    assert np.array_equal(found.summary.descriptor, wanted.summary.descriptor)


@pytest.fixture
def store(tmp_path) -> MaskStore:
    return MaskStore.begin(tmp_path / "store", MADE, INFO)


def test_slices_come_back_in_any_order_and_the_rest_is_0(store):
    for index in (4, 1):
        store.put(prediction(index))
    again = MaskStore.open_store(store.path)
    assert again.made_of == MADE
    assert again.done() == {1, 4}
    for index in (1, 4):
        assert_kept(again, index)
    masks = again.masks({4, 5})
    assert masks.dtype == np.uint16
    assert np.array_equal(masks[4], prediction(4).labels)
    assert not masks[1].any(), "a slice that nobody asked for"
    assert not masks[5].any()


def test_ids_take_the_smallest_type(tmp_path):
    made = replace(MADE, labels=(Label(255, "last"),), uncertainty=False)
    store = MaskStore.begin(tmp_path / "small", made, INFO)
    assert store.masks(()).dtype == np.uint8


def test_large_slices_lie_in_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(mask_store, "WHOLE_SLICE", 50)
    monkeypatch.setattr(mask_store, "TILE", 5)
    store = MaskStore.begin(tmp_path / "tiles", MADE, INFO)
    store.put(prediction(2))
    assert zarr.open_array(store.path / "0", mode="r").chunks == (1, 5, 5)
    assert_kept(MaskStore.open_store(store.path), 2)


def test_it_is_an_ome_zarr_label_image_for_an_independent_reader(store):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    store.put(prediction(3))
    (node,) = Reader(parse_url(store.path))()
    assert np.array_equal(node.data[0][3].compute(), prediction(3).labels)
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["millimeter"] * 3
    assert node.metadata["coordinateTransformations"][0][0]["scale"] == [2.0, 0.5, 0.25]
    assert node.metadata["properties"] == {1: {"name": "cell"}, 300: {"name": "axon"}}
    assert node.metadata["color"][1] == [1.0, 0.0, 0.0, 1.0]


class PowerCut(BaseException):
    """Ends a write wherever it is."""


def test_a_crash_between_any_two_steps_never_makes_a_slice_done_that_is_not_whole(
    tmp_path, monkeypatch
):
    """Each wait for the disk is a step; the run ends before the first, the second, … of them."""
    steps = 0
    sync, left = os.fsync, [10**9]

    def cut(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut
        sync(handle)

    monkeypatch.setattr(done_log.os, "fsync", cut)
    while True:
        path = tmp_path / f"cut-{steps}"
        left[0] = 10**9
        store = MaskStore.begin(path, MADE, INFO)
        store.put(prediction(0))
        left[0] = steps
        try:
            store.put(prediction(3))
            whole = True
        except PowerCut:
            whole = False
        left[0] = 10**9
        again = MaskStore.open_store(path)
        assert 0 in again.done()
        assert_kept(again, 0)
        if 3 in again.done():
            assert_kept(again, 3)
        else:
            assert not whole
            again.put(prediction(3))
            assert_kept(MaskStore.open_store(path), 3)
        if whole:
            break
        steps += 1
    assert steps == 5, "chunk and its folder, twice, and the log; each wait takes milliseconds"


def test_chunks_in_folders_of_their_own_are_waited_for_with_their_folders(tmp_path, monkeypatch):
    """As stores of before were laid out."""
    monkeypatch.setattr(mask_store, "ONE_FOLDER", {"name": "default", "separator": "/"})
    MaskStore.begin(tmp_path / "store", MADE, INFO).close()
    store, waited = MaskStore.open_store(tmp_path / "store"), []
    monkeypatch.setattr(mask_store, "reach_disk", waited.append)
    store.put(prediction(3))
    root = store.path / "0"
    assert waited[:5] == [
        root / "c/3/0/0",
        root / "c/3/0",
        root / "c/3",
        root / "c",
        root,
    ]
    assert_kept(MaskStore.open_store(store.path), 3)


@pytest.mark.parametrize("ending", ["replaced", "replaced from behind", "removed"])
def test_a_crash_while_a_store_goes_leaves_all_of_it_or_none(tmp_path, store, monkeypatch, ending):
    """Files and folders go one by one, in whatever order; the run ends before the first, the second, … of them."""
    for index in (0, 3):
        store.put(prediction(index))
    store.close()
    left, listed = [10**9], Path.iterdir
    behind = ending == "replaced from behind"
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(listed(path), reverse=behind)))

    def cut_before(remove):
        def cut(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut
            remove(*args, **options)

        return cut

    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(os, name, cut_before(getattr(os, name)))
    for steps in range(1000):
        path = tmp_path / f"cut-{steps}"
        shutil.copytree(store.path, path)
        going = MaskStore.open_store(path)
        left[0] = steps
        try:
            if ending == "removed":
                going.remove()
            else:
                MaskStore.begin(path, replace(MADE, adapter="b" * 64), INFO)
            break
        except PowerCut:
            left[0] = 10**9
        if MaskStore.is_store(path):
            again = MaskStore.open_store(path)
            assert again.done() == ({0, 3} if again.made_of == MADE else set())
            for index in again.done():
                assert_kept(again, index)
    assert steps >= 10, "two chunks, twice, with their folders, and the log"
    assert MaskStore.is_store(path) == (ending != "removed")


def test_a_slice_is_not_done_before_its_pixels_are_on_the_disk(store, monkeypatch):
    monkeypatch.setattr(store, "_reach_disk", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OutputError, match="disk is full"):
        store.put(prediction(2))
    assert MaskStore.open_store(store.path).done() == frozenset()


def test_a_log_that_the_disk_refuses_is_closed_all_the_same(store, monkeypatch):
    store.put(prediction(1))
    monkeypatch.setattr("napari_salt.io.done_log.os.fsync", refused := Mock())
    refused.side_effect = OSError(errno.EFBIG, "File too large")
    with pytest.raises(OutputError, match="allow larger files"):
        store.put(prediction(2))
    full = Mock()
    full.close.side_effect = OSError(errno.ENOSPC, "No space left on device")
    store._log._file.close()
    store._log._file = full
    store.close()
    full.close.assert_called_once()


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_cut_short_counts_as_never_written(store, cut):
    store.put(prediction(1))
    store.put(prediction(2))
    (log,) = (store.path / DONE).iterdir()
    log.write_bytes(log.read_bytes()[:-cut])
    assert MaskStore.open_store(store.path).done() == {1}


def test_a_line_of_zeros_or_of_another_slice_counts_as_never_written(store):
    store.put(prediction(1))
    (log,) = (store.path / DONE).iterdir()
    line = log.read_bytes()
    log.write_bytes(line + bytes(40) + b"\n" + line.replace(b'"index":1', b'"index":2'))
    assert MaskStore.open_store(store.path).done() == {1}


def test_two_writers_at_once(store):
    other = MaskStore.open_store(store.path, "chunk-2-")
    for index in (0, 1):
        store.put(prediction(index))
        other.put(prediction(index + 1))
    assert [one.index for one in MaskStore.open_store(store.path).summaries("chunk-2-")] == [1, 2]
    again = MaskStore.open_store(store.path)
    assert sorted(one.index for one in again.summaries()) == [0, 1, 2]
    for index in range(3):
        assert_kept(again, index)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"adapter": "b" * 64}, "with another adapter"),
        ({"image": "other"}, "of another image"),
        ({"shape": (7, 10, 12)}, "of another image"),
        ({"labels": LABELS[:1]}, r"for other labels \(cell, axon\)"),
        ({"version": "9.9"}, "and this is 9.9"),
    ],
)
def test_masks_of_another_make_are_refused(store, change, words):
    with pytest.raises(InputError, match=f"were made {words}|{words}"):
        store.check(replace(MADE, **change))


def test_uncertainty_that_was_not_kept_cannot_be_had_but_may_be_left_out(tmp_path, store):
    store.check(replace(MADE, uncertainty=False))
    without = MaskStore.begin(tmp_path / "without", replace(MADE, uncertainty=False), INFO)
    with pytest.raises(InputError, match="made without uncertainty"):
        without.check(MADE)


def test_a_folder_that_was_never_finished_being_made_is_no_store(store):
    store.put(prediction(1))
    (store.path / MADE_OF).unlink()
    assert not MaskStore.is_store(store.path)
    again = MaskStore.begin(store.path, MADE, INFO)
    assert again.done() == frozenset()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"shape": 3}', json.dumps({"adapter": 1, "image": []})]
)
def test_a_damaged_store_is_a_sentence(store, text):
    (store.path / MADE_OF).write_text(text)
    with pytest.raises(InputError, match="damaged; delete that folder"):
        MaskStore.open_store(store.path)


def test_an_array_of_another_shape_is_a_sentence(store):
    text = (store.path / MADE_OF).read_text()
    (store.path / MADE_OF).write_text(text.replace("[6, 10, 12]", "[6, 10, 13]"))
    with pytest.raises(InputError, match="damaged; delete that folder"):
        MaskStore.open_store(store.path)


def test_a_second_run_waits_its_turn(tmp_path):
    with (
        claimed(tmp_path / "x"),
        pytest.raises(InputError, match="Another run is writing"),
        claimed(tmp_path / "x"),
    ):
        pass
    with claimed(tmp_path / "x"):
        pass


def test_a_log_line_is_what_it_says(tmp_path):
    log = DoneLog(tmp_path, "w")
    plain = SliceSummary(7, 0.1 + 0.2)
    log.add(plain)
    log.close()
    (found,) = DoneLog(Path(tmp_path)).summaries()
    assert (found.index, found.uncertainty, found.areas, found.descriptor) == (
        7,
        0.1 + 0.2,
        {},
        None,
    )
    assert not found.blank


@pytest.mark.parametrize("blank", [True, False])
def test_a_log_line_says_whether_the_slice_is_blank(tmp_path, blank):
    log = DoneLog(tmp_path, "w")
    log.add(SliceSummary(7, 0.1, blank=blank))
    log.close()
    (found,) = DoneLog(Path(tmp_path)).summaries()
    assert found.blank is blank
