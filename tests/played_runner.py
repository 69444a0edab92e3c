"""A job runner whose engine is the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_salt.errors import JobFailed


class PlayedRunner:
    """Keeps the callbacks of the one job that runs; tests play the engine.

    ``requests`` are those that were submitted; ``stops`` counts the wishes to stop. It ``refuses`` jobs when told to.
    """

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.calls: dict[str, Callable[..., None]] | None = None
        self.stops, self.closed, self.refuses = 0, False, False

    @property
    def running(self) -> bool:
        return self.calls is not None

    def submit(self, request: Any, planes: Any, **calls: Callable[..., None]) -> int:
        assert not self.running, "one job at a time"
        if self.refuses:
            raise JobFailed("Another job is still running.")
        self.requests.append(request)
        self.calls = calls
        return len(self.requests)

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        self.closed = True

    def report(self, *reports: Any) -> None:
        assert self.calls is not None
        for report in reports:
            self.calls["on_report"](report)

    def end(self, how: str = "on_done", *args: Any) -> None:
        """Let the job end; one that is done without a word has no result."""
        calls, self.calls = self.calls, None
        assert calls is not None
        calls[how](*(args or ((None,) if how == "on_done" else ())))
