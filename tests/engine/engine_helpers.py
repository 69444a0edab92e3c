"""Requests and tasks that tests submit; a spawned child imports them from here."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.records import StackInfo, StepReport
from napari_salt.scratch import scratch


@dataclass(frozen=True)
class Call:
    """A request that runs the function of this module called ``function``."""

    function: str
    count: int = 3
    path: str = ""
    title: str = "Adapt"

    @property
    def task(self) -> str:
        return f"engine_helpers:{self.function}"


class CountingPlanes:
    """A stack of planes filled with their own index, which remembers what was read."""

    def __init__(self, count: int = 5) -> None:
        self.info = StackInfo((count, 4, 6), dtype="uint8")
        self.read: list[int] = []

    def plane(self, index: int) -> np.ndarray[Any, Any]:
        self.read.append(index)
        return np.full((4, 6), index, np.uint8)


class BrokenPlanes(CountingPlanes):
    def plane(self, index: int) -> np.ndarray[Any, Any]:
        raise RuntimeError("chunk is gone")


def count_up(request, planes):
    for step in range(request.count):
        yield StepReport("adapting", step, request.count)
    return request.count


def sum_planes(request, planes):
    total = 0
    for index in (3, 1):
        total += int(planes.plane(index).sum())
        yield StepReport("embedding", index, 2)
    return total


class CountingRegions(CountingPlanes):
    """The same, able to hand out parts."""

    def region(self, index: int, rows: slice, columns: slice) -> np.ndarray[Any, Any]:
        self.read.append((index, rows, columns))
        return np.full((4, 6), index, np.uint8)[rows, columns]


def sum_a_part(request, planes):
    yield StepReport("embedding", 0, 1)
    return int(planes.region(2, slice(1, 3), slice(0, 5)).sum())


def gives_a_large_array(request, planes):
    array = scratch((600, 700), np.uint16)
    array[5] = 3
    yield array


def pid(request, planes):
    yield StepReport("loading", 0, 1)
    return os.getpid()


def for_ever(request, planes):
    try:
        while True:
            yield StepReport("adapting", 0, 1)
            time.sleep(0.01)
    finally:
        if request.path:
            with open(request.path, "w") as file:
                file.write("cleaned up")


def stubborn(request, planes):
    try:
        yield StepReport("adapting", 0, 1)
        time.sleep(3600)
    finally:
        # Whether the stop comes before or during the first sleep, this job does not obey.
        time.sleep(3600)


def hangs(request, planes):
    yield StepReport("adapting", 0, 1)
    time.sleep(3600)


def computes(request, planes):
    """Seconds of CPU time without a word, however long they take."""
    yield StepReport("adapting", 0, 1)
    end = time.process_time() + request.count
    while time.process_time() < end:
        sum(range(1000))
    return request.count


def bad_input(request, planes):
    yield StepReport("loading", 0, 1)
    raise InputError("Paint at least one slice first.")


def runtime_error(request, planes):
    yield StepReport("loading", 0, 1)
    raise RuntimeError("shapes do not match")


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def out_of_memory(request, planes):
    yield StepReport("loading", 0, 1)
    raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def wants_more_memory_than_there_is(request, planes):
    yield StepReport("loading", 0, 1)
    np.empty(2**50, np.uint8)


def dies(request, planes):
    yield StepReport("adapting", 0, 1)
    os._exit(1)


def sends_torch(request, planes):
    import torch

    yield torch.zeros(2)


def shows_a_bar(request, planes):
    from tqdm import tqdm

    yield from (StepReport("adapting", step, 2) for step in tqdm(range(2), disable=True))
    yield from for_ever(request, planes)


def uses_torch(request, planes):
    import torch

    yield StepReport("adapting", 0, 1, loss=float(torch.ones(3).sum()))
    return int(torch.ones(2).sum())
