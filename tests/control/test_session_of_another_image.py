"""A session is opened on its own image only; on any other one that is said in a sentence, and nothing is lost."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.io.identity import identity
from napari_salt.io.session_folder import STATE
from napari_salt.records import BACKGROUND
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from saving_office import Office, painted_in, worked

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
    here.view.confirm.assert_not_called()
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
