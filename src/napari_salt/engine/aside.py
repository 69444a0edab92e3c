"""One long function of numpy in a process of its own, which is ended when nobody wants its answer any more.

For what holds Python's lock, or answers no question, for seconds. Without torch, and so without the engine's child.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from napari_salt.engine.manners import be_a_good_child
from napari_salt.engine.spawning import start_child
from napari_salt.errors import JobFailed, JobStopped, NapariSaltError
from napari_salt.scratch import Scratch, handing_over, sweep

Answer = TypeVar("Answer")

POLL_SECONDS = 0.1
_WAIT_SECONDS = 5.0


def run_aside(
    work: Callable[..., Answer], *args: Any, stopped: Callable[[], bool] = lambda: False
) -> Answer:
    """What ``work(*args)`` returns in a fresh process.

    Parameters
    ----------
    work
        A function of a module. `scratch.Scratch` arrays among arguments and answer go by their file's name, and belong
        to the other process from then on.
    stopped
        Asked ten times a second; True ends the process.

    Raises
    ------
    JobStopped
        After ``stopped``.
    JobFailed
        When the process could not be started, died, ran out of memory, or ``work`` raised what is none of ours.
    NapariSaltError
        What ``work`` raised, where it is one of ours.
    """
    try:
        process, pipe = start_child(_main, None)
    except OSError as error:
        raise JobFailed(f"No process could be started ({error}).") from error
    try:
        with handing_over():
            pipe.send((work, args))
        while not pipe.poll(POLL_SECONDS):
            if stopped():
                raise JobStopped("Stopped.")
        answer, problem, details = pipe.recv()
    except (EOFError, OSError) as lost:
        raise JobFailed("The process ended unexpectedly (out of memory?).") from lost
    finally:
        process.kill()
        process.join(_WAIT_SECONDS)
        pipe.close()
        for given in args:
            if isinstance(given, Scratch):
                given.remove_file()
        sweep()  # what a killed process has left
    if problem is not None:
        if details:
            problem.add_note(f"In its process:\n{details}")
        raise problem
    result: Answer = answer
    return result


def _main(pipe: Connection, idle_seconds: float | None) -> None:
    """Body of the process."""
    del idle_seconds
    be_a_good_child()
    answer: Any = None
    problem: NapariSaltError | None = None
    details = ""
    try:
        work, args = pipe.recv()
        answer = work(*args)
    except NapariSaltError as ours:
        problem = ours
    except MemoryError:
        problem = JobFailed("The computer ran out of memory.")
    except Exception as other:  # noqa: BLE001
        # The edge of the process: whatever a library raises must reach the user.
        text = " ".join(str(other).split())
        problem = JobFailed(f"{type(other).__name__}: {text}.")
        details = "".join(traceback.format_exception(other))
    with suppress(BrokenPipeError), handing_over():  # nobody is left to be told
        pipe.send((answer, problem, details))
