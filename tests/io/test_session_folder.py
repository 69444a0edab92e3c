"""Session folders: what goes in comes out, a change is all or nothing, and what is not ours stays shut."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import zarr

from napari_salt.errors import InputError, OutputError
from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.io import session_folder
from napari_salt.io.session_folder import (
    ADAPTERS,
    AGREED,
    JOURNAL,
    PAINT,
    STATE,
    SessionFolder,
    read_state,
)
from napari_salt.io.session_state import AgreedState, SessionState
from napari_salt.io.session_store import SessionStore
from napari_salt.records import FitRecord, FitSettings, Label, Origin, Round, StackInfo
from napari_salt.sparse_plane import SparsePlane

RECORD = FitRecord("salt", "lite-medsam", (1,), 3, 9.5, 70, "adapted", 0.8, 0.9, (("cell", 0.9),))
STATE_OF = SessionState(
    stack=StackInfo(
        (5, 6, 7),
        spacing=(2.0, 0.5, 0.5),
        units=("um",) * 3,
        name="t1 stack",
        origin=Origin("/t1.ome.zarr", "ome-zarr", level=2, offset=(1.5, -2.0, 0.25)),
    ),
    identity="abc",
    labels=(Label(1, "Zelle <b>", (0.1, 0.2, 0.3, 1.0)), Label(300, "axon")),
    next_id=301,
    painted=(1, 3),
    complete=(3,),
    skipped=(4,),
    rounds=(Round(1, RECORD, "round-1.salt.safetensors", 12),),
    active=1,
    settings=FitSettings(rank=4, time_budget=30.0, intensity=WINDOWS["lung"]),
    changed=(3,),
)


def plane(value: int) -> np.ndarray:
    return np.full((6, 7), value, np.uint16)


@pytest.fixture
def folder(tmp_path):
    made = SessionFolder.create(tmp_path / "brain.salt", STATE_OF)
    yield made
    made.close()


def reopened(folder: SessionFolder) -> SessionFolder:
    folder.close()
    return SessionFolder.open_folder(folder.path)


def test_what_is_saved_comes_back(folder):
    folder.save(STATE_OF, {1: plane(300), 3: plane(255)})
    again = reopened(folder)
    assert again.state() == STATE_OF
    assert again.painted_slices() == (1, 3)
    assert np.array_equal(again.paint(1), plane(300))
    assert not again.paint(0).any()
    again.close()


def test_any_zarr_reader_can_open_the_paint(folder):
    folder.save(STATE_OF, {3: plane(300)})
    paint = zarr.open_array(folder.path / PAINT, mode="r")
    assert paint.shape == (5, 6, 7)
    assert (paint[3] == 300).all()
    assert not paint[4].any()


def test_a_slice_whose_paint_is_gone_takes_no_room(folder):
    folder.save(STATE_OF, {1: plane(1)})
    folder.save(STATE_OF, {1: plane(0)})
    assert folder.painted_slices() == ()


def test_adapters_are_kept_beside_it(folder, tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    kept = folder.keep_adapter(tmp_path / "a", "round-1.salt.safetensors")
    assert kept == folder.path / ADAPTERS / "round-1.salt.safetensors"
    assert kept.read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", "", "c:x", "a\\b"])
def test_an_adapter_cannot_lie_elsewhere(folder, name):
    with pytest.raises(ValueError, match="plain file name"):
        folder.adapter(name)


def test_a_second_window_is_kept_out(folder):
    with pytest.raises(InputError, match="open in another window"):
        SessionFolder.open_folder(folder.path)


def test_a_copy_is_a_session_of_its_own(folder, tmp_path):
    folder.save(STATE_OF, {1: plane(1)})
    folder.copy_to(tmp_path / "other.salt")
    other = SessionFolder.open_folder(tmp_path / "other.salt")
    assert other.state() == STATE_OF
    assert np.array_equal(other.paint(1), plane(1))
    other.close()
    with pytest.raises(OutputError, match="exists already"):
        folder.copy_to(tmp_path / "other.salt")


# ---- interrupted


def test_a_change_that_was_interrupted_is_finished(folder, monkeypatch):
    folder.save(STATE_OF, {1: plane(1)})
    after = replace(STATE_OF, painted=(1, 2), skipped=())
    monkeypatch.setattr(SessionFolder, "_apply", lambda *_: None)  # dies behind the journal
    folder.save(after, {1: plane(7), 2: plane(8)})
    monkeypatch.undo()
    assert (folder.path / JOURNAL).exists()
    again = reopened(folder)
    assert again.state() == after
    assert np.array_equal(again.paint(1), plane(7))
    assert np.array_equal(again.paint(2), plane(8))
    assert not (folder.path / JOURNAL).exists()
    again.close()


def test_a_disk_that_refuses_the_journal_changes_nothing(folder, monkeypatch):
    folder.save(STATE_OF, {1: plane(1)})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session_folder.zipfile, "ZipFile", full)
    with pytest.raises(OutputError, match="disk is full"):
        folder.save(replace(STATE_OF, painted=()), {1: plane(9)})
    monkeypatch.undo()
    again = reopened(folder)
    assert again.state() == STATE_OF
    assert np.array_equal(again.paint(1), plane(1))
    again.close()


WRITER = """
import sys
import numpy as np
from dataclasses import replace
from pathlib import Path
from napari_salt.io.session_folder import SessionFolder
folder = SessionFolder.open_folder(Path(sys.argv[1]))
state = folder.state()
value = state.next_id
print("ready", flush=True)
while True:
    value += 1
    planes = {index: np.full((6, 7), value, np.uint16) for index in range(5)}
    folder.save(replace(state, next_id=value), planes)
    print(value, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_a_writer_killed_at_any_moment_leaves_one_whole_state(folder):
    """The state and all slices carry the same number, and never one older than the last that was reported."""
    dice = random.Random(7)
    before = STATE_OF.next_id
    path = folder.path
    folder.save(STATE_OF, {index: plane(before) for index in range(5)})
    folder.close()
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            for _ in range(dice.randrange(1, 8)):
                before = int(writer.stdout.readline())
            for _ in range(dice.randrange(20_000)):  # somewhere inside the next change
                pass
            writer.send_signal(signal.SIGKILL)
        again = SessionFolder.open_folder(path)
        number = again.state().next_id
        assert number >= before
        assert {int(again.paint(index)[0, 0]) for index in range(5)} == {number}
        assert all((again.paint(index) == number).all() for index in range(5))
        again.close()
        before = number


# ---- not ours


def rewrite(folder: SessionFolder, change) -> None:
    folder.close()
    content = json.loads((folder.path / STATE).read_text())
    change(content)
    (folder.path / STATE).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("labels"),
        lambda c: c.update(extra=1),
        lambda c: c.update(complete=[99]),
        lambda c: c.update(complete=["1"]),
        lambda c: c["labels"][0].update(label_id="1"),
        lambda c: c["labels"][0].update(color=[1, 2]),
        lambda c: c["rounds"][0].update(adapter_path="../../evil"),
        lambda c: c["rounds"][0]["record"].update(slices=None),
        lambda c: c["stack"]["origin"].update(level=-1),
        lambda c: c["stack"]["origin"].update(level="2"),
        lambda c: c["stack"].update(shape=[5, 6]),
        lambda c: c["stack"].update(shape=[5, 6, 70000]),
        lambda c: c.update(format="other"),
        lambda c: c.update(settings={"kind": "salt", "evil": 1}),
        lambda c: c["settings"].update(intensity={"method": "window", "low": 5, "high": 2}),
        lambda c: c["settings"].update(intensity={"method": "window", "low": "5", "high": 2}),
        lambda c: c["settings"].pop("intensity"),
    ],
)
def test_a_damaged_description_is_refused(folder, change):
    rewrite(folder, change)
    with pytest.raises(InputError, match="damaged"):
        SessionFolder.open_folder(folder.path)


def test_a_session_from_before_levels_is_of_the_finest(folder):
    rewrite(folder, lambda c: c["stack"]["origin"].pop("level"))
    assert SessionFolder.open_folder(folder.path).state().stack.origin.level == 0


def test_a_session_from_before_intensities_could_be_chosen_has_percentiles(folder):
    def age(content):
        del content["settings"]["intensity"]
        content["version"] = 1

    rewrite(folder, age)
    again = SessionFolder.open_folder(folder.path)
    assert again.state() == replace(STATE_OF, settings=replace(STATE_OF.settings, intensity=AUTO))
    again.close()


def test_a_session_from_before_levels_agreed_has_agreed_on_nothing(folder):
    def age(content):
        del content["agreed"]
        content["version"] = 2

    rewrite(folder, age)
    again = SessionFolder.open_folder(folder.path)
    assert again.state() == STATE_OF
    assert again.agreed_paint() == {}
    again.close()


@pytest.mark.parametrize(
    ("version", "lacks"),
    [
        pytest.param(3, "earlier", id="before pixels could be replaced: of its own only"),
        pytest.param(4, "changed", id="before that was kept: new is what no round was trained on"),
    ],
)
def test_a_session_of_an_earlier_version_is_brought_up_to_date(folder, version, lacks):
    def age(content):
        del content[lacks]
        content["version"] = version

    rewrite(folder, age)
    again = SessionFolder.open_folder(folder.path)
    assert again.state() == STATE_OF
    again.close()


def test_of_many_pixels_that_were_replaced_the_first_and_the_newest_are_kept_in_mind():
    state = replace(STATE_OF, identity="0")
    for value in range(1, 40):
        state = replace(STATE_OF, identity=str(value)).after(state)
    assert state.earlier == ("0", *map(str, range(24, 39)))
    again = replace(STATE_OF, identity="30").after(state)
    assert "30" not in again.earlier
    assert again.is_of("39")


# ---- what levels have agreed on


MARK, NEXT_MARK = "0123456789abcdef", "fedcba9876543210"
AGREED_OF = replace(STATE_OF, agreed=AgreedState(MARK, (1, 3), (1,), relabelled=True))


def sparse(value: int) -> SparsePlane:
    return SparsePlane.of(plane(value))


def agreed(folder: SessionFolder) -> dict[int, set[int]]:
    return {index: kept.ids() for index, kept in folder.agreed_paint().items()}


def test_what_levels_agreed_on_comes_back(folder):
    folder.keep_agreed(AGREED_OF, {1: sparse(0), 3: sparse(255)})
    folder.save(AGREED_OF, {1: plane(300), 3: plane(0)})
    folder.save(AGREED_OF, {1: plane(1)})
    again = reopened(folder)
    assert again.state() == AGREED_OF
    assert agreed(again) == {1: {0}, 3: {255}}
    assert again.painted_slices() == (1,)
    again.close()


def test_a_new_agreement_takes_the_place_of_the_last_one(folder):
    folder.keep_agreed(AGREED_OF, {1: sparse(7), 3: sparse(8)})
    folder.save(AGREED_OF, {})
    later = replace(AGREED_OF, agreed=AgreedState(NEXT_MARK, (4,)))
    folder.keep_agreed(later, {4: sparse(9)})
    folder.save(later, {})
    assert agreed(folder) == {4: {9}}
    assert not (folder.path / AGREED.format(MARK)).exists()
    folder.save(STATE_OF, {})
    assert folder.agreed_paint() == {}
    assert not list(folder.path.glob(AGREED.format("*")))


def test_a_copy_has_agreed_on_the_same(folder, tmp_path):
    folder.keep_agreed(AGREED_OF, {1: sparse(7), 3: sparse(8)})
    folder.save(AGREED_OF, {})
    folder.copy_to(tmp_path / "other.salt")
    other = SessionFolder.open_folder(tmp_path / "other.salt")
    assert agreed(other) == {1: {7}, 3: {8}}
    other.close()


def test_agreed_paint_that_is_damaged_is_refused_and_written_anew(folder):
    folder.keep_agreed(AGREED_OF, {1: sparse(7)})
    folder.save(AGREED_OF, {1: plane(300)})
    (folder.path / AGREED.format(MARK) / "zarr.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        folder.agreed_paint()
    assert (folder.paint(1) == 300).all()
    folder.keep_agreed(AGREED_OF, {1: sparse(7), 3: sparse(8)})
    folder.save(AGREED_OF, {})
    assert agreed(folder) == {1: {7}, 3: {8}}


def test_a_later_version_asks_for_an_update(folder):
    rewrite(folder, lambda content: content.update(version=99))
    with pytest.raises(InputError, match="later napari-salt"):
        read_state(folder.path)


def test_links_are_refused(folder, tmp_path):
    folder.close()
    (folder.path / ADAPTERS / "x").symlink_to(tmp_path)
    with pytest.raises(InputError, match="links"):
        SessionFolder.open_folder(folder.path)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a session"):
        SessionFolder.open_folder(tmp_path)


def test_a_journal_of_something_else_is_refused(folder):
    folder.close()
    with zipfile.ZipFile(folder.path / JOURNAL, "w") as journal:
        journal.writestr(STATE, STATE_OF.to_json())
        journal.writestr("77.npy", b"x")
    with pytest.raises(InputError, match="damaged"):
        SessionFolder.open_folder(folder.path)


def test_a_pickle_in_a_journal_is_never_loaded(folder):
    folder.close()
    import io

    content = io.BytesIO()
    np.save(content, np.array([print], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder.path / JOURNAL, "w") as journal:
        journal.writestr(STATE, STATE_OF.to_json())
        journal.writestr("1.npy", content.getvalue())
    with pytest.raises(InputError, match="damaged"):
        SessionFolder.open_folder(folder.path)


# ---- the store


def test_the_store_finds_work_on_the_same_stack_newest_first(tmp_path):
    store = SessionStore(tmp_path)
    for number, told in enumerate(("abc", "abc", "other")):
        path = store.new_path("a/b: c")
        assert path.parent == tmp_path
        SessionFolder.create(path, replace(STATE_OF, identity=told, next_id=400 + number)).close()
        os.utime(path / STATE, (number, number))
    SessionFolder.create(store.new_path(""), replace(STATE_OF, painted=())).close()
    found = store.find("abc")
    assert [one.state.next_id for one in found] == [401, 400]
    assert found[0].slices == 2
    assert SessionStore(tmp_path / "none").find("abc") == []
    assert store.shapes() == {(5, 6, 7)}
    assert SessionStore(tmp_path / "none").shapes() == set()
