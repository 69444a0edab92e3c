"""Tells a child process that hangs from one that works on something long."""

from __future__ import annotations

import time

import psutil

CHECKS = 10
"""Checks without any sign of life that make a hang. Counted, not timed: a computer that slept is no hang."""
LEAST_CPU_SECONDS = 0.05
"""CPU time that counts as work; a process that only waits takes less in any number of minutes."""


class Watchdog:
    """Watches a process that may take as long as it likes, as long as it does something.

    Messages and CPU time are signs of life, so that no step is too long on a slow machine.

    Parameters
    ----------
    pid
        The process.
    seconds
        How long it may give no sign.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._pause = seconds / CHECKS
        self._cpu_seconds = 0.0
        self.heard()

    def heard(self) -> None:
        """A message came, or it is not the process that keeps us waiting."""
        self._quiet = 0
        self._next = time.monotonic() + self._pause

    def hangs(self) -> bool:
        """Whether there was no sign of life for so long; to be asked often, which costs next to nothing."""
        if time.monotonic() < self._next:
            return False
        quiet = self._quiet + 1
        self.heard()
        spent = _cpu_seconds(self._pid)
        if spent is None or spent - self._cpu_seconds > LEAST_CPU_SECONDS:
            self._cpu_seconds = spent or 0.0
            return False
        self._quiet = quiet
        return quiet >= CHECKS


def _cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has taken; None where that cannot be told."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
