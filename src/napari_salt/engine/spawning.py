"""Start the child process without running the user's main module a second time.

``multiprocessing`` imports the parent's ``__main__`` again in a spawned child. For a script without
the ``if __name__ == "__main__"`` guard that would open a second viewer; for napari's entry point it
only costs time. Our child needs nothing from there, so it is started without it (joblib's loky does
the same by a start method of its own).
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import spawn
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

CHILD_NAME = "napari-salt engine"

_patching = threading.Lock()


def start_child(
    body: Callable[[Connection, float | None], None], idle_seconds: float | None
) -> tuple[SpawnProcess, Connection]:
    """Start ``body(pipe, idle_seconds)`` in a fresh interpreter; (process, our end of the pipe)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=True)
    process = context.Process(
        target=body, args=(theirs, idle_seconds), name=CHILD_NAME, daemon=True
    )
    with _without_main_module():
        process.start()
    # Only the child may hold its end: its death must show as end of file on ours.
    theirs.close()
    return process, ours


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Prepare processes named ``CHILD_NAME`` without the parent's main module."""
    with _patching:
        original = spawn.get_preparation_data

        def prepare(name: str) -> dict[str, Any]:
            data: dict[str, Any] = original(name)
            # Other threads may spawn at the same moment; theirs stay as they are.
            if name == CHILD_NAME:
                data.pop("init_main_from_name", None)
                data.pop("init_main_from_path", None)
            return data

        spawn.get_preparation_data = prepare
        try:
            yield
        finally:
            spawn.get_preparation_data = original
