"""Ids that never change hands, names that stay apart, colours, and signals in order."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, Label
from napari_salt.session.labels import PALETTE, LabelTable


def listen(table):
    heard = []
    for name in ("added", "renamed", "recoloured", "removed"):
        getattr(table, name).connect(lambda label, name=name: heard.append((name, label)))
    table.changed.connect(lambda: heard.append("changed"))
    return heard


def test_every_change_is_told_in_order():
    table = LabelTable()
    heard = listen(table)
    first = table.add(" gray   matter ")
    named = table.rename(1, "GM")
    shown = table.recolour(1, (0, 0, 1, 1))
    table.remove(1)
    assert first == Label(1, "gray matter", PALETTE[0])
    assert (named.name, shown.color, named.label_id) == ("GM", (0.0, 0.0, 1.0, 1.0), 1)
    assert heard == [
        ("added", first), "changed", ("renamed", named), "changed",
        ("recoloured", shown), "changed", ("removed", shown), "changed",
    ]  # fmt: skip


def test_what_changes_nothing_is_silent():
    table = LabelTable([Label(1, "nucleus", (1, 0, 0, 1))])
    heard = listen(table)
    table.rename(1, " nucleus ")
    table.recolour(1, (1, 0, 0, 1))
    assert heard == []


def test_a_label_keeps_the_colour_that_it_comes_with():
    table = LabelTable()
    assert table.add("a", (0, 0.5, 1)).color == (0.0, 0.5, 1.0, 1.0)
    assert table.add("b").color == PALETTE[0]


def test_ids_are_never_given_away_twice():
    table = LabelTable()
    assert [table.add(name).label_id for name in "abc"] == [1, 2, 3]
    table.remove(3)
    table.remove(1)
    assert table.add("d").label_id == 4
    again = LabelTable(table, next_id=table.next_id)
    again.remove(4)
    assert LabelTable(again, next_id=again.next_id).add("e").label_id == 5


def test_the_id_of_background_is_left_out():
    table = LabelTable([Label(BACKGROUND - 1, "last below")])
    assert table.add("first above").label_id == BACKGROUND + 1
    assert LabelTable(next_id=BACKGROUND).next_id == BACKGROUND + 1


def test_a_given_id_is_kept():
    table = LabelTable()
    assert table.add("liver", label_id=40).label_id == 40
    assert table.add("spleen").label_id == 41


@pytest.mark.parametrize("label_id", [0, BACKGROUND, 7, -1, 65536])
def test_ids_that_cannot_be(label_id):
    table = LabelTable([Label(7, "taken")])
    with pytest.raises(InputError):
        table.add("new", label_id=label_id)
    assert table.ids == (7,)


def test_ids_run_out_with_a_sentence():
    table = LabelTable([Label(65535, "last")])
    with pytest.raises(InputError, match="65535"):
        table.add("one more")


@pytest.mark.parametrize(
    "name", ["", "  ", "background", " Background ", "Nucleus", "nucleus ", "\u200b\u202e"]
)
def test_names_that_cannot_be(name):
    table = LabelTable()
    table.add("nucleus")
    table.add("cell")
    heard = listen(table)
    with pytest.raises(InputError):
        table.add(name)
    with pytest.raises(InputError):
        table.rename(2, name)
    assert [label.name for label in table] == ["nucleus", "cell"]
    assert heard == []


def test_a_name_may_change_its_case():
    table = LabelTable([Label(1, "nucleus")])
    assert table.rename(1, "Nucleus").name == "Nucleus"


def test_finding():
    table = LabelTable([Label(3, "gray matter"), Label(9, "CSF")])
    assert table.by_name(" Gray  Matter") == table[3]
    assert table.by_name("grey matter") is None
    assert (3 in table, 4 in table, len(table)) == (True, False, 2)
    assert table.names == {3: "gray matter", 9: "CSF"}
    with pytest.raises(InputError, match="3, 9"):
        table[4]
    with pytest.raises(InputError, match="add a label first"):
        LabelTable()[1]


def test_colours_are_all_different_and_freed_by_removal():
    table = LabelTable()
    colors = [table.add(f"label {n}").color for n in range(60)]
    assert tuple(colors[: len(PALETTE)]) == PALETTE
    assert len(set(colors)) == 60
    table.remove(3)
    assert table.add("next").color == PALETTE[2]


@pytest.mark.parametrize("color", [(2, 0, 0, 1), (0, 0), (-0.1, 0, 0, 1)])
def test_colours_that_cannot_be(color):
    table = LabelTable([Label(1, "nucleus")])
    with pytest.raises(InputError):
        table.recolour(1, color)


EYES = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""What eyes see of linear RGB, at full severity (Machado, Oliveira and Fernandes, IEEE TVCG 15:1291, 2009)."""


@pytest.mark.parametrize("eyes", EYES)
def test_the_first_eight_colours_are_told_apart(eyes):
    table = LabelTable()
    colors = np.array([table.add(f"label {n}").color[:3] for n in range(8)])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(EYES[eyes]).T).clip(0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    # 2.3 is the least difference that is noticed side by side; paint is seen far apart and through an image.
    assert min(np.linalg.norm(one - other) for one, other in combinations(lab, 2)) > 15
    assert np.linalg.norm(lab, axis=1).min() > 25, "visible on black"
