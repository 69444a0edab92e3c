"""What PyTorch, NVIDIA's libraries, numpy and systems say when memory is used up; texts as they were reported."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from napari_salt.engine.child import sentence_for
from napari_salt.memory_use import used_up
from napari_salt.model.device import is_out_of_memory

CARD = [
    torch.cuda.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 10.01 GiB. GPU 0 has a total capacity of 14.75 GiB of which 4.39 GiB is "
        "free."
    ),
    torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB."),
    torch.OutOfMemoryError("Allocation on device"),
    RuntimeError(
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call, so the "
        "stacktrace below might be incorrect."
    ),
    RuntimeError("cuda runtime error (2) : out of memory at /pytorch/aten/src/THC/THCTensor.cu:1"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("XPU out of memory. Tried to allocate 512.00 MiB."),
    RuntimeError(
        "MPS backend out of memory (MPS allocated: 7.68 GB, other allocations: 1.10 GB, max allowed: 9.07 GB). Tried "
        "to allocate 500.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit."
    ),
    RuntimeError("Invalid buffer size: 16.00 GiB"),
]
COMPUTER = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 1125899906842624 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError(
        r"[enforce fail at C:\actions-runner\_work\pytorch\pytorch\c10\core\impl\alloc_cpu.cpp:72] data. "
        "DefaultCPUAllocator: not enough memory: you tried to allocate 364742208 bytes."
    ),
    RuntimeError("unable to mmap 1048576 bytes from file <x>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 4x8)"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("Storage size calculation overflowed with sizes=[2305843009213693952]"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ValueError("out of memory"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
]


@pytest.mark.parametrize("error", CARD, ids=repr)
def test_memory_of_a_graphics_card(error):
    assert used_up(error) == "graphics card"
    assert is_out_of_memory(error)
    assert sentence_for(error, "Adapt").startswith("The graphics card ran out of memory; close")


@pytest.mark.parametrize("error", COMPUTER, ids=repr)
def test_memory_of_the_computer(error):
    assert used_up(error) == "computer"
    assert is_out_of_memory(error)
    assert sentence_for(error, "Adapt").startswith("The computer ran out of memory; close")


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors(error):
    assert used_up(error) is None
    assert not is_out_of_memory(error)
    assert "failed unexpectedly" in sentence_for(error, "Adapt")


@pytest.mark.parametrize(
    "ask", [lambda: torch.empty(2**50, dtype=torch.uint8), lambda: np.empty(2**50, np.uint8)]
)
def test_what_is_really_said_here_is_known(ask):
    with pytest.raises((RuntimeError, MemoryError)) as refused:
        ask()
    assert used_up(refused.value) == "computer"


def test_torch_has_one_class_for_its_cards():
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    assert issubclass(getattr(torch, "AcceleratorError", RuntimeError), RuntimeError)
