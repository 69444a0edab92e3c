"""What a label image on disk means to a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_salt.commands.annotated import read_paint
from napari_salt.errors import InputError
from napari_salt.io.read import LabelImage
from napari_salt.records import BACKGROUND
from napari_salt.session.stack import Stack

PATH = Path("labels.tif")


def image(*planes):
    return LabelImage(Stack(np.array(planes, np.uint16)))


THREE = image([[0, 1], [2, 9]], [[0, 0], [0, 0]], [[9, 9], [9, 9]])
NAMES = {1: "disk", 2: "box", 9: "background"}


def test_all_slices_that_carry_a_label_and_0_unlabelled():
    paint = read_paint(THREE, PATH, NAMES, None, complete=False)
    assert [one.index for one in paint.annotated] == [0, 2]
    assert paint.annotated[0].targets.tolist() == [[0, 1], [2, BACKGROUND]]
    assert [(label.label_id, label.name) for label in paint.labels] == [(1, "disk"), (2, "box")]
    assert paint.missing == ()
    assert paint.renumbered == {}


def test_complete_makes_0_background_also_on_an_empty_slice_that_was_asked_for():
    paint = read_paint(THREE, PATH, NAMES, (0, 1), complete=True)
    assert paint.annotated[0].targets.tolist() == [[BACKGROUND, 1], [2, BACKGROUND]]
    assert paint.annotated[1].targets.tolist() == [[BACKGROUND] * 2] * 2
    assert all(one.complete for one in paint.annotated)


def test_a_mask_of_0_and_255_gets_a_small_id():
    paint = read_paint(image([[0, 255]]), PATH, {255: "nucleus"}, None, complete=True)
    assert paint.annotated[0].targets.tolist() == [[BACKGROUND, 1]]
    assert paint.labels[0].label_id == 1
    assert paint.renumbered == {255: 1}


def test_a_free_id_is_really_free():
    names = {255: "nucleus", 1: "cell", 2: "dirt"}
    paint = read_paint(image([[0, 1, 2, 255]]), PATH, names, None, complete=False)
    assert paint.annotated[0].targets.tolist() == [[0, 1, 2, 3]]


def test_labels_that_no_slice_carries_are_told():
    paint = read_paint(THREE, PATH, {**NAMES, 3: "ring"}, None, complete=False)
    assert paint.missing == ("ring",)


@pytest.mark.parametrize(
    ("names", "slices", "says"),
    [
        ({1: "disk"}, None, "labels without a name: 2 and 9"),
        (NAMES, (1,), "No pixel of a label is in slices 1"),
        (NAMES, (2,), "No pixel of a label is in slices 2"),
        ({0: "nothing", **NAMES}, None, "Id 0 is unlabelled"),
        ({9: "background"}, None, "besides background"),
    ],
)
def test_refusals(names, slices, says):
    with pytest.raises(InputError, match=says):
        read_paint(THREE, PATH, names, slices, complete=False)
