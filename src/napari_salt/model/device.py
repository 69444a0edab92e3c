"""Device, precision and memory policy, all in one place."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor

from napari_salt.errors import InputError
from napari_salt.memory_use import used_up
from napari_salt.model import load

T = TypeVar("T")

MOST_PER_BATCH = 16
"""Frames in one batch at most; more gains nothing on any device measured."""

SLACK = 0.75
"""Part of a core that others may use before a thread less is run: a viewer that draws a mask now and then uses half of
one, in bursts, and two threads beside it are still faster than one (measured)."""

MEMORY_SHARE = 0.6
"""Part of the free memory that a batch may be planned to fill."""


def pick_device(request: str = "auto") -> torch.device:
    """The device asked for: ``auto``, ``cpu``, ``cuda``, ``cuda:<i>`` or ``mps``.

    ``auto`` takes the first CUDA device, else Apple's GPU, else the CPU. InputError when the device
    is not there.
    """
    request = request.strip().lower()
    if request == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if request == "cpu":
        return torch.device("cpu")
    if request == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("This computer has no Apple GPU (mps); choose 'auto' or 'cpu'.")
        return torch.device("mps")
    kind, _, number = request.partition(":")
    if kind != "cuda" or not (number.isdecimal() or request == "cuda"):
        raise InputError(f"'{request}' is no device; choose auto, cpu, cuda, cuda:<number> or mps.")
    return _cuda(int(number or 0))


def _cuda(index: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise InputError(
            "PyTorch finds no CUDA device here; choose 'auto' or 'cpu', or install a driver and a "
            "PyTorch build with CUDA."
        )
    if index >= count:
        raise InputError(
            f"There is no cuda:{index}, the last one is cuda:{count - 1}; choose that or 'auto'."
        )
    return torch.device("cuda", index)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Type of the large products, or None for float32 throughout.

    bfloat16 on CUDA devices that compute in it; float16 has too small a range for gradients without
    loss scaling, and CPUs and Apple GPUs gain nothing reliable, so the rest stays in float32.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return None


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context in which large products run in `autocast_dtype`."""
    dtype = autocast_dtype(device)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated on ``device``; None where nothing tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # the allocator's own reserve is free for us too
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        limit = torch.mps.recommended_max_memory()
        return max(0, limit - torch.mps.driver_allocated_memory())
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def batch_size(bytes_per_item: int, free: int | None, *, most: int = MOST_PER_BATCH) -> int:
    """Items to run at once: as many as fit in ``MEMORY_SHARE`` of ``free`` bytes, 1 to ``most``.

    With ``free`` None the answer is 1.
    """
    if free is None:
        return 1
    return max(1, min(most, int(free * MEMORY_SHARE) // max(1, bytes_per_item)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of some device, or of the computer, is used up."""
    return used_up(error) is not None


def measure_peak(device: torch.device, work: Callable[[], T]) -> tuple[T, int]:
    """Result of ``work`` and the most bytes that it held on a CUDA ``device`` beyond those held before."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = work()
    return result, torch.cuda.max_memory_allocated(device) - before


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU ``tensor`` on ``device``; to a CUDA device from pinned memory, so that the copy runs beside other work."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def release_memory() -> None:
    """Give unused cached memory back to the devices."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def thread_count(cores: int, others: float = 0.0) -> int:
    """Threads for ``cores`` usable cores, of which ``others`` keep so many busy: of more than 2, one is left alone."""
    most = cores - 1 if cores > 2 else cores
    return max(1, min(most, int(cores - others + SLACK)))


_set: tuple[int, int] = (0, 0)
"""The number of threads that `set_threads` set last, and the one that it found."""


def set_threads() -> int:
    """Set and return torch's number of threads for a job; ``OMP_NUM_THREADS`` and a lower number set before win."""
    global _set
    if "OMP_NUM_THREADS" not in os.environ:
        now = torch.get_num_threads()
        most = _set[1] if now == _set[0] else now  # what we set ourselves is nobody's wish
        _set = min(thread_count(_usable_cores(), load.others()), most), most
        torch.set_num_threads(_set[0])
    return torch.get_num_threads()


def spare_threads() -> int:
    """As many of torch's threads as others leave cores for now; for work whose outcome does not depend on it."""
    threads = torch.get_num_threads()
    return threads if threads == 1 else min(threads, thread_count(_usable_cores(), load.others()))


_before: list[int] = []
"""Threads before each `on_spare_threads` that is under way."""


@contextmanager
def on_spare_threads() -> Iterator[None]:
    """Run torch on `spare_threads`; for what comes out the same whatever their number.

    LiteMedSAM does, to the last bit where it was tried (AVX2), but for the convolution inside `on_all_threads`.
    """
    _before.append(torch.get_num_threads())
    torch.set_num_threads(spare_threads())
    try:
        yield
    finally:
        torch.set_num_threads(_before.pop())


@contextmanager
def on_all_threads() -> Iterator[None]:
    """Inside `on_spare_threads`: as many threads as before, for what rounds otherwise with another number of them."""
    if not _before:
        yield
        return
    now = torch.get_num_threads()
    torch.set_num_threads(_before[0])
    try:
        yield
    finally:
        torch.set_num_threads(now)


def _usable_cores() -> int:
    cores = load.usable_cores()
    return (os.cpu_count() or 1) if cores is None else len(cores)


def gpu_count() -> int:
    """How many CUDA devices this process may use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
