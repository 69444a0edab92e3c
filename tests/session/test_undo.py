"""How much of the past is kept."""

from __future__ import annotations

import numpy as np

from napari_salt.session.undo import PaintHistory, PaintStep


def step(index, pixels=1):
    ids = np.ones(pixels, np.uint16)
    return PaintStep(index, np.arange(pixels), 0 * ids, ids)


def test_the_oldest_steps_are_forgotten():
    history = PaintHistory(max_steps=2)
    for index in range(4):
        history.did(step(index))
    assert [done.index for done in iter(history.undo, None)] == [3, 2]


def test_memory_is_bounded_but_the_newest_step_is_kept():
    history = PaintHistory(max_bytes=step(0, 10).nbytes * 2)
    history.did(step(0, 10))
    history.did(step(1, 10))
    history.did(step(2, 10))
    assert [done.index for done in iter(history.undo, None)] == [2, 1]
    history.did(step(3, 1000))
    assert history.next_undo is not None
    assert history.next_undo.index == 3
