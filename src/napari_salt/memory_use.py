"""Whose memory an error says is used up: the computer's, or a graphics card's. No torch here."""

from __future__ import annotations

import errno
from typing import Literal

Owner = Literal["computer", "graphics card"]

_OF_THE_COMPUTER = (
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "bad_alloc",
)
_OF_A_CARD = ("out of memory", "_alloc_failed", "invalid buffer size")
"""PyTorch's allocators for CUDA, ROCm, XPU and Apple say the first; NVIDIA's libraries, with their own, the second; and
Apple's says the last, of one buffer that is too large."""


def used_up(error: BaseException) -> Owner | None:
    """Whose memory is used up; None where that is not what the error is about.

    PyTorch raises plain ``RuntimeError`` for all but CUDA's own allocator, so their texts have to tell; all those that
    are known are in the tests.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return "computer"
    if not isinstance(error, RuntimeError):
        return None
    text = str(error).lower()
    if any(sign in text for sign in _OF_THE_COMPUTER):
        return "computer"
    named = type(error).__name__ == "OutOfMemoryError"
    return "graphics card" if named or any(sign in text for sign in _OF_A_CARD) else None
