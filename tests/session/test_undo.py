"""How much of the past is kept."""

from __future__ import annotations

import numpy as np

from napari_salt.session.undo import STROKE, PaintHistory, PaintStep, PaintSteps


def step(index, pixels=1, **kwargs):
    ids = np.ones(pixels, np.uint16)
    return PaintStep(index, np.arange(pixels), 0 * ids, ids, **kwargs)


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
    assert [done.index for done in iter(history.undo, None)] == [3]


def test_all_that_a_step_remembers_counts():
    one = step(0, 10)
    assert one.nbytes == 10 * (one.pixels.itemsize + 2 + 2)


def test_strokes_are_no_fills():
    history = PaintHistory()
    history.did(step(1))
    history.did(step(2, what=STROKE))
    assert (history.next_fill.index, history.next_undo.index) == (1, 2)
    assert history.undo_fill().index == 1
    assert history.undo_fill() is None
    assert history.undo().index == 2
    assert [done.index for done in iter(history.redo, None)] == [2, 1]


def test_a_fill_taken_out_of_turn_is_not_brought_back_by_strokes_over_it():
    """Fill 2s, paint 1 over the first, then 2 over that, then 1 again; drop the fill."""
    history = PaintHistory()
    plane = np.zeros((1, 3), np.uint16)

    def do(pixels, before, after, **kwargs):
        ids = (np.array(ids, np.uint16) for ids in (before, after))
        new = PaintStep(0, np.array(pixels), *ids, **kwargs)
        new.make_again(plane)
        history.did(new)

    do([0, 1, 2], [0, 0, 0], [2, 2, 2])
    do([0], [2], [1], what=STROKE)
    do([0], [1], [2], what=STROKE)
    do([0, 1], [2, 2], [1, 1], what=STROKE)
    history.undo_fill().take_back(plane)
    assert plane.tolist() == [[1, 1, 0]]
    seen = []
    for done in iter(history.undo, None):
        done.take_back(plane)
        seen.append(plane[0].tolist())
    assert seen == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_a_fill_of_several_slices_is_not_brought_back_by_strokes_over_all_of_them():
    history, stack = PaintHistory(), np.zeros((3, 1, 3), np.uint16)

    def do(slices, pixels, before, after, **kwargs):
        parts = tuple(
            PaintStep(index, np.array(pixels), np.array(before, "u2"), np.array(after, "u2"))
            for index in slices
        )
        for part in parts:
            part.make_again(stack[part.index])
        history.did(PaintSteps(slices[0], parts, **kwargs))

    do([2], [0, 1], [0, 0], [2, 2], what=STROKE)  # looks as the fill, and is none of it
    do([0, 1], [0, 1], [0, 0], [2, 2])
    do([2], [0], [2], [1], what=STROKE)
    do([0, 1], [0], [2], [1], what=STROKE)
    do([0, 1], [0], [1], [2], what=STROKE)
    do([0, 1], [0, 1], [2, 2], [3, 3], what=STROKE)
    fill = history.undo_fill()
    assert fill.slices == (0, 1)
    seen = []
    for done in iter(history.undo, None):
        for part in done.parts:
            part.take_back(stack[part.index])
        seen.append(stack[:, 0, :2].tolist())
    assert seen == [
        [[2, 0], [2, 0], [1, 2]],
        [[1, 0], [1, 0], [1, 2]],
        [[0, 0], [0, 0], [1, 2]],
        [[0, 0], [0, 0], [2, 2]],
        [[0, 0], [0, 0], [0, 0]],
    ]


def test_what_can_be_undone_and_redone_is_known():
    history = PaintHistory()
    assert (history.can_undo, history.can_redo) == (False, False)
    assert (history.next_undo, history.next_redo, history.undo(), history.redo()) == (None,) * 4
    history.did(step(1))
    assert (history.can_undo, history.can_redo) == (True, False)
    history.undo()
    assert (history.can_undo, history.can_redo) == (False, True)
    assert history.next_redo.slices == (1,)
    history.did(step(2))
    assert history.can_redo is False


def test_several_slices_are_one_step():
    parts = tuple(PaintStep(i, np.arange(2), np.zeros(2, "u2"), np.ones(2, "u2")) for i in (3, 4))
    both = PaintSteps(3, parts)
    assert both.nbytes == 2 * parts[0].nbytes
    assert both.says_something
    assert not both.without(1).says_something
    history = PaintHistory()
    history.did(both)
    history.forget_label(1)
    assert not history.can_undo
