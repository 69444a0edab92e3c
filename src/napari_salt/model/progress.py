"""From work that says how far it is to the reports that a user sees."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar, cast

from napari_salt.records import Phase, StepReport

if TYPE_CHECKING:
    from napari_salt.model.fine_tune import TuneReport

_T = TypeVar("_T")


def loading(message: str) -> StepReport:
    """Of what comes before anything can be counted."""
    return StepReport("loading", 0, 1, message=message)


def reports(
    phase: Phase, work: Generator[float, None, _T], message: str = ""
) -> Generator[StepReport, None, _T]:
    """Reports of a share of ``work`` done, 0..1, in hundredths."""
    return cast("_T", (yield from reports_until(None, phase, work, message)))


def reports_until(
    deadline: float | None, phase: Phase, work: Generator[float, None, _T], message: str = ""
) -> Generator[StepReport, None, _T | None]:
    """The same; None when the ``deadline`` (`time.monotonic`) cut it short."""
    began = time.monotonic()
    while True:
        try:
            share = next(work)
        except StopIteration as stop:
            return cast("_T", stop.value)
        if deadline is not None and time.monotonic() > deadline:
            return None
        left = _left(began, share)
        yield StepReport(phase, round(100 * share), 100, seconds_left=left, message=message)


def shares(
    work: Generator[float, None, _T], start: float, part: float
) -> Generator[float, None, _T]:
    """Shares 0..1 of a ``part`` of some work as shares of the whole, from ``start`` on."""
    while True:
        try:
            yield start + part * next(work)
        except StopIteration as stop:
            return cast("_T", stop.value)


def without_shares(work: Generator[float, None, _T]) -> Generator[None, None, _T]:
    """Work that does not say how far it is."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return cast("_T", stop.value)
        yield None


def step_report(report: TuneReport, began: float, message: str) -> StepReport:
    """A report of steps of training that began at ``began`` (`time.monotonic`)."""
    left = _left(began, report.step / report.steps if report.steps else 0)
    return StepReport("adapting", report.step, report.steps, report.loss, left, message=message)


def _left(began: float, share: float) -> float | None:
    """Seconds, as those spent on the ``share`` done tell."""
    return (time.monotonic() - began) * (1 - share) / share if share > 0 else None
