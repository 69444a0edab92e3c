"""Times of several ways to do the same, taken in turn so that a busy machine is unfair to none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


def side_by_side(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each of ``works``, run once to warm up and then ``repeats`` times in turn."""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


@dataclass(frozen=True)
class Ratio:
    """A ratio that has a target: at least or at most ``target``; ``detail`` tells the two times."""

    what: str
    value: float
    target: float
    at_least: bool
    detail: str

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        verdict = "yes" if self.reached else "**no**"
        return [self.what, f"{self.value:.2f}", f"{sign} {self.target:g}", verdict, self.detail]


@dataclass(frozen=True)
class Fact:
    """A figure for information."""

    what: str
    value: str
    detail: str = ""


def milliseconds(seconds: float) -> str:
    """``12 ms``, or ``1.23 s`` from a second on."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
