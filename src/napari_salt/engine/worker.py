"""The only Qt piece of the engine: jobs in a napari worker thread, answers on the main thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker

from napari_salt.engine.engine import Engine
from napari_salt.engine.requests import Report, Request, Result
from napari_salt.errors import JobFailed, JobStopped, NapariSaltError
from napari_salt.records import Planes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Callbacks:
    on_report: Callable[[Report], None]
    on_done: Callable[[Result], None]
    on_failed: Callable[[str], None]
    on_stopped: Callable[[], None]


@dataclass(frozen=True)
class _Stopped:
    """How a stopped job ends."""


@dataclass(frozen=True)
class _Failed:
    """How a failed job ends: a value, since what napari does with errors depends on the binding."""

    sentence: str


class EngineRunner:
    """A ``JobRunner`` for napari: callbacks come through the event loop, on the main thread.

    A failed job also shows as a napari notification, as every error in a napari worker does.
    Answers of a job that is no longer the current one are dropped by its number.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine if engine is not None else Engine()
        self._number = 0
        self._callbacks: _Callbacks | None = None

    @property
    def running(self) -> bool:
        """Whether a job is under way, its last callback still to come."""
        return self._callbacks is not None

    def submit(
        self,
        request: Request,
        planes: Planes | None,
        *,
        on_report: Callable[[Report], None],
        on_done: Callable[[Result], None],
        on_failed: Callable[[str], None],
        on_stopped: Callable[[], None],
    ) -> int:
        """Start a job and return its number; exactly one of done, failed, stopped follows.

        Raises ``JobFailed`` when a job is running.
        """
        if self.running:
            raise JobFailed("Another job is still running; wait for it or press Stop first.")
        reports = self.engine.submit(request, planes)
        self._number += 1
        self._callbacks = _Callbacks(on_report, on_done, on_failed, on_stopped)
        # Errors come back by ``_fail``; napari need not raise them again on the main thread.
        worker: Any = create_worker(
            _supervise,
            self.engine,
            reports,
            _start_thread=False,
            _worker_class=_JobWorker,
            _ignore_errors=True,
        )
        worker.yielded.connect(partial(self._report, self._number))
        worker.returned.connect(partial(self._return, self._number))
        worker.errored.connect(partial(self._fail, self._number))
        worker.start()
        return self._number

    def stop(self) -> None:
        """Ask the running job to stop; ``on_stopped`` follows within about a second."""
        self.engine.stop()

    def close(self) -> None:
        """Stop what runs and end the child process; nothing is called back any more."""
        self._callbacks = None
        self._number += 1
        self.engine.close()

    def _report(self, number: int, report: Report) -> None:
        if number == self._number and self._callbacks is not None:
            self._callbacks.on_report(report)

    def _return(self, number: int, ending: Result | _Stopped | _Failed) -> None:
        callbacks = self._take(number)
        if callbacks is None:
            return
        if isinstance(ending, _Stopped):
            callbacks.on_stopped()
        elif isinstance(ending, _Failed):
            callbacks.on_failed(ending.sentence)
        else:
            callbacks.on_done(ending)

    def _fail(self, number: int, error: Exception) -> None:
        callbacks = self._take(number)
        if callbacks is not None:
            callbacks.on_failed(_sentence(error))

    def _take(self, number: int) -> _Callbacks | None:
        """The callbacks of a job that ends; taken first, so that one may submit the next job."""
        if number != self._number:
            return None
        callbacks, self._callbacks = self._callbacks, None
        return callbacks


class _JobWorker(GeneratorWorker):  # type: ignore[misc]  # napari gives no types
    """A worker whose ``quit`` stops the job in the child, so that its generator ends by itself."""

    def __init__(self, function: Any, engine: Engine, *args: Any) -> None:
        super().__init__(function, engine, *args)
        self._engine = engine

    def quit(self) -> None:
        """Stop the job; called by napari when a window closes or its task list cancels."""
        self._engine.stop()


def _supervise(engine: Engine, reports: Generator[Any, None, Any]) -> Generator[Any, None, Any]:
    """Pass the reports on; the one place where a RuntimeError becomes a sentence of ours.

    A worker whose generator raises RuntimeError emits neither ``errored`` nor ``finished``: the
    dock would wait for ever.
    """
    try:
        return (yield from reports)
    except JobStopped:
        return _Stopped()
    except (NapariSaltError, RuntimeError) as error:
        if not isinstance(error, NapariSaltError) or hasattr(error, "__notes__"):
            logger.error("A job failed", exc_info=error)
        return _Failed(_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, NapariSaltError):
        return str(error)
    return f"The job failed unexpectedly ({type(error).__name__}: {error}); your paint is safe."
