"""Ids that never change hands, names that stay apart, colours, and signals in order."""

from __future__ import annotations

import pytest

from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, Label
from napari_salt.session.labels import OKABE_ITO, LabelTable


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
    assert first == Label(1, "gray matter", OKABE_ITO[0])
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


@pytest.mark.parametrize("name", ["", "  ", "background", " Background ", "Nucleus", "nucleus "])
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
    assert tuple(colors[: len(OKABE_ITO)]) == OKABE_ITO
    assert len(set(colors)) == 60
    table.remove(3)
    assert table.add("next").color == OKABE_ITO[2]


@pytest.mark.parametrize("color", [(2, 0, 0, 1), (0, 0), (-0.1, 0, 0, 1)])
def test_colours_that_cannot_be(color):
    table = LabelTable([Label(1, "nucleus")])
    with pytest.raises(InputError):
        table.recolour(1, color)
