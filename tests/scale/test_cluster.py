"""Real workers on this computer: the masks of one process bit for bit, whatever happens to the workers."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_salt.engine.engine import Engine
from napari_salt.engine.requests import SegmentRequest, SliceStored, StackPrepared
from napari_salt.engine.tasks import finish, predictions_of, run_task
from napari_salt.errors import InputError, JobFailed, MissingExtra
from napari_salt.io.identity import closer_identity
from napari_salt.io.mask_store import MadeOf, MaskStore
from napari_salt.io.read import read_stack
from napari_salt.model.weights import file_sha256
from napari_salt.records import SlicePrediction, StepReport
from napari_salt.scale import tasks
from napari_salt.scale.requests import ClusterSegmentRequest
from napari_salt.scale.settings import ClusterSettings
from napari_salt.session.stack import Stack
from tiny import LABELS

TWO = ClusterSettings(workers=2)


@dataclass
class Work:
    """The stack, and what one process makes of it."""

    folder: Path
    stack: Stack
    masks: np.ndarray
    uncertainty: np.ndarray
    conditions: object

    @property
    def adapter(self) -> Path:
        return self.folder / "a.salt.safetensors"

    def store(self, path: Path, stack: Stack | None = None) -> MaskStore:
        stack = stack or self.stack
        made_of = MadeOf(
            file_sha256(self.adapter),
            closer_identity(stack),
            stack.info.shape,
            LABELS,
            uncertainty=True,
        )
        store = MaskStore.begin(path, made_of, stack.info)
        store.keep_adapter(self.adapter)
        return store

    def request(self, store: MaskStore, slices, **options) -> ClusterSegmentRequest:
        options = {"image": str(self.folder / "image.tif"), "cluster": TWO} | options
        return ClusterSegmentRequest(
            self.adapter, tuple(slices), None, "cpu", store=store.path, **options
        )


@pytest.fixture(scope="module")
def work(tiny_work):
    stack = read_stack(tiny_work / "image.tif")
    request = SegmentRequest(tiny_work / "a.salt.safetensors", tuple(range(300)), None, "cpu")
    reports, _ = finish(run_task(request, stack))
    (prepared,) = (one for one in reports if isinstance(one, StackPrepared))
    found = sorted(predictions_of(reports), key=lambda one: one.index)
    masks = np.stack([one.labels for one in found])
    assert {0, 1, 2} == set(np.unique(masks)), "or nothing would be compared"
    doubts = np.stack([one.uncertainty for one in found])
    return Work(tiny_work, stack, masks, doubts, prepared.conditions)


def workers() -> list[psutil.Process]:
    """Processes that compute for us."""
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if "--multiprocessing-fork" in one.cmdline()
    ]


def assert_same(store: MaskStore, work: Work) -> None:
    """All slices are done, and their masks and uncertainty are those of one process bit for bit."""
    again = MaskStore.open_store(store.path)
    summaries = list(again.summaries())
    assert {one.index for one in summaries} == set(range(300))
    for summary in summaries:
        found = again.prediction(summary)
        assert np.array_equal(found.labels, work.masks[summary.index])
        assert np.array_equal(found.uncertainty, work.uncertainty[summary.index])


def test_a_worker_killed_in_the_middle_loses_nothing_and_masks_are_those_of_one_process(
    work, tmp_path
):
    store = work.store(tmp_path / "store")
    before = workers()
    stored, phases, killed, listening, early = 0, [], None, [], 0
    started = tasks.segment(work.request(store, range(300)), work.stack)
    for report in started:
        if isinstance(report, StepReport):
            phases.append((report.phase, report.step, report.total))
            if report.phase == "segmenting" and not stored:
                early = max(early, report.step)
        if isinstance(report, StackPrepared):
            assert report.conditions == work.conditions
        stored += isinstance(report, SliceStored)
        if stored and killed is None:
            ours = [one for one in workers() if one not in before]
            assert len(ours) == 2
            listening = [c for one in (*ours, psutil.Process()) for c in one.net_connections()]
            killed = ours[0]
            killed.kill()
    assert killed is not None
    assert early, "what is done of a chunk is told before all of it is"
    assert stored == 300
    assert ("segmenting", 300, 300) in phases
    assert_same(store, work)
    assert [one for one in workers() if one not in before] == [], "all processes have ended"
    open_to = {one.laddr.ip for one in listening if one.status == psutil.CONN_LISTEN}
    assert open_to <= {"127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A cluster that somebody else has started, which speaks with those who have certificates."""
    from distributed import LocalCluster, Security

    folder, security = tmp_path_factory.mktemp("tls"), Security.temporary()
    files = {}
    for name in ("ca", "cert", "key"):
        pem = security.tls_ca_file if name == "ca" else getattr(security, f"tls_client_{name}")
        files[f"tls_{name}"] = folder / f"{name}.pem"
        files[f"tls_{name}"].write_text(pem)
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        protocol="tls",
        host="127.0.0.1",
        security=security,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield ClusterSettings(cluster.scheduler_address, **files)


def test_a_stopped_job_is_gone_on_with_and_planes_are_sent_where_the_image_cannot_be_read(
    work, tmp_path, scheduler
):
    store = work.store(tmp_path / "store")
    first = work.request(store, range(300), image="/nowhere.tif", cluster=scheduler)
    running = tasks.segment(first, work.stack)
    for report in running:
        if isinstance(report, SliceStored):
            break
    running.close()
    done = MaskStore.open_store(store.path).done()
    assert 0 < len(done) < 300
    left = [index for index in range(300) if index not in done]
    request = work.request(store, left, image="", cluster=scheduler)
    _, result = finish(tasks.segment(request, work.stack))
    assert result.slices == len(left)
    assert_same(store, work)


def test_slices_beside_are_sent_too_where_they_decide(work, tmp_path, scheduler):
    noisy, slices = replace(work.conditions, noise=0.05), (40, 41, 120)
    alone, _ = finish(
        run_task(SegmentRequest(work.adapter, slices, None, "cpu", noisy), work.stack)
    )
    store = work.store(tmp_path / "store")
    sent = work.request(store, slices, image="", cluster=scheduler, conditions=noisy)
    finish(tasks.segment(sent, work.stack))
    there = MaskStore.open_store(store.path)
    found = {summary.index: there.prediction(summary) for summary in there.summaries()}
    assert set(found) == set(slices)
    for one in predictions_of(alone):
        assert np.array_equal(found[one.index].labels, one.labels)
        assert np.array_equal(found[one.index].uncertainty, one.uncertainty)


def test_the_windows_engine_asks_the_cluster_from_its_child(work, tmp_path, scheduler):
    """As the dock does: planes go from this process to the child, from there to a worker, and the masks back."""
    request = ClusterSegmentRequest(
        work.adapter,
        (120, 7),
        None,
        "cpu",
        store=tmp_path / "sessions" / ".segment-1",
        cluster=scheduler,
        show=True,
    )
    engine = Engine()
    try:
        reports, result = finish(engine.submit(request, work.stack))
        shown = {one.index: one for one in reports if isinstance(one, SlicePrediction)}
        assert engine.pid is not None
    finally:
        engine.close()
    assert result.slices == 2
    assert set(shown) == {120, 7}
    for index, one in shown.items():
        assert np.array_equal(one.labels, work.masks[index])
        assert np.array_equal(one.uncertainty, work.uncertainty[index])


def test_masks_that_are_to_be_shown_come_back_and_leave_nothing_behind(work, tmp_path, scheduler):
    request = ClusterSegmentRequest(
        work.adapter,
        (7, 3, 120),
        ("box",),
        "cpu",
        store=tmp_path / "sessions" / ".segment-1",
        cluster=scheduler,
        show=True,
    )
    reports, _ = finish(run_task(request, work.stack))
    shown = [one for one in reports if isinstance(one, SlicePrediction)]
    assert {one.index for one in shown} == {7, 3, 120}
    for one in shown:
        assert np.array_equal(one.labels, np.where(work.masks[one.index] == 2, 2, 0))
        assert np.array_equal(one.uncertainty, work.uncertainty[one.index])
        assert one.summary.descriptor is not None
    assert list((tmp_path / "sessions").iterdir()) == []


def test_a_scheduler_that_does_not_trust_us_is_a_sentence(work, tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr("napari_salt.scale.cluster.CONNECT_SECONDS", 2)
    plain = ClusterSettings(scheduler.address.replace("tls://", "tcp://"))
    with pytest.raises(JobFailed, match="check that it runs, the address, and the TLS files"):
        finish(
            tasks.segment(work.request(work.store(tmp_path / "s"), [0], cluster=plain), work.stack)
        )


def test_an_image_that_can_be_neither_opened_nor_sent_is_refused(work, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "MOST_SENT", 1000)
    store = work.store(tmp_path / "store")
    job = tasks._Job(work.request(store, range(3)), work.stack, store)
    with pytest.raises(InputError, match=r"cannot open the image '.*image.tif'.*too much to be"):
        tasks._decide_to_send(job)


def test_no_scheduler_is_a_sentence(work, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_salt.scale.cluster.CONNECT_SECONDS", 1)
    request = work.request(
        work.store(tmp_path / "store"), [0], cluster=ClusterSettings("tcp://127.0.0.1:9")
    )
    with pytest.raises(JobFailed, match=r"no answer from a scheduler at tcp://127\.0\.0\.1:9"):
        finish(tasks.segment(request, work.stack))


def test_without_distributed_the_extra_is_named(work, tmp_path, monkeypatch):
    real = importlib.import_module

    def missing(name: str, *args: object):
        if name == "distributed":
            raise ModuleNotFoundError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    request = work.request(work.store(tmp_path / "store"), [0])
    with pytest.raises(MissingExtra, match=r'pip install "napari-salt\[cluster\]"'):
        finish(tasks.segment(request, work.stack))
