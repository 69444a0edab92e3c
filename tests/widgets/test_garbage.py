"""Python looks for garbage in pauses, and lets go what a layer that has gone leaves behind."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QPoint, Qt

from napari_salt.widgets import garbage
from napari_salt.widgets.garbage import ALL_EVERY, FREEZE_EVERY, PAUSE, GarbageInPauses


class Hands:
    """Mouse and clock."""

    def __init__(self) -> None:
        self.now, self.x, self.buttons = 0.0, 0, Qt.MouseButton.NoButton

    def pos(self) -> QPoint:
        return QPoint(self.x, 0)

    def mouseButtons(self) -> Qt.MouseButton:  # noqa: N802 - as Qt calls it
        return self.buttons


class Cycle:
    """What only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def hands(qapp, monkeypatch):
    hands = Hands()
    monkeypatch.setattr(garbage, "QCursor", hands)
    monkeypatch.setattr(garbage, "QApplication", hands)
    return hands


@pytest.fixture
def pauses(hands):
    gc.collect()
    made = GarbageInPauses(lambda: hands.now)
    yield made
    made.close()


@pytest.fixture
def viewer():
    return SimpleNamespace(layers=[Cycle()], dims=SimpleNamespace(current_step=(0, 0, 0)))


@pytest.fixture
def looked(monkeypatch):
    """How many objects each look goes through."""
    found = []
    real = gc.collect

    def collect():
        found.append(len(gc.get_objects()))
        return real()

    monkeypatch.setattr(garbage.gc, "collect", collect)
    return found


def wait(pauses, hands, viewer, seconds: float) -> None:
    for _ in range(round(seconds)):
        hands.now += 1
        pauses.tick(viewer)


def test_what_is_there_is_passed_over(pauses):
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < gc.get_freeze_count() / 10


def test_what_is_new_is_looked_through_now_and_then_in_a_pause(pauses, hands, viewer, looked):
    frozen = gc.get_freeze_count()
    new = [[] for _ in range(1000)]
    wait(pauses, hands, viewer, FREEZE_EVERY - 1)
    assert looked == []
    wait(pauses, hands, viewer, 1)
    assert len(looked) == 1
    assert looked[0] < frozen / 10
    assert gc.get_freeze_count() >= frozen + len(new)


@pytest.mark.parametrize("what", ["moves", "drags", "scrolls"])
def test_nothing_is_looked_through_while_somebody_does_something(
    pauses, hands, viewer, looked, what
):
    for second in range(round(2 * ALL_EVERY)):
        if what == "moves":
            hands.x = second
        elif what == "drags":
            hands.buttons = Qt.MouseButton.LeftButton
        else:
            viewer.dims.current_step = (second, 0, 0)
        wait(pauses, hands, viewer, 1)
    assert looked == []
    hands.buttons = Qt.MouseButton.NoButton
    wait(pauses, hands, viewer, PAUSE)
    assert len(looked) == 1


def test_what_a_layer_leaves_behind_is_freed_in_the_next_pause(pauses, hands, viewer):
    wait(pauses, hands, viewer, FREEZE_EVERY + 1)  # it is frozen by then
    left = weakref.ref(viewer.layers[0])
    viewer.layers = []
    gc.collect()
    assert left() is not None, "or nothing would be shown"
    wait(pauses, hands, viewer, PAUSE)
    assert left() is None


def test_other_garbage_is_freed_sooner_or_later(pauses, hands, viewer):
    one = Cycle()
    wait(pauses, hands, viewer, FREEZE_EVERY + 1)
    left = weakref.ref(one)
    del one
    wait(pauses, hands, viewer, ALL_EVERY)
    assert left() is None


def test_closing_leaves_everything_to_python(pauses):
    pauses.close()
    assert gc.get_freeze_count() < 1000
