"""Rounds: numbers, the active one, restoring."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_salt.errors import InputError
from napari_salt.records import FitRecord
from napari_salt.session.rounds import Rounds

RECORD = FitRecord("salt", "lite-medsam", (1, 2), 100, 12.0, 5000, "adapted")


def listen(rounds):
    heard = []
    rounds.added.connect(lambda round_: heard.append(("added", round_.number)))
    rounds.activated.connect(lambda r: heard.append(("activated", None if r is None else r.number)))
    return heard


def test_a_new_round_is_active():
    rounds = Rounds()
    assert (rounds.active, rounds.last, rounds.next_number) == (None, None, 1)
    heard = listen(rounds)
    first, second = rounds.add(RECORD, "a", 10), rounds.add(RECORD, "b", 20)
    assert (first.number, second.number, second.size_bytes) == (1, 2, 20)
    assert (rounds.active, list(rounds)) == (second, [first, second])
    assert heard == [("added", 1), ("activated", 1), ("added", 2), ("activated", 2)]


def test_a_round_may_be_scored_later():
    rounds = Rounds()
    first, second = rounds.add(RECORD, "a", 10), rounds.add(RECORD, "b", 20)
    heard = listen(rounds)
    scored = replace(RECORD, held_out_before=0.9)
    assert rounds.score(1, scored) == replace(first, record=scored)
    assert list(rounds) == [replace(first, record=scored), second]
    assert (rounds.active, heard) == (second, [])
    with pytest.raises(InputError, match="no round 3"):
        rounds.score(3, scored)


def test_restore_and_go_on():
    rounds = Rounds()
    first, second = rounds.add(RECORD, "a", 10), rounds.add(RECORD, "b", 20)
    heard = listen(rounds)
    assert rounds.restore(1) == first
    assert rounds.restore(1) == first
    assert (rounds.active, rounds.last) == (first, second)
    assert rounds.add(RECORD, "c", 30).number == 3
    rounds.deactivate()
    rounds.deactivate()
    assert rounds.active is None
    assert heard == [("activated", 1), ("added", 3), ("activated", 3), ("activated", None)]


def test_rounds_go_on_from_earlier_work():
    earlier = Rounds()
    earlier.add(RECORD, "a", 10)
    earlier.add(RECORD, "b", 10)
    rounds = Rounds(earlier, active=1)
    assert rounds.active is not None
    assert (rounds.active.number, rounds.next_number, len(rounds)) == (1, 3, 2)


def test_unknown_rounds_are_named():
    rounds = Rounds()
    with pytest.raises(InputError, match="none yet"):
        rounds.restore(1)
    rounds.add(RECORD, "a", 10)
    with pytest.raises(InputError, match="no round 7; rounds: 1"):
        rounds.restore(7)
