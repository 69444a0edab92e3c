"""What a click waits for is worked out from the stalls, and stacks are told in one line."""

from __future__ import annotations

import gc
import traceback

import numpy as np
import pytest

import latency
from heartbeat import GARBAGE, WATCH, Heartbeat, Pulse, place, wait_percentile
from sitting import Scene


@pytest.mark.parametrize(
    ("stalls", "percent", "waits"),
    [
        ([], 95, 0.0),
        ([1.0], 50, 0.0),  # nine of ten clicks meet a free loop
        ([1.0], 95, 0.5),  # one in twenty falls into the first half second of the stall
        ([0.1] * 10, 95, 0.05),
        ([2.0, 1.0], 90, 1.0),
    ],
)
def test_clicks_at_random_moments(stalls, percent, waits):
    assert wait_percentile(stalls, 10.0, percent) == pytest.approx(waits)


def test_percentiles_agree_with_clicks_that_are_drawn():
    rng = np.random.default_rng(0)
    stalls = rng.exponential(0.05, 100)
    ends, clicks = stalls.cumsum(), rng.uniform(0, 20, 200_000)
    stall = np.searchsorted(ends, clicks)
    waits = np.where(stall < 100, ends[np.minimum(stall, 99)] - clicks, 0.0)
    for percent in (50, 90, 95, 99):
        worked_out = wait_percentile(list(stalls), 20.0, percent)
        assert worked_out == pytest.approx(np.percentile(waits, percent), abs=0.003)


def test_a_stall_is_seen_with_its_cause(qapp, qtbot):
    heart = Heartbeat()
    heart.start()
    started = heart._ticks[0]

    def hold_everything_up():
        while not heart._noted:
            pass

    hold_everything_up()
    qtbot.waitUntil(lambda: len(heart._ticks) > 1)
    pulse = heart.stop()
    assert pulse.worst > WATCH
    assert pulse.seconds == pytest.approx(heart._ticks[-1] - started)
    assert any("hold_everything_up" in cause for _, cause in pulse.causes)


def test_a_search_for_garbage_is_told_as_the_cause_though_nobody_can_watch_it(qapp, qtbot):
    heart = Heartbeat()
    heart.start()
    keep = [[] for _ in range(10**5)]
    while heart._searches == [] or sum(end - begin for begin, end in heart._searches) < 2 * WATCH:
        gc.collect()
    del keep
    qtbot.waitUntil(lambda: len(heart._ticks) > 1)
    pulse = heart.stop()
    assert GARBAGE in [cause for _, cause in pulse.causes]
    assert heart._searched not in gc.callbacks


def test_a_stack_in_one_line():
    frames = [
        ("/x/site-packages/napari/viewer.py", 1, "run"),
        ("/y/src/napari_salt/controller.py", 2, "slot"),
        ("/y/src/napari_salt/viewer_link/link.py", 3, "_make"),
        ("/x/site-packages/vispy/gloo/gl.py", 4, "glClear"),
    ]
    line = place([traceback.FrameSummary(*frame) for frame in frames])
    assert line == (
        "napari_salt/controller.py:2 slot > napari_salt/viewer_link/link.py:3 _make > "
        "vispy/gloo/gl.py:4 glClear"
    )


def test_bars_and_words():
    calm = Scene("adapting", True, Pulse(10.0, (0.01,) * 100), "round 1 done")
    slow = Scene("segmenting", True, Pulse(10.0, (0.3,), ((0.3, "link.py:1 _make"),)))
    other = Scene("idle", False, Pulse(10.0, (0.4,)))
    assert latency.reached(calm)
    assert not latency.reached(slow)
    assert "stays below both" in latency.section([calm, other])
    assert "was not measured" in latency.section([other])
    assert "Not run" not in latency.section([other])
    assert "Not run: dock-large." in latency.section([calm], ["dock-large"])
    text = latency.section([calm, slow, other])
    assert "Not reached: segmenting." in text
    assert "| idle | napari alone | – |" in text
    assert "`link.py:1 _make` | 300 |" in text
    assert "round 1 done" in text
