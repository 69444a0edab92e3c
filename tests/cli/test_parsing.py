from __future__ import annotations

import pytest

from napari_salt.checked import name_key
from napari_salt.commands.parsing import listed, parse_list, parse_names, parse_slices
from napari_salt.errors import InputError
from napari_salt.session.labels import LabelTable


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1=gray matter,2=white matter", {1: "gray matter", 2: "white matter"}),
        (" 1 = gray matter , 255=background", {1: "gray matter", 255: "background"}),
        ("1=cell, round,2=cell=flat", {1: "cell, round", 2: "cell=flat"}),
        ("300=Zellkern µ", {300: "Zellkern µ"}),
        ("\ufeff1=disk,\r\n2=box\r\n", {1: "disk", 2: "box"}),
    ],
)
def test_names(text, names):
    assert parse_names(text) == names


@pytest.mark.parametrize("text", ["", "nucleus", "1=", "a=b", "1=a,1=b", "-1=a"])
def test_names_that_are_none(text):
    with pytest.raises(InputError):
        parse_names(text)


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("10,40,70", (10, 40, 70)),
        ("10-12", (10, 11, 12)),
        (" 3 , 1 - 2,2", (1, 2, 3)),
        ("99", (99,)),
    ],
)
def test_slices(text, slices):
    assert parse_slices(text, 100) == slices


@pytest.mark.parametrize("text", ["", "a", "1,", "100", "5-2", "-1", "1-2-3", "1.5"])
def test_slices_that_are_none(text):
    with pytest.raises(InputError):
        parse_slices(text, 100)


def test_list():
    assert parse_list("a, b c ,d") == ("a", "b c", "d")
    with pytest.raises(InputError):
        parse_list("a,,b")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("=weird, comma", ("=weird, comma",)),
        ("axon, =Weird, Comma,soma", ("axon", "=Weird, Comma", "soma")),
        ("soma, axon", ("soma", "axon")),
        ("axon, soma", ("axon, soma",)),
        ("weird, comma", ("weird", "comma")),
        ("end,", ("end,",)),
    ],
)
def test_a_comma_of_a_known_name_separates_nothing(text, names):
    assert parse_list(text, ["=weird, comma", "axon", "soma", "axon, soma", "end,"]) == names


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3], "3"),
        ([3, 5], "3 and 5"),
        ([1, 2, 3], "1, 2 and 3"),
        (range(12), "0, 1, 2, 3, 4, 5, 6, 7 and 4 more"),
    ],
)
def test_listed(values, text):
    assert listed(values) == text


NFC, NFD = "Zellk\u00f6rper", "Zellko\u0308rper"


def test_a_name_is_the_same_in_every_form_of_unicode():
    assert NFC != NFD
    assert name_key(NFC) == name_key(f"  {NFD.upper()} ")
    assert name_key("cell") != name_key("cel l")
    assert parse_list(f"{NFD}, rund,axon", [f"{NFC}, rund"]) == (f"{NFD}, rund", "axon")
    table = LabelTable()
    table.add(NFC)
    assert table.by_name(NFD) is not None
    with pytest.raises(InputError, match="already"):
        table.add(NFD)
