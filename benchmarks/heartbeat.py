"""How long the event loop keeps people waiting, and what it was doing meanwhile.

A precise timer of Qt ticks every ``BEAT`` seconds on the main thread. A tick that comes late by s seconds means
that the loop was busy for s seconds and handled nothing: no click, no key, no redraw. So every gap between two ticks
gives one stall, max(0, gap - BEAT). What is reported is how long a click *at a random moment* waits for an answer to
begin, which is worked out from the stalls: a click that comes while the loop is busy waits for what is left of that
stall, any other waits for nothing. (Percentiles over ticks would flatter: the longest stalls have the fewest ticks.)

A second thread only watches: when the last tick is older than ``WATCH`` seconds it notes the stack of the main thread,
so that a stall can be told from its cause. Where Python went through all of its objects in search of garbage, that is
noted as the cause. The two cost less than one part in a hundred of a core.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from qtpy.QtCore import QObject, Qt, QTimer

BEAT = 0.005
"""Seconds between ticks."""
WATCH = 0.1
"""Stalls longer than this have their stack noted."""
GARBAGE = "Python looking through all objects for garbage"
_LOOK = 0.02


def wait_percentile(stalls: Sequence[float], seconds: float, percent: float) -> float:
    """Seconds that a click at a random moment waits at most, in ``percent`` of a hundred cases.

    ``stalls`` are the lengths of all stalls within a span of ``seconds``. A click waits longer than x where it falls
    into the first (s - x) of a stall of length s; the x is looked for where that adds up to the rest of the time.
    """
    allowed = (1 - percent / 100) * seconds
    longest = sorted(stalls, reverse=True)
    total = 0.0
    for count, stall in enumerate(longest, 1):
        total += stall
        shorter = longest[count] if count < len(longest) else 0.0
        if total - count * shorter >= allowed:
            return max(0.0, (total - allowed) / count)
    return 0.0


@dataclass(frozen=True)
class Pulse:
    """What was measured in one scene: ``stalls`` in seconds, and the stacks of those longer than ``WATCH``."""

    seconds: float
    stalls: tuple[float, ...]
    causes: tuple[tuple[float, str], ...] = ()
    """Length of a stall and where the main thread was most of the time, longest first."""

    @property
    def worst(self) -> float:
        """Longest stall in seconds."""
        return max(self.stalls, default=0.0)

    def wait(self, percent: float) -> float:
        """See `wait_percentile`."""
        return wait_percentile(self.stalls, self.seconds, percent)


@dataclass(eq=False)
class Heartbeat:
    """Measures from ``start`` to ``stop``; both on the main thread, which must run an event loop between them."""

    _ticks: list[float] = field(default_factory=list)
    _noted: list[tuple[float, str]] = field(default_factory=list)
    """Moment of the tick before, and the stack, of every look during a long stall."""
    _searches: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of every look through all objects for garbage."""
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self, parent: QObject | None = None) -> None:
        self._timer = QTimer(parent)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(BEAT * 1000))
        self._timer.timeout.connect(self._tick)
        self._main = threading.get_ident()
        gc.callbacks.append(self._searched)
        self._tick()
        self._timer.start()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def stop(self) -> Pulse:
        self._timer.stop()
        self._tick()
        self._over.set()
        self._watch.join()
        gc.callbacks.remove(self._searched)
        gaps = zip(self._ticks, self._ticks[1:], strict=False)
        stalls = tuple(max(0.0, later - earlier - BEAT) for earlier, later in gaps)
        return Pulse(self._ticks[-1] - self._ticks[0], stalls, self._causes())

    def _tick(self) -> None:
        self._ticks.append(time.perf_counter())

    def _searched(self, phase: str, about: dict[str, int]) -> None:
        if about["generation"] == 2 and phase == "start":
            self._searches.append((time.perf_counter(), float("inf")))
        elif about["generation"] == 2 and self._searches:
            self._searches[-1] = (self._searches[-1][0], time.perf_counter())

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            last = self._ticks[-1]
            # sure to be a stall of this length when the next tick comes
            if time.perf_counter() - last - BEAT > WATCH:
                self._noted.append((last, _place_of(self._main)))

    def _causes(self) -> tuple[tuple[float, str], ...]:
        following = dict(zip(self._ticks, self._ticks[1:], strict=False))
        places: dict[float, Counter[str]] = {}
        for tick, where in self._noted:
            places.setdefault(tick, Counter())[where] += 1
        # the watching thread stands still while Python searches, and sees nothing of it
        for begin, _ in self._searches:
            places.setdefault(self._ticks[bisect(self._ticks, begin) - 1], Counter())
        causes = [
            (following[tick] - tick - BEAT, self._cause(tick, following[tick], found))
            for tick, found in places.items()
            if tick in following and following[tick] - tick - BEAT > WATCH
        ]
        return tuple(sorted(causes, reverse=True))

    def _cause(self, tick: float, following: float, places: Counter[str]) -> str:
        """Of the stall between two ticks."""
        inside = ((min(end, following) - max(start, tick)) for start, end in self._searches)
        searching = sum(seconds for seconds in inside if seconds > 0)
        if searching > (following - tick) / 2:
            return GARBAGE
        return " + ".join(where for where, _ in places.most_common(2))


def _place_of(thread: int) -> str:
    """Where a thread is now. Its frames are not held on to: what lives in one would outlive it, a painter say."""
    walk = traceback.walk_stack(sys._current_frames()[thread])
    return place(traceback.StackSummary.extract(walk, lookup_lines=False)[::-1])


def place(stack: Sequence[traceback.FrameSummary]) -> str:
    """A stack in one line: the innermost call, and our own innermost and outermost ones where there are any."""
    named = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in stack]
    ours = [name for name in named if "napari_salt/" in name]
    chosen = [*ours[:1], *ours[-1:], named[-1]] if ours else named[-3:]
    return " > ".join(dict.fromkeys(chosen))


def _short(filename: str) -> str:
    parts = filename.replace("\\", "/").split("/")
    for root in ("site-packages", "src"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return "/".join(parts[-2:])
