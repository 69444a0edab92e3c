"""What the engine runs while it is tortured: tasks that look like the real ones, need no network, and fail on order.

The child process imports this module; no torch here, so that a child starts quickly.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from descriptions import described
from napari_salt.engine.requests import (
    AdapterSaved,
    AdaptRequest,
    AdaptResult,
    LookAheadRequest,
    LookAheadResult,
    Report,
    SegmentRequest,
    SegmentResult,
    WarmUpRequest,
)
from napari_salt.io.atomic import atomic_write
from napari_salt.model.adapter_info import HEADER_KEY, read_info
from napari_salt.records import (
    FitRecord,
    Label,
    Phase,
    Planes,
    SlicePrediction,
    SliceSummary,
    StepReport,
)

STAGES: tuple[Phase, ...] = get_args(Phase)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def _device_memory(planes: Planes) -> None:
    raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def _host_memory(planes: Planes) -> None:
    raise MemoryError


def _exception(planes: Planes) -> None:
    raise ValueError("shapes do not match")


def _killed(planes: Planes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exits(planes: Planes) -> None:
    os._exit(0)


def _hangs(planes: Planes) -> None:
    time.sleep(3600)


def _unreadable_plane(planes: Planes) -> None:
    planes.plane(planes.info.shape[0])


FAULTS: dict[str, Callable[[Planes], None]] = {
    "device memory": _device_memory,
    "host memory": _host_memory,
    "exception": _exception,
    "killed": _killed,
    "exits": _exits,
    "hangs": _hangs,
    "unreadable plane": _unreadable_plane,
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which stage of a job."""

    name: str
    stage: Phase

    def strike(self, stage: Phase, planes: Planes) -> None:
        """Go wrong where it is the stage for it."""
        if stage == self.stage:
            FAULTS[self.name](planes)


@dataclass(frozen=True)
class Adapt:
    """Stands for an `AdaptRequest`; ``pause`` seconds between its ``steps`` steps."""

    out: Path
    slices: tuple[int, ...]
    labels: tuple[Label, ...]
    fault: Fault | None = None
    steps: int = 3
    pause: float = 0.0

    task: ClassVar[str] = "torture_tasks:adapt"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True)
class Segment:
    """Stands for a `SegmentRequest`."""

    adapter: Path
    slices: tuple[int, ...]
    fault: Fault | None = None
    pause: float = 0.0

    task: ClassVar[str] = "torture_tasks:segment"
    title: ClassVar[str] = "Segment"


@dataclass(frozen=True)
class WarmUp:
    """Stands for a `WarmUpRequest`."""

    task: ClassVar[str] = "torture_tasks:warm_up"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True)
class LookAhead:
    """Stands for a `LookAheadRequest`, which the application sends whenever a job has kept it waiting for long."""

    index: int

    task: ClassVar[str] = "torture_tasks:look_ahead"
    title: ClassVar[str] = "Adapt"


def stand_in(request: Any, fault: Fault | None = None, pause: float = 0.0) -> Any:
    """The request of this module that stands for one of the application's."""
    if isinstance(request, AdaptRequest):
        slices = tuple(one.index for one in request.annotated)
        return Adapt(request.out, slices, request.labels, fault, pause=pause)
    if isinstance(request, SegmentRequest):
        return Segment(request.adapter, request.slices, fault, pause)
    if isinstance(request, LookAheadRequest):
        return LookAhead(request.index)
    assert isinstance(request, WarmUpRequest)
    return WarmUp()


def adapt(request: Adapt, planes: Planes) -> Generator[Report, None, AdaptResult]:
    """Look at the painted slices, and write an adapter twice, as a fit does."""
    record = FitRecord("salt", "lite-medsam", request.slices, request.steps, 0.1, 9, "adapted")
    for stage in STAGES[:3]:
        yield StepReport(stage, 0, 1)
        planes.plane(request.slices[0])
        _strike(request.fault, stage, planes)
    yield _saved(request, record, provisional=True)
    for step in range(request.steps):
        yield StepReport("adapting", step, request.steps, loss=1 / (step + 1))
        time.sleep(request.pause)
    _strike(request.fault, "adapting", planes)
    yield StepReport("scoring", 0, 1)
    _strike(request.fault, "scoring", planes)
    yield _saved(request, record, provisional=False)
    return AdaptResult(record, request.out, request.out.stat().st_size)


def stamp(adapter: str, index: int, shape: tuple[int, ...], label_id: int) -> NDArray[np.uint16]:
    """The mask that the adapter with that SHA-256 makes of a slice, and no other adapter, of no other slice."""
    sign = hashlib.sha256(f"{adapter} {index}".encode()).digest()
    bits = np.unpackbits(np.frombuffer(sign, np.uint8)).astype(np.uint16)
    return np.resize(bits, shape) * np.uint16(label_id)


def segment(request: Segment, planes: Planes) -> Generator[Report, None, SegmentResult]:
    """Predict the first label, see `stamp`."""
    label = read_info(request.adapter).labels[0].label_id
    adapter = hashlib.sha256(request.adapter.read_bytes()).hexdigest()
    yield StepReport("loading", 0, 0)
    yield StepReport("comparing", 0, 1)
    _strike(request.fault, "comparing", planes)
    for done, index in enumerate(request.slices):
        yield StepReport("segmenting", done, len(request.slices))
        shape = planes.plane(index).shape
        time.sleep(request.pause)
        if done:
            _strike(request.fault, "segmenting", planes)
        summary = SliceSummary(index, 0.5, {label: 1})
        labels = stamp(adapter, index, shape, label)
        yield SlicePrediction(index, labels, np.zeros(shape, np.float16), summary)
    return SegmentResult(len(request.slices), 0.1)


def warm_up(request: WarmUp, planes: Planes) -> Generator[Report, None, None]:
    """Nothing to load."""
    yield StepReport("loading", 0, 0)


def look_ahead(request: LookAhead, planes: Planes) -> Generator[Report, None, LookAheadResult]:
    """Read one slice; there is room for all of them."""
    yield StepReport("loading", 0, 0)
    planes.plane(request.index)
    return LookAheadResult(None, 0, room=True)


def _strike(fault: Fault | None, stage: Phase, planes: Planes) -> None:
    if fault is not None:
        fault.strike(stage, planes)


def _saved(request: Adapt, record: FitRecord, *, provisional: bool) -> AdapterSaved:
    """Write what reads as an adapter; no two are alike, and their weights say which are first fits."""
    mark = np.frombuffer(os.urandom(16), np.uint8)
    content = save(
        {"weights": np.full(4096, provisional, np.float32), "mark": mark},
        metadata={HEADER_KEY: described(request.labels, record).to_json()},
    )
    with atomic_write(request.out) as part:
        part.write_bytes(content)
    return AdapterSaved(request.out, len(content), provisional)
