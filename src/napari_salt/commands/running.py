"""Run a task in this very process, with its progress on the console."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

from napari_salt.commands.console import Console
from napari_salt.commands.ending import ENDINGS, Terminated
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

    Ctrl-C, or a signal to end, closes the task first, so that it leaves nothing half done.
    """
    task = run_task(request, planes)
    try:
        with _interrupted_between_steps() as interrupted:
            return _drain(task, interrupted, console, prefix, on_report)
    finally:
        task.close()


def _drain(
    task: Generator[Report, None, Any],
    interrupted: _Interrupted,
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
            raise interrupted.error()


@contextlib.contextmanager
def _interrupted_between_steps() -> Iterator[_Interrupted]:
    """Remember the first Ctrl-C, or signal to end, instead of raising it wherever the task happens to be.

    Raised inside a callback from compiled code it can get lost, and the task would go on. A second
    one acts at once.
    """
    interrupted = _Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDINGS)}

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        interrupted.by = number
        interrupted.set()
        second = before[number]
        signal.signal(number, second if callable(second) else signal.default_int_handler)

    for number, handler in before.items():
        # not where it is ignored, as SIGHUP is under nohup; shells start what runs in the background without Ctrl-C
        if number == signal.SIGINT or callable(handler):
            signal.signal(number, remember)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupted(threading.Event):
    """Set by a signal, whose number it keeps."""

    by: int = signal.SIGINT

    def error(self) -> KeyboardInterrupt:
        """What the signal would have raised."""
        return KeyboardInterrupt() if self.by == signal.SIGINT else Terminated(self.by)
