from __future__ import annotations

from napari_salt.undo_order import UndoOrder


def test_last_in_first_out():
    order = UndoOrder()
    order.did("stroke")
    order.did("accept")
    order.did("stroke")
    assert [order.undo() for _ in range(4)] == ["stroke", "accept", "stroke", None]
    assert [order.redo() for _ in range(4)] == ["stroke", "accept", "stroke", None]


def test_a_new_step_ends_redo():
    order = UndoOrder()
    order.did("accept")
    order.undo()
    order.did("stroke")
    assert order.redo() is None


def test_accepts_survive_a_change_of_slice():
    order = UndoOrder()
    order.did("stroke")
    order.did("accept")
    order.did("stroke")
    order.forget_strokes()
    assert [order.undo(), order.undo()] == ["accept", None]


def test_undo_accept_looks_below_strokes():
    order = UndoOrder()
    order.did("accept")
    order.did("stroke")
    assert order.undo_accept()
    assert not order.undo_accept()
    assert order.undo() == "stroke"
