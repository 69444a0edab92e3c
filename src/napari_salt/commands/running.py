"""Run a task in this very process, with its progress on the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_salt.commands.console import Console
from napari_salt.engine.requests import Report, Request
from napari_salt.engine.tasks import run_task
from napari_salt.records import Planes, StepReport


def run_here(
    request: Request,
    planes: Planes,
    console: Console,
    *,
    prefix: str = "",
    on_report: Callable[[Report], None] | None = None,
) -> Any:
    """Result of a request; ``on_report`` gets every report that is not mere progress.

    Ctrl-C closes the task first, so that it leaves nothing half done.
    """
    task = run_task(request, planes)
    try:
        while True:
            try:
                report = next(task)
            except StopIteration as end:
                return end.value
            if isinstance(report, StepReport):
                console.progress(report, prefix)
            elif report is not None and on_report is not None:
                on_report(report)
    finally:
        task.close()
