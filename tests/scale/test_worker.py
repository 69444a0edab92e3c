"""What a worker checks before it computes; called as dask calls it, in this very process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_salt import __version__
from napari_salt.errors import JobFailed
from napari_salt.io.identity import closer_identity
from napari_salt.io.mask_store import ADAPTER, MadeOf, MaskStore
from napari_salt.io.read import read_stack
from napari_salt.model.weights import file_sha256
from napari_salt.scale import worker
from napari_salt.scale.crew import _failure
from napari_salt.scale.orders import Order, Ready, Refused
from tiny import LABELS


@pytest.fixture
def order(tiny_work, tmp_path):
    adapter = tiny_work / "a.salt.safetensors"
    stack = read_stack(tiny_work / "image.tif")
    made_of = MadeOf(file_sha256(adapter), closer_identity(stack), stack.info.shape, LABELS)
    store = MaskStore.begin(tmp_path / "store", made_of, stack.info)
    store.keep_adapter(adapter)
    image = str(tiny_work / "image.tif")
    return Order(
        __version__, str(store.path), image, closer_identity(stack), stack.info, None, "cpu"
    )


@pytest.fixture(autouse=True)
def fresh():
    worker._open_image.cache_clear()
    worker._open_adapter.cache_clear()


def test_a_good_worker_is_ready(order):
    ready = worker.looked_around(order)
    assert isinstance(ready, Ready)
    assert ready.sees_image


def test_another_image_at_the_same_path_is_not_taken_for_it(order, tiny_work):
    other = replace(order, image=str(tiny_work / "labels.tif"))
    assert not worker.looked_around(other).sees_image
    refused = worker.segment_chunk(other, (0,), None)
    assert isinstance(refused, Refused)
    assert "finds another one there" in refused.sentence


def test_another_version_is_refused_with_both(order):
    refused = worker.looked_around(replace(order, version="0.0.7"))
    assert f"has napari-salt {__version__}, and the job was started with 0.0.7" in refused.sentence


def test_a_disk_that_is_not_shared_is_refused(order):
    refused = worker.looked_around(replace(order, store="/nowhere/store"))
    assert "cannot see the folder '/nowhere/store'" in refused.sentence


def test_an_adapter_that_was_exchanged_is_refused_unread(order, tmp_path, monkeypatch):
    def never(path):
        raise AssertionError("it must not be opened")

    monkeypatch.setattr("napari_salt.model.adapter_file.load_adapter", never)
    path = tmp_path / "store" / ADAPTER
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused = worker.looked_around(order)
    assert "not the one that the job was started with" in refused.sentence


def test_a_chunk_that_was_lost_half_done_is_gone_on_with(order, tmp_path, monkeypatch):
    prepared = worker.prepare_stack(order, None)
    order = replace(order, conditions=prepared.conditions)
    real = worker._predictions

    def dies(*args):
        yield next(real(*args))
        raise MemoryError

    monkeypatch.setattr(worker, "_predictions", dies)
    with pytest.raises(MemoryError):
        worker.segment_chunk(order, (4, 5, 6), None)
    asked = []

    def counted(order, slices, sent, notes):
        asked.extend(slices)
        return real(order, slices, sent, notes)

    monkeypatch.setattr(worker, "_predictions", counted)
    done = worker.segment_chunk(order, (4, 5, 6), None)
    assert asked == [5, 6]
    assert [one.index for one in done.summaries] == [4, 5, 6]
    assert all(one.descriptor is None for one in done.summaries)
    assert MaskStore.open_store(tmp_path / "store").done() == {4, 5, 6}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Refused("On node7: no."), r"Slices 1 to 2\. On node7: no\."),
        (ModuleNotFoundError("No module named 'napari_salt'"), r"install there: pip install"),
        (ValueError("odd"), r"a worker failed \(ValueError: odd\)"),
    ],
)
def test_what_a_worker_says_becomes_a_sentence(answer, words):
    failure = _failure("Slices 1 to 2", answer)
    assert isinstance(failure, JobFailed)
    with pytest.raises(JobFailed, match=words):
        raise failure


def test_the_time_point_of_the_job_is_opened(order, tmp_path):
    path, series = tmp_path / "series.ome.tif", np.zeros((2, 3, 8, 8), np.uint8)
    series[1] = 9
    tifffile.imwrite(path, series, ome=True, photometric="minisblack", metadata={"axes": "TZYX"})
    at = (("T", 1),)
    wanted = closer_identity(read_stack(path, fixed=dict(at)))
    job = replace(order, image=str(path), identity=wanted)
    assert worker.looked_around(replace(job, at=at)).sees_image
    assert not worker.looked_around(job).sees_image
