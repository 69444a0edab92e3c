"""Cores that others use: measured over half a second, our own work taken off."""

from __future__ import annotations

import time

import pytest

from napari_salt.model import load
from napari_salt.model.load import Look, OtherLoad


class System:
    """Cores that all programs and that this process keep busy, from one look to the next."""

    def __init__(self) -> None:
        self.now = Look(10.0, 500.0, 3.0)

    def pass_by(self, seconds, busy, own):
        self.now = Look(
            self.now.clock + seconds,
            self.now.busy + busy * seconds,
            self.now.own + own * seconds,
        )

    def __call__(self):
        return self.now


@pytest.fixture
def system():
    return System()


def test_what_others_use_is_what_is_left_of_the_whole(system):
    others = OtherLoad(system)
    assert others() == 0, "nothing to compare with yet"
    system.pass_by(2.0, 1.7, 0.9)
    assert others() == pytest.approx(0.8)
    system.pass_by(1.0, 0.5, 0.5)
    assert others() == 0


def test_a_short_time_tells_nothing_new(system):
    others = OtherLoad(system)
    system.pass_by(1.0, 2.0, 0.5)
    assert others() == pytest.approx(1.5)
    system.pass_by(load.WINDOW / 2, 0.5, 0.5)
    assert others() == pytest.approx(1.5)
    system.pass_by(load.WINDOW / 2, 0.5, 0.5)
    assert others() == 0


def test_clocks_that_do_not_fit_are_never_less_than_nothing(system):
    others = OtherLoad(system)
    system.pass_by(1.0, 0.9, 1.0)
    assert others() == 0


def test_the_system_tells_of_our_own_work():
    before = load.look()
    if not before.busy:
        pytest.skip("this system does not tell what its cores do")
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    after = load.look()
    assert after.clock > before.clock
    assert after.own - before.own >= 0.3
    assert after.busy - before.busy >= 0.2, "of which the system knows, in hundredths of a second"


def test_only_a_process_that_was_told_heeds_others(monkeypatch, system):
    monkeypatch.setattr(load, "_heeded", None)
    assert load.others() == 0
    monkeypatch.setattr(load, "look", system)
    monkeypatch.setattr(load, "OtherLoad", lambda: OtherLoad(system))
    load.heed_others()
    system.pass_by(1.0, 1.0, 0.25)
    assert load.others() == pytest.approx(0.75)
