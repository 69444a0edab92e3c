"""The session ties labels, paint, rounds and predictions together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, FitRecord, FitSettings, SliceSummary
from napari_salt.session.annotations import Annotations
from napari_salt.session.labels import LabelTable
from napari_salt.session.rounds import Rounds
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack

RECORD = FitRecord("salt", "lite-medsam", (1, 2), 100, 12.0, 5000, "adapted")


def new_session(count=5):
    return Session(Stack(np.arange(count * 24, dtype=np.uint16).reshape(count, 4, 6)))


def paint(session, index, label_id, row=0):
    session.annotations.paint[index, row] = label_id
    session.annotations.touched(index)


def predict(session, *indices):
    for index in indices:
        session.add_prediction(SliceSummary(index, 0.5))


class Read:
    """Half of the slices hold one value, or none; counts what is read."""

    def __init__(self, count=40):
        pixels = np.random.default_rng(0).normal(size=(count, 4, 5)).astype(np.float32)
        pixels[: count // 2] = np.nan
        pixels[-1] = 7
        self.pixels, self.reads = pixels, []
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, key):
        self.reads.append(key)
        return self.pixels[key]


def test_nobody_is_sent_to_a_slice_that_shows_nothing():
    data = Read()
    session = Session(Stack(data))
    session.annotations.paint[30] = 1
    session.annotations.touched(30)
    found = [one.index for one in session.suggest(3)]
    assert all(20 <= index < 39 for index in found)
    assert len(data.reads) < 12, "it is not looked for slice by slice"
    before = len(data.reads)
    assert [one.index for one in session.suggest(3)] == found
    assert len(data.reads) == before
    assert session.left_to_suggest == 39 - len(session.blank)


def test_what_prediction_says_of_blank_slices_counts_until_the_pixels_change():
    session = Session(Stack(np.random.default_rng(0).random((3, 4, 4))))
    for index in range(3):
        session.add_prediction(SliceSummary(index, 0.5, blank=index != 1))
    assert [one.index for one in session.suggest(3)] == [1]
    assert session.blank == {0, 2}
    session.replace_stack(session.stack, other_pixels=True)
    assert not session.blank
    assert session.left_to_suggest == len(session.suggest(3)) == 3


def test_a_slice_that_cannot_be_read_is_suggested_all_the_same():
    class Broken(Read):
        def __getitem__(self, key):
            raise RuntimeError(key)

    session = Session(Stack(Broken()))
    assert len(session.suggest(2)) == 2
    assert not session.blank


def test_removing_a_label_erases_its_paint():
    session = new_session()
    first, second = session.labels.add("a"), session.labels.add("b")
    paint(session, 1, first.label_id)
    paint(session, 2, second.label_id)
    session.labels.remove(first.label_id)
    assert session.annotations.painted_slices() == (2,)
    assert session.painted_labels() == (second,)


@pytest.mark.parametrize(
    ("index", "label_id", "complete", "expected"),
    [(1, 1, False, False), (1, BACKGROUND, False, True), (1, 1, True, True)],
)
def test_background_is_known(index, label_id, complete, expected):
    session = new_session()
    paint(session, index, label_id)
    session.annotations.set_complete(index, complete)
    assert session.has_background() is expected


def test_a_snapshot_leaves_paint_of_no_label_out():
    session = new_session()
    session.labels.add("a")
    paint(session, 1, 1)
    paint(session, 1, 66, row=1)
    (frozen,) = session.snapshot()
    assert set(np.unique(frozen.targets)) == {0, 1}


def test_work_done_while_adapting_counts_as_new():
    session = new_session()
    session.labels.add("a")
    paint(session, 1, 1)
    paint(session, 2, 1)
    session.snapshot()
    paint(session, 2, 1, row=1)
    session.annotations.set_complete(4, True)
    assert session.slices_since_round == (1, 2, 4)
    session.add_round(RECORD, "a.salt.safetensors", 10)
    assert session.slices_since_round == (2, 4)


def test_a_failed_round_forgets_no_work():
    session = new_session()
    paint(session, 1, 1)
    session.snapshot()
    session.snapshot()
    assert session.slices_since_round == (1,)


def test_predictions_of_an_older_adapter_are_out_of_date():
    session = new_session()
    heard = []
    session.predicted.connect(lambda index: heard.append(("predicted", index)))
    session.adapter_changed.connect(lambda path: heard.append(("adapter", path)))
    session.predictions_outdated.connect(lambda: heard.append("outdated"))
    session.add_round(RECORD, Path("a"), 10)
    predict(session, 3, 1)
    assert session.predicted_slices() == session.fresh_slices() == (1, 3)
    assert (session.predicted_count, session.fresh_count, session.outdated) == (2, 2, set())
    session.add_round(RECORD, "b", 10)
    assert (session.predicted_slices(), session.fresh_slices()) == ((1, 3), ())
    assert (session.predicted_count, session.fresh_count, session.outdated) == (2, 0, {1, 3})
    predict(session, 1)
    assert session.fresh_slices() == (1,)
    assert heard == [
        ("adapter", "a"), "outdated", ("predicted", 3), ("predicted", 1),
        ("adapter", "b"), "outdated", ("predicted", 1),
    ]  # fmt: skip


def test_a_provisional_prediction_is_shown_but_done_again():
    session = new_session()
    session.add_prediction(SliceSummary(2, 0.5), provisional=True)
    assert session.has_prediction(2)
    assert session.fresh_slices() == ()


def test_the_same_path_may_hold_another_adapter():
    session = new_session()
    session.use_adapter("a")
    predict(session, 0)
    session.add_round(RECORD, "a", 10)
    assert session.fresh_slices() == ()


def test_restoring_a_round():
    session = new_session()
    session.add_round(RECORD, "a", 10)
    session.add_round(RECORD, "b", 10)
    predict(session, 0)
    assert session.restore_round(2).number == 2
    assert session.fresh_slices() == (0,)
    session.restore_round(1)
    assert (session.adapter_path, session.fresh_slices()) == ("a", ())
    with pytest.raises(InputError, match="no round 9"):
        session.restore_round(9)
    assert session.adapter_path == "a"


def test_an_adapter_from_elsewhere_leaves_the_rounds():
    session = new_session()
    session.add_round(RECORD, "a", 10)
    session.use_adapter(Path("other"))
    assert (session.rounds.active, session.adapter_path) == (None, "other")
    session.use_adapter(None)
    assert session.adapter_path is None


def test_settings_are_told_when_they_change():
    session = new_session()
    heard = []
    session.settings_changed.connect(heard.append)
    session.settings = FitSettings()
    session.settings = FitSettings(kind="lora")
    assert heard == [FitSettings(kind="lora")]


def test_suggestions_leave_painted_and_skipped_slices_out():
    session = new_session(3)
    paint(session, 1, 7)
    session.skip(0)
    assert [suggestion.index for suggestion in session.suggest(3)] == [2]
    session.skip(2)
    assert session.suggest() == []
    session.clear_skipped()
    assert len(session.suggest(3)) == 2


def test_going_on_with_earlier_work():
    labels, annotations, rounds = LabelTable(), Annotations((5, 4, 6)), Rounds()
    labels.add("a")
    rounds.add(RECORD, "a.salt.safetensors", 10)
    session = Session(
        Stack(np.zeros((5, 4, 6))), labels=labels, annotations=annotations, rounds=rounds
    )
    assert session.adapter_path == "a.salt.safetensors"
    annotations.paint[1] = 1
    annotations.touched(1)
    labels.remove(1)
    assert not annotations.paint.any()


def test_annotations_of_another_image_are_refused():
    with pytest.raises(InputError, match="painted on"):
        Session(Stack(np.zeros((5, 4, 6))), annotations=Annotations((5, 6, 4)))


def test_the_same_image_opened_anew_keeps_the_paint():
    session = Session(Stack(np.zeros((3, 4, 5), np.uint8)))
    session.add_prediction(SliceSummary(1, 0.2))
    moved = Stack(np.zeros((3, 4, 5), np.uint8), spacing=(2, 1, 1))
    session.replace_stack(moved)
    assert session.stack is moved
    assert session.fresh_slices() == (1,)
    session.replace_stack(Stack(np.ones((3, 4, 5), np.uint8)), other_pixels=True)
    assert session.fresh_slices() == ()
    with pytest.raises(InputError, match="shape"):
        session.replace_stack(Stack(np.zeros((2, 4, 5), np.uint8)))


def test_the_active_round_of_other_rounds_is_used():
    session = new_session()
    told = []
    session.adapter_changed.connect(told.append)
    predict(session, 1)
    session.rounds.add(RECORD, "a", 10)
    session.use_round()
    assert (session.adapter_path, session.fresh_slices()) == ("a", ())
    session.rounds.deactivate()
    session.use_round()
    assert session.adapter_path is None
    assert told == ["a", None]


def test_a_score_that_comes_later_is_told():
    session = new_session()
    session.add_round(RECORD, "a", 10)
    told = []
    session.scored.connect(told.append)
    session.score_round(1, replace(RECORD, held_out_after=0.75))
    assert told == [1]
    assert session.rounds.active.record.held_out_after == 0.75
    with pytest.raises(InputError, match="no round 2"):
        session.score_round(2, RECORD)
    assert told == [1]


def test_what_has_changed_since_the_newest_round_can_be_told():
    session = new_session()
    paint(session, 1, 7)
    session.changed_since_round([4, 2])
    assert session.slices_since_round == (2, 4)
    paint(session, 3, 7)
    assert session.slices_since_round == (2, 3, 4)


def test_skipping_is_told_once():
    session = new_session()
    told = []
    session.skipped_changed.connect(lambda: told.append(set(session.skipped)))
    session.clear_skipped()
    session.skip(2)
    session.skip(2)
    session.clear_skipped()
    assert told == [{2}, set()]


def test_large_slices_are_not_read_to_be_suggested(monkeypatch):
    data = Read()
    session = Session(Stack(data))
    monkeypatch.setattr("napari_salt.regions.LARGE", 4 * 5 - 1)
    assert len(session.suggest()) == 1
    assert data.reads == []
    assert session.blank == set()
