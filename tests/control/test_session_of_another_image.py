"""A session is opened on its own image; on any other one only when asked for, and it must fit; nothing is lost.

An image whose pixels are replaced is its session's own before and after.
"""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.io.identity import identity
from napari_salt.io.session_folder import STATE
from napari_salt.io.session_store import SessionStore
from napari_salt.records import BACKGROUND
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from saving_office import Office, new_session, painted_in, predicted, worked

SHAPE = (6, 8, 10)


def stack_of(*shape, dtype=np.uint8, channels=0, rgb=False):
    """All zeros, so that arrays of one size are the same bytes."""
    whole = (*shape, channels) if channels else shape
    return Stack(
        np.zeros(whole, dtype), channel_axis=3 if channels else None, rgb=rgb, name="other"
    )


GREY = stack_of(*SHAPE)
COLOUR = stack_of(*SHAPE, channels=3, rgb=True)


@pytest.fixture
def kept(tmp_path):
    """Makes a session of an image, with two painted slices and a round; its folder."""

    def make(stack):
        office = Office(tmp_path / "first", Session(stack))
        worked(office, tmp_path)
        office.saving.close()
        (path,) = office.folders
        return path

    return make


@pytest.mark.parametrize(
    ("own", "other", "difference"),
    [
        (GREY, stack_of(5, 8, 10), "has 5 slices · 8 × 10"),
        (GREY, stack_of(6, 8, 9), "has 6 slices · 8 × 9"),
        (GREY, stack_of(6, 4, 5), "has 6 slices · 4 × 5"),
        (GREY, stack_of(8, 6, 10), "has 8 slices · 6 × 10 (the same axes in another order)"),
        (GREY, stack_of(6, 10, 8), "has 6 slices · 10 × 8 (the same axes in another order)"),
        (GREY, stack_of(5, 8, 12), "has 5 slices · 8 × 12"),  # as many pixels
        (GREY, stack_of(*SHAPE, dtype=np.uint16), "holds uint16 instead of uint8"),
        (GREY, stack_of(*SHAPE, dtype=np.int8), "holds int8 instead of uint8"),
        (GREY, COLOUR, "is in colour"),
        (COLOUR, GREY, "is grey"),
        (COLOUR, stack_of(*SHAPE, channels=3), "has 3 channels"),
        (GREY, Stack(np.ones(SHAPE, np.uint8), name="other"), "holds other pixels"),
    ],
)
def test_on_another_image_a_session_is_refused_by_a_sentence_and_nothing_is_lost(
    kept, tmp_path, own, other, difference
):
    path = kept(own)
    here = Office(tmp_path / "store", Session(other))
    here.session.labels.add("mine")
    here.paint(0, 1)
    here.tick()
    here.view.confirm.return_value = False
    before = here.session.annotations.paint.copy()
    with pytest.raises(InputError) as refused:
        here.saving.go_on(path)
    sentence = str(refused.value)
    assert f"“other”, which is open, {difference}; open that image first" in sentence
    assert sentence.count(".") == 1
    assert "\n" not in sentence
    assert np.array_equal(here.session.annotations.paint, before)
    assert [label.name for label in here.session.labels] == ["mine"]
    assert len(here.session.rounds) == 0
    assert here.view.confirm.called == (other.info.shape == own.info.shape), "only what fits"
    here.paint(1, BACKGROUND)
    here.saving.close()
    assert painted_in(path) == (1, 4)
    assert [painted_in(one) for one in here.folders] == [(0, 1)]


@pytest.mark.parametrize("shape", [(6, 10, 8), (5, 8, 10)])
def test_a_session_that_lies_about_its_image_is_refused_before_anything_is_replaced(
    kept, tmp_path, shape
):
    path = kept(stack_of(*shape))
    state = json.loads((path / STATE).read_text())
    state["identity"] = identity(GREY)
    (path / STATE).write_text(json.dumps(state))
    here = Office(tmp_path / "store", Session(GREY))
    here.paint(0, BACKGROUND)
    with pytest.raises(InputError, match="belongs to"):
        here.saving.go_on(path)
    assert here.session.annotations.painted_slices() == (0,)
    assert len(here.session.labels) == 0
    here.saving.close()


def test_without_an_open_image_it_says_so(kept, tmp_path):
    path = kept(GREY)
    here = Office(tmp_path / "store")
    here.saving.left()
    with pytest.raises(InputError, match=r"“.*” \(6 slices · 8 × 10\), and no image is open; open"):
        here.saving.go_on(path)
    here.saving.close()


def test_a_session_goes_onto_other_pixels_that_it_fits_when_the_user_wants_it(kept, tmp_path):
    path = kept(GREY)
    here = Office(tmp_path / "store", Session(Stack(np.ones(SHAPE, np.float32), name="denoised")))
    here.saving.go_on(path)
    question = here.view.confirm.call_args.args[0]
    assert question.endswith(
        "“denoised”, which is open, holds float32 instead of uint8. Put its work onto “denoised” all the same?"
    )
    assert here.session.annotations.painted_slices() == (1, 4)
    here.tick()
    here.saving.close()
    assert here.folders == []
    assert SessionStore(path.parent).find(identity(GREY)), (
        "the image that it was painted on has it still"
    )
    again = Office(path.parent, Session(here.session.stack))
    again.tick()
    assert again.desk.status.offer == "Restore"
    again.saving.close()


# ---- pixels that are replaced while the session is open


def replace_pixels(office: Office, value: int) -> Stack:
    """As the viewer does when an image layer gets another array."""
    stack = Stack(np.full((6, 8, 8), value, np.uint8), name="t1")
    office.session.replace_stack(stack, other_pixels=True)
    office.saving.pixels_replaced()
    return stack


@pytest.fixture
def replaced(tmp_path):
    """Where a session lies that was painted on pixels 0, then on pixels 9."""
    office = Office(tmp_path / "store")
    worked(office, tmp_path)
    replace_pixels(office, 9)
    office.paint(5, 1)
    office.tick()
    office.saving.close()
    (path,) = office.folders
    return path


@pytest.mark.parametrize("value", [0, 9])
def test_work_on_replaced_pixels_is_offered_on_them_and_on_those_before(replaced, value):
    later = Office(replaced.parent, new_session(value))
    later.tick()
    assert later.desk.status.text == "Restore your work on “t1”? 3 slices, 1 round"
    later.desk.offer()
    assert later.session.annotations.painted_slices() == (1, 4, 5)
    later.paint(0, 1)
    later.tick()
    later.saving.close()
    assert later.folders == [replaced]
    for each in (0, 9):
        assert SessionStore(replaced.parent).find(identity(new_session(each).stack)), each


def test_pixels_that_were_never_those_of_a_session_are_offered_nothing(replaced):
    later = Office(replaced.parent, new_session(5))
    later.tick()
    assert later.desk.status.offer == ""
    later.saving.close()


def test_replaced_pixels_that_cannot_be_read_keep_nothing_from_being_saved(tmp_path):
    office = Office(tmp_path / "store")
    worked(office, tmp_path)
    for _ in range(2):
        replace_pixels(office, 9).plane = Mock(side_effect=OSError("gone"))
        office.saving.pixels_replaced()
    office.paint(5, 1)
    office.tick()
    office.saving.close()
    assert [painted_in(path) for path in office.folders] == [(1, 4, 5)]
    (found,) = office.store.find(identity(new_session().stack))
    assert found.slices == 3


def test_earlier_work_is_offered_on_the_pixels_that_come_where_there_is_none_yet(replaced):
    here = Office(replaced.parent, new_session(5))
    here.tick()
    replace_pixels(here, 9)
    here.tick()
    assert here.desk.status.offer == "Restore"
    here.saving.close()


def test_masks_come_back_only_onto_the_pixels_that_they_were_made_of(tmp_path):
    office = Office(tmp_path / "store")
    worked(office, tmp_path)
    adapter = Path(office.session.adapter_path)
    office.saving.predicted(office.session, predicted(2), adapter)
    replace_pixels(office, 9)
    office.tick()
    office.saving.close()
    offers = {0: "2 slices, 1 round, masks of 1 slice", 9: "2 slices, 1 round"}
    for value, contents in offers.items():
        later = Office(tmp_path / "store", new_session(value))
        later.tick()
        assert later.desk.status.text.endswith(f"? {contents}")
        later.desk.offer()
        for _ in range(2):
            later.saving._mask_pool.submit(lambda: None).result()
            later.tick()
        assert later.session.predicted_slices() == ((2,) if value == 0 else ())
        later.saving.close()
