"""A job that only takes its time; a spawned child imports it from here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

from napari_salt.records import Planes, StepReport


@dataclass(frozen=True)
class Nap:
    """A request for so many reports."""

    count: int = 3

    task: ClassVar[str] = "security.stub_jobs:nap"
    title: ClassVar[str] = "Adapt"


def nap(request: Nap, planes: Planes) -> Generator[StepReport, None, int]:
    """Look at a plane before each report."""
    seen = 0
    for step in range(request.count):
        seen += int(planes.plane(step).size)
        yield StepReport("adapting", step, request.count)
    return seen
