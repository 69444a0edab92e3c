"""How a command ends when it is told to by a signal; light, as it is there before anything else is imported."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def exit_code(error: KeyboardInterrupt) -> int:
    """As shells count it: 128 and the number of the signal."""
    return 128 + error.number if isinstance(error, Terminated) else INTERRUPTED


class Terminated(KeyboardInterrupt):
    """The system, or somebody, has asked this process to end; ``number`` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process, after a moment to tidy up: as of a batch system, or of a terminal that is closed."""


@contextlib.contextmanager
def ended_tidily() -> Iterator[None]:
    """Raise `Terminated` for `ENDINGS`, as Ctrl-C raises ``KeyboardInterrupt``; not where they are handled already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise Terminated(number)

    ours = [one for one in ENDINGS if signal.getsignal(one) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
