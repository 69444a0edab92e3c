"""What is known of every slice, as bits of one byte; quick also for thousands of slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_salt.session.session import Session

PAINTED, COMPLETE, PREDICTED, OUTDATED, SUGGESTED, SKIPPED = (1 << bit for bit in range(6))
"""Bits of a slice; ``OUTDATED`` stands besides ``PREDICTED``: predicted by an earlier adapter."""

_WORDS = (
    (COMPLETE, "painted, complete"),
    (PAINTED, "painted"),
    (OUTDATED, "predicted (out of date)"),
    (PREDICTED, "predicted"),
    (SUGGESTED, "suggested next"),
    (SKIPPED, "skipped"),
)


def coverage(session: Session, suggested: Iterable[int] = ()) -> bytes:
    """One byte of bits for each slice of the stack; ``suggested`` are the slices to go to next."""
    flags = np.zeros(len(session.stack), np.uint8)
    for bit, slices in (
        (PAINTED, session.annotations.painted_slices()),
        (COMPLETE, tuple(session.annotations.complete)),
        (PREDICTED, session.predicted_slices()),
        (OUTDATED, tuple(session.outdated)),
        (SUGGESTED, tuple(suggested)),
        (SKIPPED, tuple(session.skipped)),
    ):
        flags[np.asarray(slices, np.intp)] |= bit
    # whoever has painted a suggested slice, or skipped it, has followed the suggestion
    flags[(flags & (PAINTED | COMPLETE | SKIPPED)) > 0] &= ~SUGGESTED & 0xFF
    return flags.tobytes()


def gathered(flags: bytes, bins: int) -> NDArray[np.uint8]:
    """Bits of neighbouring slices put together into at most ``bins`` marks, ``(bins,)`` uint8.

    A mark carries every bit that one of its slices has, so that a single painted slice among
    thousands stays visible; it is out of date when any of its slices is. Slice ``i`` of ``n`` falls
    into mark ``i * bins // n``.
    """
    marks = np.frombuffer(flags, np.uint8)
    count = len(marks)
    if count <= bins:
        return marks
    starts = -(-np.arange(bins) * count // bins)
    return np.asarray(np.bitwise_or.reduceat(marks, starts), np.uint8)


def in_words(flags: int) -> str:
    """``painted, complete · predicted (out of date)``; ``nothing yet`` for no bit."""
    said = [(bit, word) for bit, word in _WORDS if flags & bit]
    if flags & COMPLETE:
        words = "complete, all background" if not flags & PAINTED else "painted, complete"
        said = [(COMPLETE, words), *(pair for pair in said if pair[0] not in (COMPLETE, PAINTED))]
    if flags & OUTDATED:
        said = [pair for pair in said if pair[0] != PREDICTED]
    return " · ".join(word for _, word in said) or "nothing yet"
