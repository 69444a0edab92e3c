"""What comes along to a time point, or an image, that was open before."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.records import FitRecord
from napari_salt.session.follow import follow
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack

RECORD = FitRecord("salt", "lite-medsam", (1,), 9, 1.0, 9, "adapted")


def with_labels(*names):
    session = Session(Stack(np.zeros((3, 4, 4), np.uint8)))
    for name in names:
        session.labels.add(name)
    return session


def names(session):
    return {label.label_id: label.name for label in session.labels}


@pytest.mark.parametrize(
    ("here", "before", "same_image", "after"),
    [
        ((), ("cell", "dot"), True, {1: "cell", 2: "dot"}),
        ((), ("cell", "dot"), False, {1: "cell", 2: "dot"}),
        (("cell",), ("cell", "dot"), True, {1: "cell", 2: "dot"}),
        (("cell",), ("cell", "dot"), False, {1: "cell"}),
        (("cell", "rim"), ("cell",), True, {1: "cell", 2: "rim"}),
        (("cell", "rim"), ("cell", "dot"), True, {1: "cell", 2: "rim"}),
        (("dot",), ("cell", "dot"), True, {1: "dot"}),
        (("cell",), (), True, {1: "cell"}),
    ],
)
def test_labels_come_along_where_they_mean_the_same(here, before, same_image, after):
    session = with_labels(*here)
    follow(session, with_labels(*before), same_image=same_image)
    assert names(session) == after


def test_a_deleted_label_does_not_come_back_and_its_id_goes_to_no_other():
    session, before = with_labels("cell", "dot"), with_labels("cell", "dot", "rim")
    session.labels.remove(2)
    before.labels.remove(3)
    follow(session, before, same_image=True)
    assert names(session) == {1: "cell"}
    assert session.labels.add("new").label_id == 4


def test_paint_of_no_label_gets_no_name_by_chance():
    session = with_labels()
    session.annotations.paint[0, 0, 0] = 1
    session.annotations.touched(0)
    follow(session, with_labels("cell"), same_image=True)
    assert names(session) == {}


def test_the_adapter_of_the_newest_round_comes_along_until_there_is_one_of_ones_own():
    session, before = with_labels("cell"), with_labels("cell")
    before.add_round(RECORD, "one", 1)
    follow(session, before, same_image=True)
    assert session.adapter_path == "one"
    before.add_round(RECORD, "two", 1)
    follow(session, before, same_image=False)
    assert session.adapter_path == "one", "not from another image"
    follow(session, before, same_image=True)
    assert session.adapter_path == "two"
    session.use_adapter("a file")
    follow(session, before, same_image=True)
    assert session.adapter_path == "a file"
    session.add_round(RECORD, "own", 1)
    follow(session, before, same_image=True)
    assert session.adapter_path == "own"
