"""What a generator gives: for fits, which yield on the way and return their result."""

from __future__ import annotations


def run(generator):
    """Value that a generator returns, and what it yields on the way."""
    yielded = []
    while True:
        try:
            yielded.append(next(generator))
        except StopIteration as stop:
            return stop.value, yielded
