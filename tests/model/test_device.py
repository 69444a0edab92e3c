"""Device, precision and memory policy, with fake devices where this machine has none."""

from __future__ import annotations

import pytest
import torch

from napari_salt.errors import InputError, JobFailed
from napari_salt.model import device as policy
from napari_salt.model.device import (
    autocast,
    autocast_dtype,
    batch_size,
    free_memory,
    is_out_of_memory,
    pick_device,
    retry_smaller,
    set_threads,
    thread_count,
)

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """A function that pretends to a number of CUDA devices and an Apple GPU."""

    def pretend(cuda: int = 0, mps: bool = False, capability: tuple[int, int] = (9, 0)) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "request_", "expected"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda:0"),
        (2, True, "auto", "cuda:0"),
        (2, True, "cpu", "cpu"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (0, True, "mps", "mps"),
        (2, False, " CUDA:1 ", "cuda:1"),
    ],
)
def test_pick_device(machine, cuda, mps, request_, expected):
    machine(cuda, mps)
    assert pick_device(request_) == torch.device(expected)


@pytest.mark.parametrize(
    ("cuda", "request_", "sentence"),
    [
        (0, "cuda", "no CUDA device"),
        (0, "cuda:1", "no CUDA device"),
        (2, "cuda:2", "the last one is cuda:1"),
        (0, "mps", "no Apple GPU"),
        (0, "tpu", "'tpu' is no device"),
        (2, "cuda:", "is no device"),
        (2, "cuda:x", "is no device"),
        (2, "cuda:-1", "is no device"),
        (0, "cpu:1", "is no device"),
        (0, "", "is no device"),
    ],
)
def test_missing_devices_are_named(machine, cuda, request_, sentence):
    machine(cuda)
    with pytest.raises(InputError, match=sentence) as caught:
        pick_device(request_)
    assert "choose" in str(caught.value)


def test_precision(machine):
    machine(cuda=1, capability=(9, 0))
    assert autocast_dtype(torch.device("cuda", 0)) is torch.bfloat16
    machine(cuda=1, capability=(7, 5))
    assert autocast_dtype(torch.device("cuda", 0)) is None
    assert autocast_dtype(CPU) is None
    assert autocast_dtype(torch.device("mps")) is None
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32


@pytest.mark.parametrize(
    ("per_item", "free", "most", "expected"),
    [
        (100, 1000, 16, 6),
        (100, 100, 16, 1),
        (100, 0, 16, 1),
        (1, 10**9, 16, 16),
        (1, 10**9, 4, 4),
        (0, 1000, 16, 16),
        (100, None, 16, 1),
    ],
)
def test_batch_size(per_item, free, most, expected):
    assert batch_size(per_item, free, most=most) == expected


def test_free_memory_of_the_cpu():
    free = free_memory(CPU)
    assert free is None or free > 1e6


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


class Work:
    """Runs where the batch is at most ``fits[device type]``, and remembers every try."""

    def __init__(self, **fits: int) -> None:
        self.fits = fits
        self.tries: list[tuple[int, str]] = []

    def __call__(self, batch: int, device: torch.device) -> str:
        self.tries.append((batch, device.type))
        if batch > self.fits[device.type]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return f"{batch} on {device.type}"


@pytest.mark.parametrize(
    ("fits", "start", "tries"),
    [
        ({"cuda": 8}, (8, "cuda"), [(8, "cuda")]),
        ({"cuda": 2}, (8, "cuda"), [(8, "cuda"), (4, "cuda"), (2, "cuda")]),
        ({"cuda": 2}, (5, "cuda"), [(5, "cuda"), (2, "cuda")]),
        ({"cuda": 0, "cpu": 1}, (2, "cuda"), [(2, "cuda"), (1, "cuda"), (1, "cpu")]),
        ({"cpu": 1}, (2, "cpu"), [(2, "cpu"), (1, "cpu")]),
    ],
)
def test_retry_smaller(fits, start, tries):
    work, told = Work(**fits), []
    batch, kind = start
    result = retry_smaller(
        work, batch, torch.device(kind), on_retry=lambda b, d: told.append((b, d.type))
    )
    assert work.tries == tries
    assert told == tries[1:]
    assert result == "{} on {}".format(*tries[-1])


def test_retry_ends_in_a_sentence():
    with pytest.raises(JobFailed, match="smaller backbone"):
        retry_smaller(Work(cuda=0, cpu=0), 4, torch.device("cuda"))


def test_other_errors_are_not_retried():
    tries = []

    def run(batch: int, device: torch.device) -> None:
        tries.append(batch)
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        retry_smaller(run, 8, CPU)
    assert tries == [8]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (16, 15), (0, 1)])
def test_thread_count(cores, threads):
    assert thread_count(cores) == threads


def test_set_threads(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked[-1] if asked else 8)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(policy, "_usable_cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert set_threads() == 8
    assert asked == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert set_threads() == 5
    monkeypatch.setattr(policy, "_usable_cores", lambda: 64)
    assert set_threads() == 5  # never more than torch itself would take
