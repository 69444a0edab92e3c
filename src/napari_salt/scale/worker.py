"""The worker's side: functions that dask runs in the workers' processes.

Adapter, backbone and image are opened once a process and kept. The adapter is read from the store as a safetensors file
whose hash is the one that the store was begun with; nothing in it is unpickled.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from napari_salt import __version__
from napari_salt.allocator import keep_freed_memory
from napari_salt.errors import NapariSaltError, WorkerError
from napari_salt.io.identity import closer_identity
from napari_salt.io.mask_store import ADAPTER, MaskStore
from napari_salt.io.read import read_stack
from napari_salt.scale.orders import ChunkDone, Order, Prepared, Ready, Refused, SentPlanes

if TYPE_CHECKING:
    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.records import Planes, SlicePrediction

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

TELL_SECONDS = 0.5
"""Between two words of what is done of a chunk."""

_one_at_a_time = threading.Lock()
"""A worker of several threads computes with all of them on one chunk instead of holding several networks' memory."""


def answers(task: Callable[Arguments, Answer]) -> Callable[Arguments, Answer | Refused]:
    """Turn our own errors into an answer that names the machine, since to try again elsewhere would not help."""

    @functools.wraps(task)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer | Refused:
        try:
            return task(*args, **kwargs)
        except NapariSaltError as error:
            return Refused(f"On {socket.gethostname()}: {error}")

    return run


async def look_around(order: Order) -> Ready | Refused:
    """`looked_around` beside the worker's own loop, which must go on answering the scheduler."""
    return await asyncio.to_thread(looked_around, order)


@answers
def looked_around(order: Order) -> Ready:
    """Whether this worker is of the right version, sees the store, and sees the image."""
    _adapter(order)
    release = version("torch").partition("+")[0]  # whichever GPU it was built for
    return Ready(release, sees_image=_stack(order) is not None)


@answers
def prepare_stack(order: Order, sent: SentPlanes | None) -> Prepared:
    """Choose how the stack is seen, once for all workers."""
    from napari_salt.model.predict import prepare

    notes: list[str] = []
    with _one_at_a_time:
        choosing = prepare(
            _planes(order, sent), _adapter(order), device=_device(order), tell=notes.append
        )
        return Prepared(_result(choosing), tuple(notes))


@answers
def segment_chunk(order: Order, chunk: Sequence[int], sent: SentPlanes | None) -> ChunkDone:
    """Segment the slices of ``chunk`` and put them into the store; what an earlier try has put there is kept."""
    writer = f"chunk-{chunk[0]}-"
    store = MaskStore.open_store(Path(order.store), writer)
    notes: list[str] = []
    telling = _Telling(order.topic)
    try:
        done = {one.index: one for one in store.summaries(writer) if one.index in chunk}
        left = [index for index in chunk if index not in done]
        with _one_at_a_time:
            for prediction in _predictions(order, left, sent, notes):
                store.put(prediction)
                done[prediction.index] = prediction.summary
                telling.add(prediction.index)
    finally:
        store.close()
    summaries = (done[index] for index in chunk)
    if not order.descriptors:
        summaries = (replace(one, descriptor=None) for one in summaries)
    return ChunkDone(tuple(summaries), tuple(notes))


class _Telling:
    """Tells the client what is done of a chunk; a client that has gone, or hears nothing, does no harm."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._untold: list[int] = []
        self._told = -TELL_SECONDS

    def add(self, index: int) -> None:
        """Slice ``index`` lies in the store."""
        self._untold.append(index)
        if not self._topic or time.monotonic() - self._told < TELL_SECONDS:
            return
        from distributed import get_worker

        get_worker().log_event(self._topic, self._untold)
        self._untold, self._told = [], time.monotonic()


def _predictions(
    order: Order, slices: Sequence[int], sent: SentPlanes | None, notes: list[str]
) -> Iterator[SlicePrediction]:
    from napari_salt.model.predict import predict

    keep_freed_memory()  # dask has told this process to give all of it back
    found = predict(
        _planes(order, sent),
        _adapter(order),
        slices,
        labels=order.labels,
        device=_device(order),
        tell=notes.append,
        conditions=order.conditions,
    )
    return (one for one in found if one is not None)


def _adapter(order: Order) -> AdapterFile:
    """The adapter of a job, whose version and store were checked."""
    if order.version != __version__:
        raise WorkerError(
            f"the worker has napari-salt {__version__}, and the job was started with {order.version}; install the "
            "same version everywhere."
        )
    if not MaskStore.is_store(Path(order.store)):
        raise WorkerError(
            f"the worker cannot see the folder '{order.store}'; put the result on a disk that all machines share."
        )
    store = MaskStore.open_store(Path(order.store))
    return _open_adapter(order.store, store.made_of.adapter)


@functools.lru_cache(maxsize=1)
def _open_adapter(store: str, sha256: str) -> AdapterFile:
    """The adapter of a store, once a process; from a private copy whose hash was checked."""
    from napari_salt.model.adapter_file import load_adapter

    with tempfile.TemporaryDirectory(prefix="napari-salt-") as folder:
        copy = Path(folder) / ADAPTER
        try:
            shutil.copyfile(Path(store) / ADAPTER, copy)
        except OSError as error:
            raise WorkerError(
                f"the adapter in '{store}' cannot be read ({error.strerror})."
            ) from error
        if hashlib.sha256(copy.read_bytes()).hexdigest() != sha256:
            raise WorkerError(
                f"the adapter in '{store}' is not the one that the job was started with; delete that folder and "
                "begin anew."
            )
        return load_adapter(copy)


def _planes(order: Order, sent: SentPlanes | None) -> Planes:
    if sent is not None:
        return sent
    stack = _stack(order)
    if stack is None:
        raise WorkerError(
            f"the worker cannot open the image '{order.image}', or finds another one there; put it on a disk that all "
            "machines share."
        )
    return stack


def _stack(order: Order) -> Planes | None:
    """The image of a job; None where it is not to be had here."""
    return _open_image(order.image, order.level, order.series, order.at, order.identity)


@functools.lru_cache(maxsize=1)
def _open_image(
    path: str, level: int, series: str | None, at: tuple[tuple[str, int], ...], wanted: str
) -> Planes | None:
    """The image at ``path`` where it is the one of that identity; looked for once a process."""
    if not path:
        return None
    try:
        stack = read_stack(path, level=level, series=series, fixed=dict(at))
        return stack if closer_identity(stack) == wanted else None
    except (NapariSaltError, OSError):
        return None


def _device(order: Order) -> str:
    """Workers of one machine take its GPUs in turn, by their number."""
    if order.device not in ("auto", "cuda"):
        return order.device
    from distributed import get_worker

    from napari_salt.model.device import gpu_count

    count, name = gpu_count(), get_worker().name
    return f"cuda:{name % count}" if count > 1 and isinstance(name, int) else order.device


def _result(task: Generator[Any, None, Answer]) -> Answer:
    while True:
        try:
            next(task)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
