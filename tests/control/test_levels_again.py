"""What was erased and renamed between the levels of a pyramid, after the application was closed and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from level_desk import Desk, after_restart
from napari_salt.io.session_folder import AGREED, read_state
from napari_salt.viewer_link import images

FINE, MIDDLE, COARSE = 0, 1, 2


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 24 * 24)
    made = Desk(tmp_path / "store")
    yield made
    made.controller.close()


def go(desk: Desk, level: int) -> None:
    """Change the level; work that is offered there is restored."""
    desk.wishes.level_chosen.emit(level)
    desk.tick()
    if desk.status.startswith("Restore"):
        desk.wishes.offer_taken.emit()
        desk.tick()


def erase(desk: Desk, index: int, where) -> None:
    desk.session.annotations.paint[index][where] = 0
    desk.link.signals.painted.emit((index,))
    desk.tick()


def paint(desk: Desk, index: int, where, label_id: int = 1) -> None:
    if not len(desk.session.labels):
        desk.wishes.label_added.emit("cell")
    desk.session.annotations.paint[index][where] = label_id
    desk.link.signals.painted.emit((index,))
    desk.tick()


def painted(desk: Desk, index: int) -> np.ndarray:
    return desk.session.annotations.paint[index].copy()


def cells(*parts) -> np.ndarray:
    """A slice of the middle level with paint in some of its parts."""
    plane = np.zeros((24, 24), np.uint16)
    for part in parts:
        plane[part] = 1
    return plane


WHOLE, LEFT = np.s_[4:12, 4:12], np.s_[4:12, 4:8]
WHOLE_FINE, RIGHT_FINE = np.s_[8:24, 8:24], np.s_[8:24, 16:24]


def at_both_levels(desk: Desk) -> None:
    """Paint two slices, and see the same at the finest level, which is open then."""
    paint(desk, 1, WHOLE)
    paint(desk, 2, WHOLE)
    go(desk, FINE)
    desk.tick()


def test_what_was_erased_before_closing_stays_erased_at_the_other_level(desk, tmp_path):
    at_both_levels(desk)
    erase(desk, 1, RIGHT_FINE)
    erase(desk, 2, np.s_[:])
    with after_restart(desk, tmp_path / "store") as again:
        assert again.image.level == FINE
        go(again, MIDDLE)
        np.testing.assert_array_equal(painted(again, 1), cells(LEFT))
        assert again.session.annotations.painted_slices() == (1,)
        go(again, FINE)
        assert again.session.annotations.painted_slices() == (1,)
        assert not painted(again, 1)[RIGHT_FINE].any()


def test_what_is_erased_after_opening_again_is_erased_at_the_other_level(desk, tmp_path):
    at_both_levels(desk)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, RIGHT_FINE)
        go(again, MIDDLE)
        np.testing.assert_array_equal(painted(again, 1), cells(LEFT))
        np.testing.assert_array_equal(painted(again, 2), cells(WHOLE))
        go(again, FINE)
        assert not painted(again, 1)[RIGHT_FINE].any()
        assert painted(again, 2)[WHOLE_FINE].all()


def test_what_was_erased_waits_for_the_other_level_over_several_restarts(desk, tmp_path):
    at_both_levels(desk)
    with after_restart(desk, tmp_path / "store") as second:
        erase(second, 1, RIGHT_FINE)
        with after_restart(second, tmp_path / "store") as third:
            erase(third, 1, np.s_[8, 8])
            erase(third, 2, np.s_[8:16, :])
            go(third, MIDDLE)
            np.testing.assert_array_equal(painted(third, 1), cells(LEFT))
            np.testing.assert_array_equal(painted(third, 2), cells(np.s_[8:12, 4:12]))


def test_what_was_erased_follows_to_every_level_that_was_worked_at(desk, tmp_path):
    paint(desk, 1, WHOLE)
    paint(desk, 2, WHOLE)
    go(desk, COARSE)
    go(desk, FINE)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, np.s_[:])
        for level in (COARSE, MIDDLE, FINE, COARSE, MIDDLE):
            go(again, level)
            assert again.session.annotations.painted_slices() == (2,), level


def test_labels_that_were_removed_or_renamed_do_not_come_back(desk, tmp_path):
    desk.wishes.label_added.emit("cell")
    desk.wishes.label_added.emit("rim")
    paint(desk, 1, WHOLE)
    paint(desk, 2, WHOLE, 2)
    go(desk, FINE)
    with after_restart(desk, tmp_path / "store") as again:
        again.wishes.label_removed.emit(2)
        again.wishes.label_renamed.emit(1, "nucleus")
        again.tick()
        with after_restart(again, tmp_path / "store") as third:
            go(third, MIDDLE)
            assert [label.name for label in third.session.labels] == ["nucleus"]
            assert third.session.annotations.painted_slices() == (1,)


def test_a_tick_that_was_taken_away_stays_away(desk, tmp_path):
    paint(desk, 1, WHOLE)
    desk.session.annotations.set_complete(1, True)
    go(desk, FINE)
    with after_restart(desk, tmp_path / "store") as again:
        assert again.session.annotations.complete == {1}
        again.session.annotations.set_complete(1, False)
        again.tick()
        with after_restart(again, tmp_path / "store") as third:
            go(third, MIDDLE)
            assert third.session.annotations.complete == set()


def test_detail_of_the_finer_level_stays_where_nothing_was_erased(desk, tmp_path):
    go(desk, FINE)
    paint(desk, 1, np.s_[8:24, 9:24:3])
    fine = painted(desk, 1)
    go(desk, MIDDLE)
    desk.tick()
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, np.s_[8:12, :])
        go(again, FINE)
        fine[16:24] = 0
        np.testing.assert_array_equal(painted(again, 1), fine)


def test_undo_at_a_restored_level_takes_back_what_was_erased_elsewhere(desk, tmp_path):
    at_both_levels(desk)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, RIGHT_FINE)
        go(again, MIDDLE)
        again.wishes.undo_accept.emit()
        np.testing.assert_array_equal(painted(again, 1), cells(WHOLE))
        again.tick()
        go(again, FINE)
        assert not painted(again, 1)[RIGHT_FINE].any()


def test_what_came_along_to_a_restored_level_is_kept_there(desk, tmp_path):
    at_both_levels(desk)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, RIGHT_FINE)
        go(again, MIDDLE)
        with after_restart(again, tmp_path / "store") as third:
            assert third.image.level == MIDDLE
            np.testing.assert_array_equal(painted(third, 1), cells(LEFT))
            erase(third, 1, LEFT)
            go(third, FINE)
            assert third.session.annotations.painted_slices() == (2,)


def test_where_both_levels_have_changed_apart_nothing_is_lost(desk, tmp_path):
    at_both_levels(desk)
    (middle,) = (path for path, shape in kept(tmp_path) if shape[1] == 24)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, RIGHT_FINE)
    other = Desk(tmp_path / "store")
    try:
        other.controller.saving.go_on(middle)
        assert other.image.level == MIDDLE
        paint(other, 3, LEFT)
        other.controller.close()
        last = Desk(tmp_path / "store")
        try:
            (fine,) = (path for path, shape in kept(tmp_path) if shape[1] == 47)
            last.controller.saving.go_on(fine)
            go(last, MIDDLE)
            assert last.session.annotations.painted_slices() == (1, 2, 3)
            go(last, FINE)
            assert last.session.annotations.painted_slices() == (1, 2, 3)
        finally:
            last.controller.close()
    finally:
        other.controller.close()


def test_a_level_is_written_when_another_one_has_changed_it(desk, tmp_path):
    at_both_levels(desk)
    erase(desk, 2, np.s_[:])
    desk.controller.close()
    states = {shape[1]: read_state(path) for path, shape in kept(tmp_path)}
    assert states[24].painted == states[47].painted == (1,)
    assert states[24].agreed == states[47].agreed is not None


def test_work_whose_agreement_is_damaged_is_still_restored(desk, tmp_path):
    at_both_levels(desk)
    with after_restart(desk, tmp_path / "store") as again:
        erase(again, 1, RIGHT_FINE)
    (array,) = (found for path, _ in kept(tmp_path) for found in path.glob(AGREED.format("*")))
    (array / "zarr.json").write_text("{}")
    third = Desk(tmp_path / "store")
    try:
        third.tick()
        third.wishes.offer_taken.emit()
        assert third.status.startswith("your work is back")
        assert third.session.annotations.painted_slices() == (1, 2)
        paint(third, 3, LEFT)
        assert "saved" not in third.status
    finally:
        third.controller.close()


def kept(folder) -> list[tuple[Path, tuple[int, ...]]]:
    """Kept sessions and the shapes of their stacks."""
    found = sorted((folder / "store").glob("*.salt"))
    return [(path, read_state(path).stack.shape) for path in found]
