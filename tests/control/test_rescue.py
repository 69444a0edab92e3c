"""When the disk refuses at the last moment, work goes to the next best place, and is offered from there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_salt.control import saving_controller
from napari_salt.control.rescue import NOWHERE
from napari_salt.errors import OutputError
from napari_salt.io import rescue_folders
from napari_salt.io.session_folder import SessionFolder
from napari_salt.records import BACKGROUND
from napari_salt.session.stack import Stack
from saving_office import Office, new_session, painted_in, worked


@pytest.fixture
def refusing(monkeypatch):
    """Folders in which nothing can be written; by `SessionFolder`, as root may write anywhere."""
    folders: set[Path] = set()
    create, save = SessionFolder.create, SessionFolder.save

    def check(path):
        if folders & {path, *path.parents}:
            raise OutputError("The disk is full; free some space.")

    def created(path, state):
        check(path)
        return create(path, state)

    def saved(self, *args):
        check(self.path)
        save(self, *args)

    monkeypatch.setattr(SessionFolder, "create", staticmethod(created))
    monkeypatch.setattr(SessionFolder, "save", saved)
    return folders


@pytest.fixture
def places(tmp_path):
    return (tmp_path / "data", tmp_path / "cache", tmp_path / "temporary")


@pytest.fixture
def start(tmp_path, places):
    """Starts a program whose sessions lie in ``store`` and are rescued to ``places``."""
    started = []

    def begin(session=None):
        office = Office(tmp_path / "store", session, places)
        started.append(office)
        return office

    yield begin
    for office in started:
        office.saving.close()


def rescued_in(*folders):
    return [path for folder in folders for path in sorted(folder.glob("*.salt"))]


def told(office):
    return [call.args[0] for call in office.view.notify.call_args_list]


def test_work_that_the_disk_refuses_at_the_end_is_put_elsewhere_and_offered_again(
    start, tmp_path, places, refusing
):
    office = start()
    worked(office, tmp_path)
    refusing.add(office.store.folder)
    office.paint(5, 1)
    office.saving.close()
    (path,) = rescued_in(*places)
    assert path.parent == places[0]
    assert f"was put into {places[0]}" in told(office)[-1]
    later = start()
    later.tick()
    assert later.desk.status.text == "Restore your work on “t1”? 3 slices, 1 round"
    later.desk.offer()
    assert np.array_equal(later.session.annotations.paint, office.session.annotations.paint)
    assert later.session.annotations.complete == {4}
    assert Path(later.session.adapter_path).read_bytes() == b"weights"


def test_rescued_work_goes_home_when_there_is_room_again(start, tmp_path, places, refusing):
    office = start()
    refusing.add(office.store.folder)
    worked(office, tmp_path)
    office.saving.close()
    assert office.folders == []
    refusing.clear()
    later = start()
    later.tick()
    later.desk.offer()
    later.paint(5, 1)
    later.tick()
    later.saving.close()
    assert rescued_in(*places) == []
    assert [painted_in(path) for path in later.folders] == [(1, 4, 5)]


def test_as_long_as_there_is_no_room_at_home_it_goes_on_where_it_was_put(
    start, tmp_path, places, refusing, monkeypatch
):
    office = start()
    office.store.folder.write_text("no folder")
    worked(office, tmp_path)
    office.saving.close()
    later = start()
    later.tick()
    later.desk.offer()
    later.paint(5, 1)
    later.tick()
    later.saving.close()
    assert [painted_in(path) for path in rescued_in(*places)] == [(1, 4, 5)]


def test_the_next_place_is_taken_where_the_first_refuses_too(start, tmp_path, places, refusing):
    office = start()
    refusing.update([office.store.folder, places[0]])
    places[1].write_text("no folder")
    worked(office, tmp_path)
    office.saving.close()
    assert [path.parent for path in rescued_in(*places)] == [places[2]]
    assert "which may be emptied" in told(office)[-1]  # pytest's folders are temporary ones


def test_a_session_of_the_users_own_folder_is_first_tried_among_the_others(
    start, tmp_path, places, refusing
):
    office = start()
    worked(office, tmp_path)
    office.view.ask_save.return_value = tmp_path / "drive" / "mine.salt"
    (tmp_path / "drive").mkdir()
    office.saving.save_as()
    refusing.add(tmp_path / "drive")
    before = set(office.folders)
    office.paint(5, 1)
    office.saving.close()
    (new,) = set(office.folders) - before
    assert painted_in(new) == (1, 4, 5)
    assert rescued_in(*places) == []


def test_while_the_window_is_there_it_says_where_the_work_went(start, tmp_path, places, refusing):
    office = start()
    refusing.add(office.store.folder)
    worked(office, tmp_path)
    assert office.saving.may_close()
    office.view.announce.assert_called_once()
    assert str(places[0]) in office.view.announce.call_args.args[0]
    office.view.confirm.assert_not_called()
    office.saving.close()
    assert [painted_in(path) for path in rescued_in(*places)] == [(1, 4)]


def test_where_all_is_saved_the_window_closes_without_a_word(start, tmp_path):
    office = start()
    worked(office, tmp_path)
    office.paint(5, 1)
    assert office.saving.may_close()
    office.view.announce.assert_not_called()
    office.view.confirm.assert_not_called()
    assert [painted_in(path) for path in kept_in(office)] == [(1, 4, 5)]


def kept_in(office):
    office.saving.close()
    return office.folders


def test_that_all_paint_was_erased_is_work_too(start, places, refusing):
    office = start()
    office.paint(3, 1)
    office.tick()
    office.paint(3, 0)
    assert office.session.annotations.usable_slices() == ()
    refusing.update([office.store.folder, *places])
    office.view.confirm.return_value = False
    assert not office.saving.may_close()
    refusing.clear()
    assert office.saving.may_close()
    assert [painted_in(path) for path in kept_in(office)] == [()]


def test_an_image_without_work_closes_without_a_word(start, refusing):
    office = start()
    refusing.add(office.store.folder)
    office.session.labels.add("cell")
    assert office.saving.may_close()
    office.view.announce.assert_not_called()


@pytest.mark.parametrize("agreed", [True, False])
def test_where_nothing_can_be_written_the_user_decides(start, tmp_path, places, refusing, agreed):
    office = start()
    refusing.update([office.store.folder, *places])
    worked(office, tmp_path)
    office.view.confirm.return_value = agreed
    assert office.saving.may_close() == agreed
    assert office.view.confirm.call_args.args[0].startswith(NOWHERE)
    refusing.clear()
    office.saving.close()  # whoever stayed, and made room
    assert [painted_in(path) for path in office.folders] == [(1, 4)]


@pytest.mark.parametrize("agreed", [True, False])
def test_work_on_an_image_that_nobody_can_read_is_not_given_up_without_asking(
    start, places, monkeypatch, agreed
):
    def refuse(stack, index):
        raise OSError("chunk is gone")

    monkeypatch.setattr(Stack, "plane", refuse)
    office = start()
    office.paint(3, 1)
    for _ in range(3):
        office.tick()
    assert told(office) == ["This image cannot be read, so your work on it is not being saved."]
    assert office.saving.is_refused
    office.view.confirm.return_value = agreed
    assert office.saving.may_close() is agreed
    assert office.view.confirm.call_args.args[0].startswith(NOWHERE)
    assert rescued_in(office.store.folder, *places) == []


def test_where_nothing_can_be_written_at_the_end_it_is_said(start, tmp_path, places, refusing):
    office = start()
    refusing.update([office.store.folder, *places])
    worked(office, tmp_path)
    office.saving.close()
    assert told(office)[-1] == NOWHERE


def test_a_disk_that_does_not_answer_holds_nobody_up(start, tmp_path, monkeypatch):
    monkeypatch.setattr(saving_controller, "LAST_WAIT", 0.2)
    office, answer = start(), threading.Event()
    worked(office, tmp_path)
    slow, save = office.store.folder, SessionFolder.save
    office.store.folder = tmp_path / "another disk"

    def saved(self, *args):
        if self.path.parent == slow:
            answer.wait(60)
        save(self, *args)

    monkeypatch.setattr(SessionFolder, "save", saved)
    office.paint(5, 1)
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(1, 4, 5)]
    answer.set()


def test_an_image_that_is_left_for_another_while_the_disk_refuses_is_rescued(
    start, tmp_path, places, refusing
):
    office = start()
    first = office.session
    worked(office, tmp_path)
    refusing.add(office.store.folder)
    office.paint(5, 1)
    office.saving.opened(new_session(9))
    until_rescued(office, places)
    assert [painted_in(path) for path in rescued_in(*places)] == [(1, 4, 5)]
    assert "was put into" in told(office)[-1]
    office.saving.opened(first)
    office.paint(0, 1)
    office.saving.close()
    assert [painted_in(path) for path in rescued_in(*places)] == [(0, 1, 4, 5)]


def until_rescued(office, places):
    office.saving._rescuer.left[0].last.exception(30)
    office.saving.tick()
    assert office.saving._rescuer.left == []


def test_an_image_to_which_one_comes_back_at_once_is_written_again(
    start, tmp_path, places, refusing
):
    office = start()
    worked(office, tmp_path)
    refusing.add(office.store.folder)
    office.paint(5, 1)
    office.saving.opened(new_session(9))
    office.saving.opened(office.session)
    office.saving._rescuer.left[0].last.exception(30)
    refusing.clear()
    office.tick()
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(1, 4, 5)]
    assert rescued_in(*places) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have owners")
@pytest.mark.parametrize("kind", ["for everybody", "a link"])
def test_a_rescue_folder_that_others_can_write_to_is_neither_used_nor_looked_into(
    start, tmp_path, places, refusing, kind
):
    office = start()
    worked(office, tmp_path)
    office.saving.close()
    planted = tmp_path / "planted"
    office.store.folder.rename(planted)
    planted.chmod(0o777 if kind == "for everybody" else 0o700)
    places[0].symlink_to(planted) if kind == "a link" else planted.rename(places[0])
    later = start()
    refusing.add(later.store.folder)
    later.tick()
    assert later.desk.status.offer == ""
    later.paint(2, BACKGROUND)
    later.saving.close()
    assert [path.parent for path in rescued_in(*places[1:])] == [places[1]]


def test_the_places_are_the_users_data_and_cache_and_then_the_temporary_folder(monkeypatch):
    monkeypatch.delenv(rescue_folders.FOLDER_VARIABLE)
    found = rescue_folders.rescue_folders()
    assert len(found) == 3
    assert [rescue_folders.may_be_emptied(folder) for folder in found] == [False, False, True]
