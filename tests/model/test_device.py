"""Device, precision and memory policy, with fake devices where this machine has none."""

from __future__ import annotations

import pytest
import torch

from napari_salt.errors import InputError
from napari_salt.model import device as policy
from napari_salt.model.device import (
    autocast,
    autocast_dtype,
    batch_size,
    free_memory,
    measure_peak,
    on_all_threads,
    on_spare_threads,
    pick_device,
    set_threads,
    spare_threads,
    thread_count,
    to_device,
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


class Recorded:
    """A stand-in for a tensor that remembers how it was moved."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def pin_memory(self) -> Recorded:
        self.calls.append("pinned")
        return self

    def to(self, device: torch.device, non_blocking: bool = False) -> Recorded:
        self.calls.append((device.type, non_blocking))
        return self


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("cuda", ["pinned", ("cuda", True)]),
        ("mps", [("mps", False)]),
        ("cpu", [("cpu", False)]),
    ],
)
def test_only_copies_to_cuda_go_through_pinned_memory(kind, calls):
    tensor = Recorded()
    assert to_device(tensor, torch.device(kind)) is tensor
    assert tensor.calls == calls


def test_measured_peak_is_what_a_pass_adds(monkeypatch):
    held = {"now": 500, "peak": 9000}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: held["peak"])
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda _: held.update(peak=held["now"])
    )

    def work() -> str:
        held["peak"] = 700
        return "done"

    assert measure_peak(torch.device("cuda"), work) == ("done", 200)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (16, 15), (0, 1)])
def test_thread_count(cores, threads):
    assert thread_count(cores) == threads


@pytest.mark.parametrize(
    ("cores", "others", "threads"),
    [
        (2, 0.7, 2),
        (2, 0.9, 1),
        (2, 2.0, 1),
        (1, 1.0, 1),
        (8, 0.0, 7),
        (8, 1.0, 7),
        (8, 1.8, 6),
        (8, 8.0, 1),
    ],
)
def test_cores_that_others_use_are_left_to_them(cores, others, threads):
    assert thread_count(cores, others) == threads


def test_spare_threads_come_and_go_with_the_load(monkeypatch):
    threads = [3]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(policy, "_usable_cores", lambda: 4)
    for others, spare in ((0.0, 3), (2.0, 2), (4.0, 1), (0.0, 3)):
        monkeypatch.setattr(policy.load, "others", lambda others=others: others)
        assert spare_threads() == spare
        with on_spare_threads():
            assert threads[-1] == spare
            with on_all_threads():
                assert threads[-1] == 3
            assert threads[-1] == spare
        assert threads[-1] == 3
        with on_all_threads():
            assert threads[-1] == 3


def test_threads_are_given_back_after_an_error(monkeypatch):
    threads = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(policy, "_usable_cores", lambda: 2)
    monkeypatch.setattr(policy.load, "others", lambda: 2.0)
    with pytest.raises(MemoryError), on_spare_threads(), on_all_threads():
        raise MemoryError
    assert threads[-1] == 2
    with on_all_threads():
        assert threads[-1] == 2, "none is under way any more"


def test_set_threads(monkeypatch):
    threads = [8]
    monkeypatch.setattr(policy, "_set", (0, 0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(policy, "_usable_cores", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert set_threads() == 8
    assert threads == [8]
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert set_threads() == 5
    monkeypatch.setattr(policy.load, "others", lambda: 3.0)
    assert set_threads() == 3
    monkeypatch.setattr(policy.load, "others", lambda: 0.0)
    assert set_threads() == 5, "the others are done"
    monkeypatch.setattr(policy, "_usable_cores", lambda: 64)
    assert set_threads() == 8, "never more than torch itself would take"
    threads.append(2)
    assert set_threads() == 2, "somebody wants fewer"
    assert set_threads() == 2
