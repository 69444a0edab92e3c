"""The whole application without a window: the real controllers on a viewer model, the real engine, tasks that stand in.

Somebody at a keyboard is played by the wishes of the view and by what the viewer tells.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_salt.control.controller import Controller
from napari_salt.engine.engine import Engine
from napari_salt.engine.requests import Request
from napari_salt.errors import JobFailed, JobStopped, NapariSaltError
from napari_salt.io.session_store import SessionStore
from napari_salt.records import Planes
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes
from torture_tasks import Fault, stand_in

TICK = 1.0
"""Seconds between two looks of the application at what is to be saved, as in the dock."""
PATIENCE = 60.0
"""Seconds after which a wait is a hang."""


class StillWaitingError(Exception):
    """Something that had to come did not."""


class ThreadRunner:
    """A `JobRunner` without Qt: a thread follows the job, `deliver` calls back on the thread of its caller.

    The engine is its caller's, and outlives it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fault: Fault | None = None
        self.pause = 0.0
        self._number = 0
        self._calls: dict[str, Callable[..., None]] | None = None
        self._told: queue.SimpleQueue[tuple[int, str, tuple[Any, ...]]] = queue.SimpleQueue()

    @property
    def running(self) -> bool:
        """Whether a job is under way, its last callback still to come."""
        return self._calls is not None

    def submit(self, request: Request, planes: Planes | None, **calls: Any) -> int:
        """Start what stands for a request; the next fault, if any, strikes it."""
        if self.running:
            raise JobFailed("Another job is still running; wait for it or press Stop first.")
        job = self.engine.submit(stand_in(request, self.fault, self.pause), planes)
        self._number += 1
        self._calls = calls
        threading.Thread(target=self._follow, args=(self._number, job), daemon=True).start()
        return self._number

    def stop(self) -> None:
        """Ask the running job to stop."""
        self.engine.stop()

    def close(self) -> None:
        """Stop what runs; nothing is called back any more."""
        self._calls = None
        self._number += 1
        self.engine.stop()

    def deliver(self) -> None:
        """Call back what has come."""
        while not self._told.empty():
            number, how, values = self._told.get()
            if number != self._number or self._calls is None:
                continue
            call = self._calls[how]
            if how != "on_report":
                self._calls = None
            call(*values)

    def _follow(self, number: int, job: Generator[Any, None, Any]) -> None:
        try:
            while True:
                self._told.put((number, "on_report", (next(job),)))
        except StopIteration as end:
            self._told.put((number, "on_done", (end.value,)))
        except JobStopped:
            self._told.put((number, "on_stopped", ()))
        except NapariSaltError as error:
            self._told.put((number, "on_failed", (str(error),)))


class Office:
    """An application with one image open; sessions are kept in ``folder``, jobs run in ``engine``."""

    def __init__(self, folder: Path, pixels: NDArray[Any], engine: Engine) -> None:
        self.viewer = ViewerModel()
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.view.confirm.return_value = True
        self.store = SessionStore(folder, rescue=())
        self.runner = ThreadRunner(engine)
        self.viewer.add_image(pixels, name="t1")
        self.link = ViewerLink(self.viewer)
        self.controller = Controller(self.view, self.link, self.runner, self.store)
        self._next_tick = 0.0

    @property
    def session(self) -> Session:
        """The open session."""
        session = self.controller.desk.session
        assert session is not None
        return session

    @property
    def busy(self) -> bool:
        """Whether the panel shows a job that somebody waits for."""
        job = self.controller.jobs.job
        return job is not None and not job.gives_way

    @property
    def said(self) -> str:
        """The sentence on the status line."""
        return self.controller.desk.status.text

    def paint(self, index: int, label_id: int, where: Any = np.s_[:]) -> None:
        """Paint pixels of a slice, as the viewer does: the array is edited, then it is told."""
        self.session.annotations.paint[index][where] = label_id
        self.link.signals.painted.emit((index,))

    def go_on(self) -> None:
        """Let the application do what has come up: answers of the engine, and once a second saving."""
        self.runner.deliver()
        if time.monotonic() >= self._next_tick:
            self._next_tick = time.monotonic() + TICK
            self.save()

    def save(self) -> None:
        """Do now what the dock does every second."""
        self.controller.tick()
        self.view.reset_mock()  # a mock remembers every call, which looks like a leak

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Go on until ``done``; `StillWaitingError` where it never comes."""
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise StillWaitingError(what)
            self.go_on()
            time.sleep(0.002)

    def until_idle(self) -> None:
        """Go on until no job runs, warming up included."""
        jobs = self.controller.jobs
        self.until(lambda: not (jobs.busy or jobs.warming or self.runner.running), "the job's end")

    def until_known(self) -> None:
        """Go on until it is known whether there is earlier work."""
        kept = self.controller.saving._kept
        assert kept is not None
        self.until(lambda: kept.known.done(), "a look at earlier work")
        self.save()

    def until_masks_are_back(self) -> None:
        """Go on until the kept masks of restored work are on screen."""
        kept = self.controller.saving._kept
        assert kept is not None

        def back() -> bool:
            self.save()
            return kept.predictions._back is None

        self.until(back, "kept masks")

    def until_saved(self) -> None:
        """Save what there is and wait for it to be on disk."""
        kept = self.controller.saving._kept
        assert kept is not None

        def saved() -> bool:
            self.save()
            session = self.session
            nothing = not (session.annotations.usable_slices() or len(session.rounds))
            return kept.writing is None and (nothing or not (kept.changed or kept.slices))

        self.until(saved, "the last save")

    def close(self) -> None:
        """Close the window."""
        self.controller.close()
