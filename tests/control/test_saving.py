"""Work is kept while the user works, offered again, copied and moved; without Qt or a viewer."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import zipfile
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from napari_salt.control import kept_session, session_writer
from napari_salt.control.desk import IDLE
from napari_salt.errors import InputError, OutputError
from napari_salt.intensity import WINDOWS
from napari_salt.io.mask_store import MaskStore
from napari_salt.io.session_folder import STATE, SessionFolder, painted_chunks, read_state
from napari_salt.io.session_predictions import PREDICTIONS, adapter_sha256
from napari_salt.records import (
    BACKGROUND,
    FitSettings,
    SlicePrediction,
)
from napari_salt.session.agreement import Agreement
from napari_salt.session.stack import Stack
from saving_office import RECORD, Office, new_session, painted_in, predicted, worked

PATIENCE = 60.0
"""Seconds that a thread waits at most, so that a test which fails comes to an end."""


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path / "store")
    yield made
    made.saving.close()


def test_looking_at_an_image_keeps_nothing(office):
    office.session.labels.add("cell")
    office.tick()
    assert office.folders == []


def test_paint_is_on_disk_after_a_tick(office):
    office.session.labels.add("cell")
    office.paint(3, 1)
    office.tick()
    (path,) = office.folders
    office.saving.close()
    folder = SessionFolder.open_folder(path)
    assert np.array_equal(folder.paint(3), office.session.annotations.paint[3])
    assert [label.name for label in folder.state().labels] == ["cell"]
    folder.close()


def test_closing_writes_what_no_tick_has_seen(office):
    office.paint(3, BACKGROUND)
    office.tick()
    office.paint(5, BACKGROUND)
    office.saving.close()
    folder = SessionFolder.open_folder(office.folders[0])
    assert folder.painted_slices() == (3, 5)
    folder.close()


def test_leaving_while_a_write_is_under_way_loses_nothing(office):
    office.paint(1, BACKGROUND)
    wait([office.saving._kept.known])
    office.saving.tick()  # begins to write slice 1
    office.paint(2, BACKGROUND)
    office.saving.close()
    (path,) = office.folders
    folder = SessionFolder.open_folder(path)
    assert folder.painted_slices() == (1, 2)
    folder.close()


def test_the_same_stack_opened_later_is_offered_its_work(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    (tmp_path / "adapter").unlink()  # of a run that is over
    later = Office(tmp_path / "store")
    later.tick()
    assert later.desk.status.text == "Restore your work on “t1”? 2 slices, 1 round"
    assert later.desk.status.offer == "Restore"
    assert later.saving.offers_work
    later.desk.offer()
    assert not later.saving.offers_work
    session, before = later.session, office.session
    assert np.array_equal(session.annotations.paint, before.annotations.paint)
    assert session.annotations.complete == {4}
    assert tuple(session.labels) == tuple(before.labels)
    assert session.labels.next_id == before.labels.next_id
    assert session.skipped == {0}
    assert session.rounds.active is not None
    assert session.rounds.active.record == RECORD
    assert Path(session.adapter_path).read_bytes() == b"weights"
    later.desk.link.refresh_paint.assert_called()
    later.paint(5, 1)
    later.tick()
    assert len(later.folders) == 1, "it goes on where it was"
    later.saving.close()
    folder = SessionFolder.open_folder(later.folders[0])
    assert folder.painted_slices() == (1, 4, 5)
    assert folder.state().rounds[0].record == RECORD
    folder.close()


def test_what_was_painted_since_the_last_round_is_known_again(office, tmp_path):
    worked(office, tmp_path)
    office.session.snapshot()
    office.session.add_round(RECORD, tmp_path / "adapter", 7)
    assert office.session.slices_since_round == ()
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert later.session.slices_since_round == (), "nothing is new"
    later.paint(4, 1)
    later.tick()
    later.saving.close()
    last = Office(tmp_path / "store")
    last.tick()
    last.desk.offer()
    assert last.session.slices_since_round == (4,)
    last.saving.close()


def test_restored_settings_are_kept_and_shown(office, tmp_path):
    office.session.settings = FitSettings(rank=7, intensity=WINDOWS["lung"])
    worked(office, tmp_path)
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert later.session.settings == office.session.settings
    later.view.set_settings.assert_called_once_with(office.session.settings)
    later.saving.close()


def test_another_stack_is_offered_nothing(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    later = Office(tmp_path / "store", new_session(9))
    later.tick()
    assert later.desk.status.offer == ""
    later.saving.close()


def test_a_session_of_another_stack_is_refused_and_nothing_changes(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    later = Office(tmp_path / "store", new_session(9))
    later.paint(0, BACKGROUND)
    later.view.confirm.return_value = False
    with pytest.raises(InputError, match="open that image first"):
        later.saving.go_on(office.folders[0])
    assert later.session.annotations.painted_slices() == (0,)
    later.saving.close()


def test_new_paint_is_put_aside_only_after_asking(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    (kept,) = office.folders
    later = Office(tmp_path / "store")
    later.paint(0, BACKGROUND)
    later.view.confirm.return_value = False
    later.saving.go_on(kept)
    assert later.session.annotations.painted_slices() == (0,)
    later.view.confirm.return_value = True
    later.saving.go_on(kept)
    assert later.session.annotations.painted_slices() == (1, 4)
    (aside,) = set(later.folders) - {kept}
    folder = SessionFolder.open_folder(aside)
    assert folder.painted_slices() == (0,)
    folder.close()
    later.saving.close()


def test_a_second_window_sees_the_work_and_keeps_its_own_apart(office, tmp_path):
    worked(office, tmp_path)
    (first,) = office.folders
    other = Office(tmp_path / "store")
    other.tick()
    other.desk.offer()
    assert other.desk.status.text == (
        "your work is back: 2 slices, 1 round; it is open in another window too, so what you do here is kept as "
        "a session of its own"
    )
    assert np.array_equal(other.session.annotations.paint, office.session.annotations.paint)
    other.paint(5, 2)
    other.tick()
    office.paint(0, 1)
    office.tick()
    (second,) = set(office.folders) - {first}
    other.saving.close()
    office.saving.close()
    assert painted_in(first) == (0, 1, 4)
    assert painted_in(second) == (1, 4, 5)
    assert (second / "adapters" / "round-1.salt.safetensors").read_bytes() == b"weights"


def test_the_next_dock_goes_on_in_the_same_folder(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    again = Office(tmp_path / "store", office.session)
    again.paint(0, BACKGROUND)
    again.tick()
    again.tick()
    assert again.desk.status.offer == ""
    again.saving.close()
    (path,) = again.folders
    folder = SessionFolder.open_folder(path)
    assert folder.painted_slices() == (0, 1, 4)
    folder.close()


@pytest.mark.parametrize("tick", ["before it is left", "while it is away", "never"])
@pytest.mark.parametrize("is_slow", [True, False])
def test_an_image_that_is_left_at_its_first_stroke_and_come_back_to_has_one_folder(
    office, monkeypatch, tick, is_slow
):
    """Whether the first write is under way then, has ended unseen, or has not begun."""
    go_on, create = threading.Event(), SessionFolder.create

    def created(path, state):
        go_on.wait(PATIENCE)
        return create(path, state)

    monkeypatch.setattr(SessionFolder, "create", staticmethod(created))
    mine, other = office.session, new_session(9)
    for index in range(4):
        wait([office.saving._kept.known])
        go_on.clear() if is_slow and index == 0 else go_on.set()
        office.paint(index, BACKGROUND)
        if tick == "before it is left":
            office.saving.tick()
        office.saving.opened(other)
        if tick == "while it is away":
            office.saving.tick()
        office.saving.opened(mine)
        go_on.set()
    office.tick()
    office.tick()
    assert office.desk.status == IDLE
    office.paint(4, BACKGROUND)
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(0, 1, 2, 3, 4)]


def test_where_an_image_was_saved_to_meanwhile_it_stays(office, tmp_path):
    office.paint(1, BACKGROUND)
    office.saving.opened(new_session(9))
    office.saving.opened(office.session)
    office.view.ask_save.return_value = tmp_path / "mine.salt"
    office.saving.save_as()
    office.saving.opened(new_session(9))
    office.saving.tick()
    office.saving.opened(office.session)
    office.paint(2, BACKGROUND)
    office.saving.close()
    assert painted_in(tmp_path / "mine.salt") == (1, 2)
    assert [painted_in(path) for path in office.folders] == [(1,)]


def test_a_session_is_saved_elsewhere_and_goes_on_there(office, tmp_path):
    worked(office, tmp_path)
    office.view.ask_save.return_value = tmp_path / "mine"
    office.saving.save_as()
    assert office.desk.status.level == "good"
    office.paint(5, BACKGROUND)
    office.tick()
    office.saving.close()
    folder = SessionFolder.open_folder(tmp_path / "mine.salt")
    assert folder.painted_slices() == (1, 4, 5)
    folder.close()
    other = Office(tmp_path / "elsewhere")
    other.view.ask_folder.return_value = tmp_path / "mine.salt"
    other.saving.open_session()
    assert other.session.annotations.painted_slices() == (1, 4, 5)
    other.saving.close()


def test_saving_nothing_says_so(office, tmp_path):
    office.view.ask_save.return_value = tmp_path / "mine.salt"
    with pytest.raises(InputError, match="paint a slice first"):
        office.saving.save_as()


def test_a_disk_that_refuses_is_told_once_and_tried_again(office, monkeypatch):
    office.paint(1, BACKGROUND)
    office.tick()

    def refuse(*_):
        raise OutputError("The disk is full; free some space.")

    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    monkeypatch.setattr(SessionFolder, "save", refuse)
    office.paint(2, BACKGROUND)
    office.tick()
    office.tick()
    assert office.desk.status.text == (
        "Your work is not being saved: The disk is full; free some space."
    )
    assert office.saving.is_refused
    assert office.view.notify.call_count == 1
    monkeypatch.undo()
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    office.saving._kept.retry_at = 1e-9
    office.tick()
    assert office.desk.status.text == "your work is saved again"
    assert not office.saving.is_refused
    office.saving.close()
    folder = SessionFolder.open_folder(office.folders[0])
    assert folder.painted_slices() == (1, 2)
    folder.close()


def test_a_session_that_has_come_back_with_its_image_is_not_put_aside_for_itself(office):
    office.paint(1, BACKGROUND)
    office.tick()
    (path,) = office.folders
    office.saving.left()
    office.saving.opened(office.session)  # its folder is only now being opened
    office.saving.go_on(path)
    office.view.confirm.assert_not_called()
    assert office.desk.status.text == f"{path.name} is the session that is open here"
    office.paint(2, BACKGROUND)
    office.saving.close()
    assert [painted_in(one) for one in office.folders] == [(1, 2)]


def test_an_adapter_from_a_file_is_kept_too(office, tmp_path):
    (tmp_path / "loaded").write_bytes(b"loaded")
    office.paint(1, BACKGROUND)
    office.session.use_adapter(tmp_path / "loaded")
    office.tick()
    office.saving.close()
    (tmp_path / "loaded").unlink()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert Path(later.session.adapter_path).read_bytes() == b"loaded"
    later.saving.close()


def test_the_description_is_never_older_than_its_adapters(office, tmp_path, monkeypatch):
    """A state that names an adapter is written only when the adapter is there."""
    seen = []
    save = SessionFolder.save

    def look(folder, state, planes):
        seen.append([folder.adapter(one.adapter_path).is_file() for one in state.rounds])
        save(folder, state, planes)

    monkeypatch.setattr(SessionFolder, "save", look)
    worked(office, tmp_path)
    assert seen
    assert all(all(one) for one in seen)
    assert (office.folders[0] / STATE).is_file()


def keep(office: Office, *indices: int, adapter: Path | None = None) -> None:
    """As the loop does when a slice comes."""
    for index in indices:
        one = predicted(index)
        office.session.add_prediction(one.summary)
        office.saving.predicted(office.session, one, adapter or Path(office.session.adapter_path))


def on_disk(folder: Path) -> frozenset[int]:
    return MaskStore.open_store(folder / PREDICTIONS).done()


def brought_back(office: Office) -> dict[int, SlicePrediction]:
    """What the viewer was given after a few ticks."""
    for _ in range(4):
        office.saving._mask_pool.submit(lambda: None).result()
        office.tick()
    calls = office.desk.link.write_prediction.call_args_list
    return {call.args[0].index: call.args[0] for call in calls}


def test_predicted_slices_are_on_disk_at_once_and_come_back(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 2, 5)
    office.saving._mask_pool.submit(lambda: None).result()
    assert on_disk(office.folders[0]) == {2, 5}, "without a tick or an end: a crash may come now"
    keep(office, 0)
    office.saving.close()
    assert on_disk(office.folders[0]) == {0, 2, 5}
    later = Office(tmp_path / "store")
    later.tick()
    assert later.desk.status.text.endswith("2 slices, 1 round, masks of 3 slices")
    later.desk.offer()
    back = brought_back(later)
    assert set(back) == {0, 2, 5}
    for index, one in back.items():
        assert np.array_equal(one.labels, predicted(index).labels)
        assert np.array_equal(one.uncertainty, predicted(index).uncertainty)
    assert later.session.fresh_slices() == (0, 2, 5)
    assert later.session.summaries[5].areas == {1: 16}
    assert "Segment all goes on with the other 3" in later.desk.status.text
    later.saving.close()


def test_masks_wait_until_it_is_known_of_which_pixels_they_are(office, tmp_path):
    worked(office, tmp_path)
    kept = office.saving._kept
    known, kept.known = kept.known, Future()
    keep(office, 2)
    office.saving.tick()
    office.saving._mask_pool.submit(lambda: None).result()
    assert kept.predictions.waiting
    assert not (office.folders[0] / PREDICTIONS).exists()
    kept.known = known
    office.saving.tick()
    office.saving._mask_pool.submit(lambda: None).result()
    assert on_disk(office.folders[0]) == {2}
    office.saving.tick()
    office.view.notify.assert_not_called()


def test_paint_does_not_wait_for_masks_that_the_disk_is_slow_to_take(office, tmp_path, monkeypatch):
    worked(office, tmp_path)
    goes_on = threading.Event()
    monkeypatch.setattr(
        "napari_salt.io.session_predictions.keep", lambda *_: goes_on.wait(PATIENCE)
    )
    keep(office, 2, 5)
    office.paint(3, 1)
    office.saving.tick()
    written = wait([office.saving._kept.writing], PATIENCE / 2).done
    goes_on.set()
    assert written
    office.saving.close()
    assert 3 in painted_in(office.folders[0])


def test_a_session_is_let_go_of_when_its_masks_are_kept(office, tmp_path, monkeypatch):
    worked(office, tmp_path)
    goes_on, order = threading.Event(), []
    close = SessionFolder.close

    def kept(*_):
        goes_on.wait(PATIENCE)
        order.append("kept")

    monkeypatch.setattr("napari_salt.io.session_predictions.keep", kept)
    monkeypatch.setattr(
        SessionFolder, "close", lambda folder: (order.append("let go"), close(folder))
    )
    keep(office, 2, 5)
    last = office.saving.left()
    threading.Timer(0.2, goes_on.set).start()
    last.result(2 * PATIENCE)
    assert order == ["kept", "kept", "let go"]


def test_predicted_slices_of_a_stack_without_paint_make_a_session_of_their_own(office, tmp_path):
    (tmp_path / "loaded").write_bytes(b"weights")
    office.session.labels.add("cell")
    office.session.use_adapter(tmp_path / "loaded")
    keep(office, 3)
    office.tick()
    office.tick()
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert set(brought_back(later)) == {3}
    assert later.session.fresh_slices() == (3,)
    later.saving.close()


def test_masks_stay_those_of_the_adapter_that_made_them_though_its_file_is_replaced(
    office, tmp_path
):
    """A round that was stopped keeps its first fit, and the next one writes to the same file."""
    adapter = tmp_path / "loaded"
    adapter.write_bytes(b"weights")
    made_by = adapter_sha256(adapter)
    office.session.labels.add("cell")
    office.session.use_adapter(adapter)
    keep(office, 3)  # it waits for a folder
    adapter.write_bytes(b"other weights")
    office.tick()
    office.tick()
    office.saving.close()
    store = MaskStore.open_store(office.folders[0] / PREDICTIONS)
    assert (store.made_of.adapter, store.done()) == (made_by, {3})


def test_a_mask_whose_adapter_is_gone_is_not_kept(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, adapter=tmp_path / "tidied away")
    keep(office, 2)
    office.saving.close()
    assert on_disk(office.folders[0]) == {2}


def test_slices_of_a_new_adapter_replace_those_of_the_old(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, 2)
    (tmp_path / "newer").write_bytes(b"other weights")
    office.session.add_round(RECORD, tmp_path / "newer", 7)
    keep(office, 4)
    office.tick()
    office.saving.close()
    assert on_disk(office.folders[0]) == {4}


def test_slices_of_an_older_adapter_come_back_as_out_of_date(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, 2)
    (tmp_path / "newer").write_bytes(b"other weights")
    office.session.add_round(RECORD, tmp_path / "newer", 7)
    office.tick()
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert set(brought_back(later)) == {1, 2}
    assert later.session.predicted_slices() == (1, 2)
    assert later.session.fresh_slices() == ()
    later.saving.close()


def test_a_slice_predicted_since_is_not_overwritten_by_what_comes_back(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, 2)
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    later.session.add_prediction(predicted(2, 2).summary)
    assert set(brought_back(later)) == {1}
    later.saving.close()


def test_a_label_deleted_since_does_not_come_back_with_kept_masks(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1)
    office.session.labels.remove(1)
    office.saving.close()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    back = brought_back(later)
    assert set(back) == {1}
    assert not back[1].labels.any()
    assert later.session.summaries[1].areas == {}
    later.saving.close()


def test_masks_that_find_no_room_to_be_shown_are_told_once_and_stay_kept(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, 2, 3)
    office.saving.close()
    later = Office(tmp_path / "store")
    later.desk.link.write_prediction.side_effect = OutputError("The disk of '/tmp' is full.")
    later.tick()
    later.desk.offer()
    brought_back(later)
    told = [call.args[0] for call in later.view.notify.call_args_list]
    assert told == ["Your masks are kept but cannot be shown: The disk of '/tmp' is full."]
    assert later.session.predicted_slices() == ()
    assert later.session.annotations.painted_slices() == (1, 4)
    later.saving.close()
    assert on_disk(office.folders[0]) == {1, 2, 3}


def test_renaming_a_label_drops_no_predicted_slice(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1)
    office.session.labels.rename(1, "nucleus")
    keep(office, 2)
    office.saving.close()
    assert on_disk(office.folders[0]) == {1, 2}


def test_save_as_takes_the_predicted_slices_along(office, tmp_path):
    worked(office, tmp_path)
    keep(office, 1, 4)
    office.view.ask_save.return_value = tmp_path / "copy.salt"
    office.saving.save_as()
    assert on_disk(tmp_path / "copy.salt") == {1, 4}


def test_a_disk_that_takes_no_masks_is_told_once(office, tmp_path, monkeypatch):
    worked(office, tmp_path)

    def full(*args):
        raise OutputError("The disk is full.")

    monkeypatch.setattr("napari_salt.io.session_predictions.keep", full)
    keep(office, 1)
    brought_back(office)
    keep(office, 2)
    brought_back(office)
    told = [call.args[0] for call in office.view.notify.call_args_list]
    assert told == ["Masks are not being kept: The disk is full."]


# ---- disks that refuse, folders that go


class WeakDisk:
    """Refuses every call that writes from the ``fails_from``-th on, as a full disk does."""

    def __init__(self, monkeypatch) -> None:
        self.calls, self.fails_from = 0, 10**9
        for owner, name in (
            (os, "fsync"),
            (os, "replace"),
            (Path, "write_text"),
            (Path, "mkdir"),
            (zipfile.ZipFile, "writestr"),
            (shutil, "copyfile"),
        ):
            monkeypatch.setattr(owner, name, self._refusing(getattr(owner, name)))

    def _refusing(self, write):
        def refuse(*args, **kwargs):
            self.calls += 1
            if self.calls > self.fails_from:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(*args, **kwargs)

        return refuse


def test_a_disk_that_is_full_at_any_write_loses_nothing(tmp_path, monkeypatch):
    """Whichever call it refuses: a sentence, the work goes on, and all of it is saved once there is room."""
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    for room in range(0, 99, 3):
        store = tmp_path / f"full-{room}"
        with monkeypatch.context() as patch:
            WeakDisk(patch).fails_from = room
            office = Office(store)
            worked(office, tmp_path)
            if office.desk.status.text == "idle":  # a whole save fits in
                office.saving.close()
                break
            assert office.desk.status.text.startswith("Your work is not being saved: "), room
            assert "free" in office.desk.status.text
            office.paint(2, 1)
        office.tick()
        assert office.desk.status.text == "your work is saved again"
        office.saving.close()
        later = Office(store)
        later.tick()
        assert later.desk.status.text == "Restore your work on “t1”? 3 slices, 1 round", room
        later.desk.offer()
        assert np.array_equal(later.session.annotations.paint, office.session.annotations.paint)
        assert later.session.annotations.complete == {4}
        later.saving.close()
        assert len(later.folders) == 1, "nothing half made is left"
    assert 20 < room < 90


def test_a_change_that_the_disk_refused_half_way_is_not_mixed_with_the_next(office, monkeypatch):
    """The journal of a change that stands is written whole before the next change begins."""
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    office.paint(0, 1)
    office.tick()
    folder = office.saving._kept.folder
    with monkeypatch.context() as patch:
        patch.setattr(SessionFolder, "_apply", refuse)
        office.paint(1, 1)
        office.paint(2, 1)
        office.tick()
    assert folder.begun
    monkeypatch.setattr(session_writer, "LARGEST_COPY", 1)  # the next change is of one slice
    office.tick()
    assert not folder.begun
    assert folder.painted_slices() == (0, 1, 2)


def refuse(*_, **__):
    raise OutputError("The disk is full; free some space.")


def test_a_tick_waits_for_the_paint_that_it_speaks_of(office, monkeypatch):
    monkeypatch.setattr(session_writer, "LARGEST_COPY", 1)
    for index in (0, 1, 2):
        office.paint(index, BACKGROUND)
        office.session.annotations.set_complete(index, True)
    kept = office.saving._kept
    wait([kept.known])
    seen = []
    while kept.slices or kept.writing:
        office.saving.tick()
        if kept.writing is not None:
            wait(
                [kept.writing]
            )  # in the middle of a write the journal says what the state does not
        (path,) = office.folders
        seen.append((painted_chunks(path, 6), read_state(path).complete))
    assert seen[0] == ((0,), (0,))
    assert seen[-1] == ((0, 1, 2), (0, 1, 2))
    assert all(complete == painted for painted, complete in seen)


def agreed_in(path: Path) -> dict[int, set[int]] | None:
    """Ids on slices when levels last agreed, in a session folder; None for no agreement."""
    folder = SessionFolder.open_folder(path)
    folder.close()
    if folder.state().agreed is None:
        return None
    return {index: plane.ids() for index, plane in folder.agreed_paint().items()}


def agree(office: Office) -> None:
    """Another level says the same now."""
    office.session.agreement = Agreement()
    office.session.agreement.follow(office.session)


def test_levels_agree_on_the_disk_only_when_all_paint_of_that_moment_is_there(office, monkeypatch):
    monkeypatch.setattr(session_writer, "LARGEST_COPY", 1)
    office.paint(1, 1)
    office.paint(2, 1)
    agree(office)
    office.saving.tick()
    kept = office.saving._kept
    wait([kept.known])
    office.saving.tick()
    wait([kept.writing])
    folder = kept.writing.result()
    assert folder.state().agreed is None
    for _ in range(3):
        office.tick()
    office.paint(1, 0)
    office.paint(2, 2)
    for _ in range(3):
        office.tick()
    assert folder.state().agreed.mark == office.session.agreement.mark
    office.saving.close()
    assert agreed_in(office.folders[0]) == {1: {0, 1}, 2: {0, 1}}


def test_what_levels_agreed_on_is_written_again_when_the_disk_had_refused_it(office, monkeypatch):
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    office.paint(1, 1)
    agree(office)
    office.tick()
    office.paint(1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(SessionFolder, "keep_agreed", refuse)
        office.tick()
        assert "not being saved" in office.desk.status.text
    office.tick()
    office.saving.close()
    assert agreed_in(office.folders[0]) == {1: {0, 1}}


def test_a_write_that_fails_once_while_closing_is_done_again_without_a_word(office, monkeypatch):
    office.paint(1, 1)
    save, failed = SessionFolder.save, []

    def fail_once(folder, state, planes):
        if not failed:
            failed.append(folder.path)
            raise RuntimeError("can't create new thread at interpreter shutdown")
        save(folder, state, planes)

    monkeypatch.setattr(SessionFolder, "save", fail_once)
    assert office.saving.may_close()
    assert failed
    office.view.notify.assert_not_called()
    office.view.announce.assert_not_called()
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(1,)]
    assert office.desk.status == IDLE


def test_a_disk_that_refuses_while_closing_is_told_with_its_reason(office, monkeypatch):
    office.paint(1, 1)
    monkeypatch.setattr(SessionFolder, "save", refuse)
    office.view.confirm.return_value = False
    assert not office.saving.may_close()
    assert office.view.notify.call_count == 1
    assert "not being saved: The disk is full" in office.desk.status.text
    monkeypatch.undo()
    assert office.saving.may_close()
    assert office.desk.status.text == "your work is saved again"


@pytest.mark.parametrize("how", ["gone", "saved elsewhere"])
def test_a_new_folder_has_what_levels_agreed_on(office, tmp_path, monkeypatch, how):
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    office.paint(1, 1)
    agree(office)
    office.tick()
    office.paint(1, 0)
    office.paint(2, 1)
    office.tick()
    if how == "gone":
        shutil.rmtree(office.folders[0])
        office.paint(3, 1)
        office.tick()
        office.tick()
        (path,) = office.folders
    else:
        path = tmp_path / "mine.salt"
        office.view.ask_save.return_value = path
        office.saving.save_as()
    office.saving.close()
    assert agreed_in(path) == {1: {0, 1}, 2: {0}, **({3: {0}} if how == "gone" else {})}


def test_a_folder_that_is_gone_is_replaced_by_a_new_one_with_everything(office, tmp_path):
    worked(office, tmp_path)
    (path,) = office.folders
    path.rename(tmp_path / "moved away")
    office.paint(0, 1)
    office.tick()
    assert office.desk.status.text == (
        f"{path.name} was deleted or moved, so your work goes on in a new session folder."
    )
    writing = office.saving._kept.writing
    assert writing is not None, "at once, not when a write is tried again"
    wait([writing])
    assert len(office.folders) == 1
    office.tick()
    office.view.notify.assert_not_called()
    office.saving.close()
    assert [painted_in(one) for one in office.folders] == [(0, 1, 4)]
    assert painted_in(tmp_path / "moved away") == (1, 4)


def test_where_the_drive_of_a_folder_that_is_gone_is_gone_too_that_is_told(office, tmp_path):
    worked(office, tmp_path)
    shutil.rmtree(office.store.folder)
    office.store.folder.write_text("no folder")
    office.paint(0, 1)
    office.tick()
    office.tick()
    assert "not being saved" in office.desk.status.text


def refused_lock(*_, **__):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_session_that_cannot_be_written_is_opened_and_goes_on_elsewhere(
    office, tmp_path, monkeypatch
):
    worked(office, tmp_path)
    office.saving.close()
    (path,) = office.folders
    kept = path.rename(tmp_path / "on a disc.salt")
    later = Office(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", refused_lock)
        later.saving.go_on(kept)
    assert later.desk.status.text.endswith(
        "its folder cannot be written, so what you do now is kept as a session of its own"
    )
    later.tick()
    later.saving.close()
    assert [painted_in(one) for one in later.folders] == [(1, 4)]


def test_where_nothing_can_be_kept_the_session_can_still_be_saved_elsewhere(
    office, tmp_path, monkeypatch
):
    office.store.folder = tmp_path / "a file"
    office.store.folder.write_text("no folder")
    worked(office, tmp_path)
    assert "not being saved" in office.desk.status.text
    office.view.ask_save.return_value = tmp_path / "mine.salt"
    office.saving.save_as()
    assert office.desk.status.level == "good"
    office.paint(5, 1)
    office.tick()
    office.saving.close()
    assert painted_in(tmp_path / "mine.salt") == (1, 4, 5)


def test_paint_that_cannot_be_saved_is_not_given_up_for_another_session(
    office, tmp_path, monkeypatch
):
    worked(office, tmp_path)
    office.saving.close()
    (path,) = office.folders
    later = Office(tmp_path / "store")
    later.paint(0, BACKGROUND)
    monkeypatch.setattr(SessionFolder, "save", refuse)
    with pytest.raises(OutputError, match="save it elsewhere first"):
        later.saving.go_on(path)
    assert later.session.annotations.painted_slices() == (0,)
    later.saving.close()


def test_a_session_is_opened_while_what_was_painted_here_is_being_written(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    (path,) = office.folders
    later = Office(tmp_path / "store")
    wait([later.saving._kept.known])
    later.paint(0, 1)
    later.saving.tick()  # hands slice 0 to the writer
    later.paint(2, 1)
    later.saving.go_on(path)
    assert later.session.annotations.painted_slices() == (1, 4)
    later.saving.close()
    assert {painted_in(one) for one in later.folders} == {(0, 2), (1, 4)}


def test_a_round_whose_adapter_is_gone_is_left_out_and_said(office, tmp_path):
    worked(office, tmp_path)
    office.saving.close()
    (path,) = office.folders
    (path / "adapters" / "round-1.salt.safetensors").unlink()
    later = Office(tmp_path / "store")
    later.tick()
    later.desk.offer()
    assert later.desk.status.text == (
        "your work is back: 2 slices, 1 round; the adapter of 1 round is missing"
    )
    assert len(later.session.rounds) == 0
    assert later.session.slices_since_round == (1, 4), "no round has seen them"
    assert later.session.adapter_path is None
    later.saving.close()


def test_an_adapter_file_that_vanished_does_not_keep_paint_from_being_saved(office, tmp_path):
    office.session.add_round(RECORD, tmp_path / "tidied away", 7)
    office.paint(3, 1)
    office.tick()
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(3,)]


def test_an_image_that_cannot_be_read_at_first_is_saved_when_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_session, "RETRY", 0.0)
    session, plane = new_session(), Stack.plane
    with monkeypatch.context() as patch:
        patch.setattr(Stack, "plane", refused_lock)
        office = Office(tmp_path / "store", session)
        office.tick()
        assert "cannot be read" in office.desk.status.text
        office.paint(3, 1)
    assert Stack.plane is plane
    office.tick()
    office.tick()
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(3,)]


def test_the_session_that_is_open_here_is_not_opened_again(office, tmp_path):
    worked(office, tmp_path)
    (path,) = office.folders
    office.saving.go_on(path)
    assert "is the session that is open here" in office.desk.status.text
