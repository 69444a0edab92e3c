"""Run a task in this very process, with its progress on the console."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from types import FrameType
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
        with _interrupted_between_steps() as interrupted:
            return _drain(task, interrupted, console, prefix, on_report)
    finally:
        task.close()


def _drain(
    task: Generator[Report, None, Any],
    interrupted: threading.Event,
    console: Console,
    prefix: str,
    on_report: Callable[[Report], None] | None,
) -> Any:
    while True:
        try:
            report = next(task)
        except StopIteration as end:
            return end.value
        if isinstance(report, StepReport):
            console.progress(report, prefix)
        elif report is not None and on_report is not None:
            on_report(report)
        if interrupted.is_set():
            raise KeyboardInterrupt


@contextlib.contextmanager
def _interrupted_between_steps() -> Iterator[threading.Event]:
    """Remember the first Ctrl-C instead of raising it wherever the task happens to be.

    Raised inside a callback from compiled code it can get lost, and the task would go on. A second
    Ctrl-C acts at once.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
