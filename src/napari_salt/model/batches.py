"""Frames through a network, as many at once as the device holds, and on the CPU where a GPU's memory does not do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import torch

from napari_salt.errors import JobFailed
from napari_salt.model.device import (
    batch_size,
    free_memory,
    is_out_of_memory,
    measure_peak,
    release_memory,
)

T = TypeVar("T")
Yielded = TypeVar("Yielded")

ON_THE_CPU = "The GPU has too little memory left; going on on the CPU, which takes longer"
TOO_LITTLE = (
    "There is too little memory even for one frame at a time; close other programs or choose a "
    "smaller backbone."
)


class Batches:
    """How many frames run at once on ``device``.

    On a CUDA device the first pass runs one frame and measures what it takes; from then on ``size`` follows from the
    free memory. Elsewhere it is 1: a CPU gains nothing from more (measured), and other GPUs tell no peak.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.size = 1
        self._measured = device.type != "cuda"

    def run(self, count: int, work: Callable[[slice], T]) -> Iterator[T]:
        """``work`` on consecutive parts of ``count`` frames, with half the batch from where memory ran out.

        An out-of-memory error of a single frame is passed on.
        """
        start = 0
        while start < count:
            part = slice(start, min(count, start + self.size))
            done, result = self._try(work, part)
            if done:
                # for the type checker: a result is there once it is done
                yield result  # type: ignore[misc]
                start = part.stop
            else:
                # only now: inside the handler the traceback would keep the tensors of the failed try alive
                self.size = max(1, (part.stop - part.start) // 2)
                release_memory()

    def _try(self, work: Callable[[slice], T], part: slice) -> tuple[bool, T | None]:
        try:
            if self._measured:
                return True, work(part)
            result, peak = measure_peak(self.device, lambda: work(part))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or part.stop - part.start == 1:
                raise
            return False, None
        self._measured = True
        self.size = batch_size(peak, free_memory(self.device))
        return True, result


def with_fallback(
    device: torch.device,
    work: Callable[[torch.device], Generator[Yielded, None, T]],
    told: Callable[[str], Yielded],
) -> Generator[Yielded, None, T]:
    """``work(device)``, and where memory runs out ``work`` once more on the CPU.

    Parameters
    ----------
    work
        Makes a generator that does everything on the device it is given, or what is left of it.
    told
        Makes what is yielded between the two from a message for the user.

    Raises
    ------
    JobFailed
        The CPU has too little memory as well.
    """
    while True:
        try:
            return (yield from work(device))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if device.type == "cpu":
                raise JobFailed(TOO_LITTLE) from error
        # outside the handler, see `Batches.run`
        device = torch.device("cpu")
        release_memory()
        yield told(ON_THE_CPU)
