"""The task that segments on a cluster, a generator as in `engine.tasks`: run inline or in the engine's child."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_salt import __version__, wording
from napari_salt.engine.requests import Report, SegmentResult, SliceStored, StackPrepared
from napari_salt.errors import InputError, JobFailed
from napari_salt.io.identity import closer_identity
from napari_salt.io.mask_store import MadeOf, MaskStore
from napari_salt.model.adapter_info import read_info
from napari_salt.model.weights import file_sha256
from napari_salt.records import StepReport
from napari_salt.scale.chunks import MOST_SENT, chunks_of, sent_with
from napari_salt.scale.cluster import open_client
from napari_salt.scale.crew import Crew
from napari_salt.scale.orders import ChunkDone, Order, Prepared, SentPlanes, UnderWay
from napari_salt.scale.worker import prepare_stack, segment_chunk

if TYPE_CHECKING:
    from napari_salt.records import Planes, SliceSummary
    from napari_salt.scale.requests import ClusterSegmentRequest

Reports = Generator[Report | None, None, Any]
ON_THE_WAY = 2
"""Chunks that a worker has or waits for: so it never idles, and little is asked for in vain when the job is stopped."""


def segment(
    request: ClusterSegmentRequest, planes: Planes
) -> Generator[Report | None, None, SegmentResult]:
    """Have the workers segment the slices, and tell what they have done.

    Raises
    ------
    InputError
        The settings of the cluster mean nothing, or the image can be neither opened by the workers nor sent.
    JobFailed
        No scheduler, workers of another version or without the store's disk, or workers that end again and again.
    """
    started = time.monotonic()
    starting = "Starting workers" if request.cluster.workers else "Connecting to the cluster"
    yield StepReport("loading", 0, len(request.slices), message=starting)
    request.cluster.check()
    with (
        _store(request, planes) as store,
        open_client(request.cluster) as client,
        Crew(client) as crew,
    ):
        job = _Job(request, planes, store, crew.topic)
        yield from _wait_for_workers(job, crew)
        yield from _look_around(job, crew)
        yield from _prepare(job, crew)
        yield from _segment(job, crew)
    return SegmentResult(len(request.slices), time.monotonic() - started)


@contextmanager
def _store(request: ClusterSegmentRequest, planes: Planes) -> Iterator[MaskStore]:
    """The store that the workers fill: the one that was begun, or one for this job only."""
    if not request.show:
        yield MaskStore.open_store(request.store)
        return
    labels = tuple(
        label
        for label in read_info(request.adapter).labels
        if request.labels is None or label.name in request.labels
    )
    made_of = MadeOf(
        file_sha256(request.adapter),
        closer_identity(planes),
        planes.info.shape,
        labels,
        uncertainty=True,
    )
    request.store.parent.mkdir(parents=True, exist_ok=True)
    store = MaskStore.begin(request.store, made_of, planes.info)
    try:
        store.keep_adapter(request.adapter)
        yield store
    finally:
        store.remove()


@dataclass(eq=False)
class _Job:
    """A running job.

    ``topic`` is the crew's, ``sending`` says that planes go with the tasks, as the workers cannot read the image, and
    ``done`` are the slices that lie in the store, of chunks under way as well.
    """

    request: ClusterSegmentRequest
    planes: Planes
    store: MaskStore
    topic: str = ""
    sending: bool = False
    started: float = field(default_factory=time.monotonic)
    done: set[int] = field(default_factory=set)
    order: Order = field(init=False)

    def __post_init__(self) -> None:
        request, made_of = self.request, self.store.made_of
        self.order = Order(
            __version__,
            str(request.store.resolve()),
            request.image,
            made_of.image,
            self.planes.info,
            request.labels,
            request.device,
            request.conditions,
            descriptors=request.show,
            level=request.level,
            series=request.series,
            at=request.at,
            topic=self.topic,
        )

    def loading(self, message: str) -> StepReport:
        return StepReport("loading", 0, len(self.request.slices), message=message)

    def segmenting(self, message: str = "") -> StepReport:
        done, total = len(self.done), len(self.request.slices)
        seconds = time.monotonic() - self.started
        left = seconds / done * (total - done) if done else None
        return StepReport("segmenting", done, total, seconds_left=left, message=message)

    def sent(self, slices: Sequence[int]) -> SentPlanes | None:
        return sent_with(self.planes, slices) if self.sending else None

    def report(self, summary: SliceSummary) -> Report:
        return self.store.prediction(summary) if self.request.show else SliceStored(summary)


def _wait_for_workers(job: _Job, crew: Crew) -> Reports:
    """A batch system may take its time; Stop ends the wait."""
    while not crew.size():
        yield job.loading("Waiting for workers")
        time.sleep(0.5)


def _look_around(job: _Job, crew: Crew) -> Reports:
    """Ask every worker that is there now; those that come later are checked by their first task."""
    yield job.loading("Loading the network on the workers")
    ready = crew.look_around(job.order)
    releases = sorted({one.torch for one in ready})
    if len(releases) > 1:
        raise JobFailed(
            f"The workers have different versions of PyTorch ({', '.join(releases)}), which would not make the same "
            "masks; install the same version everywhere."
        )
    if not all(one.sees_image for one in ready):
        _decide_to_send(job)


def _decide_to_send(job: _Job) -> None:
    info = job.planes.info
    size = sent_with(job.planes, [0]).planes[0].nbytes * info.shape[0]
    if size > MOST_SENT:
        where = f"the image '{job.order.image}'" if job.order.image else "this image"
        raise InputError(
            f"The workers cannot open {where}, and {wording.size(size)} are too much to be sent "
            f"(at most {wording.size(MOST_SENT)}); put it on a disk that all machines share."
        )
    job.sending = True
    job.order = replace(job.order, image="")


def _prepare(job: _Job, crew: Crew) -> Reports:
    """Choose how the stack is seen, on one worker for all of them."""
    if job.order.conditions is not None:
        return
    sent = None
    if job.sending:
        from napari_salt.model.predict import slices_to_prepare

        count, volume = job.planes.info.shape[0], read_info(job.request.adapter).volume
        sent = job.sent(slices_to_prepare(count, volume=volume))
    crew.ask(prepare_stack, job.order, sent, what="Preparing the stack")
    prepared = None
    while prepared is None:
        yield job.loading("Loading the network on the workers")
        answer = crew.answer()
        if isinstance(answer, Prepared):
            prepared = answer
    for note in prepared.notes:
        yield job.segmenting(note)
    job.order = replace(job.order, conditions=prepared.conditions)
    yield StackPrepared(prepared.conditions)


def _sent_for(job: _Job, chunk: Sequence[int]) -> SentPlanes | None:
    """The planes that a worker needs for a chunk, where they are sent."""
    if not job.sending:
        return None
    from napari_salt.model.predict import slices_to_read

    assert job.order.conditions is not None  # chosen before any chunk goes out
    return job.sent(slices_to_read(chunk, job.planes.info.shape[0], job.order.conditions))


def _segment(job: _Job, crew: Crew) -> Reports:
    """Keep every worker busy until all chunks are done."""
    plane_bytes = job.planes.plane(0).nbytes if job.sending else 0
    assert job.order.conditions is not None  # chosen before
    together = job.order.conditions.noise > 0 or job.order.conditions.volume
    waiting = chunks_of(job.request.slices, crew.size(), plane_bytes, together=together)
    waiting.reverse()
    job.started = time.monotonic()
    while waiting or crew.busy:
        while waiting and crew.busy < ON_THE_WAY * max(1, crew.size()):
            chunk = waiting.pop()
            what = f"Slices {chunk[0]} to {chunk[-1]}"
            crew.ask(segment_chunk, job.order, chunk, _sent_for(job, chunk), what=what)
        answer = crew.answer()
        if isinstance(answer, UnderWay):
            job.done.update(answer.slices)
        if not isinstance(answer, ChunkDone):
            yield job.segmenting()
            continue
        for note in answer.notes:
            yield job.segmenting(note)
        for summary in answer.summaries:
            job.done.add(summary.index)
            yield job.report(summary)
        yield job.segmenting()
