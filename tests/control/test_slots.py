"""How wishes are answered, and what of it reaches the view."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest
from psygnal import Signal

from napari_salt.control.shown import Shown
from napari_salt.control.slots import Slots
from napari_salt.errors import InputError
from napari_salt.views import DockView, ProgressState


class Bell:
    rung = Signal(int)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def slots(heard):
    return Slots(
        lambda sentence: heard.append(f"failed: {sentence}"), lambda: heard.append("shown")
    )


def test_an_act_is_followed_by_a_look_at_everything(slots, heard):
    bell = Bell()

    def act(number):
        heard.append((number, slots.acting))

    slots.hear([(bell.rung, act), (bell.rung, lambda number: heard.append("next"))])
    bell.rung.emit(3)
    assert heard == [(3, True), "shown", "next", "shown"]
    assert not slots.acting


def test_an_error_of_ours_is_a_sentence_and_the_view_still_follows(slots, heard):
    bell = Bell()

    def act(number):
        raise InputError("Paint a slice first.")

    slots.hear([(bell.rung, act)])
    bell.rung.emit(1)
    assert heard == ["failed: Paint a slice first.", "shown"]
    assert not slots.acting


def test_a_fault_is_no_sentence(slots, heard):
    bell = Bell()

    def act(number):
        raise ZeroDivisionError

    slots.hear([(bell.rung, act)])
    with pytest.raises(Exception, match="ZeroDivisionError"):
        bell.rung.emit(1)
    assert heard == []
    assert not slots.acting


def test_an_act_within_an_act_leaves_the_outer_one_acting(slots, heard):
    inner, outer = Bell(), Bell()

    def act(number):
        inner.rung.emit(1)
        heard.append(slots.acting)

    slots.hear([(inner.rung, lambda number: None), (outer.rung, act)])
    outer.rung.emit(1)
    assert heard == ["shown", True, "shown"]


def test_nothing_is_heard_once_they_are_closed(slots, heard):
    bell = Bell()
    slots.hear([(bell.rung, heard.append)])
    slots.close()
    bell.rung.emit(1)
    assert heard == []
    slots.close()


def test_a_view_is_given_a_state_only_where_it_is_another_one():
    view = create_autospec(DockView, instance=True)
    shown = Shown(view)
    for busy in (False, False, True):
        shown.show("progress", ProgressState(busy))
    shown.show("selected_label", None)
    shown.show("selected_label", None)
    given = [call.args[0] for call in view.set_progress.call_args_list]
    assert given == [ProgressState(False), ProgressState(True)]
    view.set_selected_label.assert_called_once_with(None)


@pytest.mark.parametrize("fails", [False, True])
def test_a_widget_that_has_run_ahead_is_told_again(fails):
    view = create_autospec(DockView, instance=True)
    shown = Shown(view)

    def act(number):
        if fails:
            raise InputError(str(number))

    for name in ("score", "progress"):
        shown.show(name, "old")
    acted = shown.anew_after("score", act)
    if fails:
        with pytest.raises(InputError, match="4"):
            acted(4)
    else:
        acted(4)
    for name in ("score", "progress"):
        shown.show(name, "old")
    assert view.set_score.call_count == 2
    assert view.set_progress.call_count == 1
    shown.anew_after("coverage", act)  # not shown yet, and nobody has acted
