"""Values of files from strangers: what is let in, as it was, and what is refused."""

from __future__ import annotations

import math

import pytest

from napari_salt import checked

WRONG = [None, "1", [1], {}, b"1", 1j]


@pytest.mark.parametrize("value", [2, 3, 10**30])
def test_whole_numbers_from_the_least_up(value):
    assert checked.whole(value, 2) == value


@pytest.mark.parametrize("value", [1, -(10**30), 6])
def test_whole_numbers_outside_of_their_range(value):
    with pytest.raises(ValueError, match="range"):
        checked.whole(value, 2, 5)
    assert (checked.whole(2, 2, 5), checked.whole(5, 2, 5)) == (2, 5)


@pytest.mark.parametrize("value", [*WRONG, True, 2.0, math.nan])
def test_what_is_no_whole_number(value):
    with pytest.raises(TypeError):
        checked.whole(value, 0)


@pytest.mark.parametrize("value", [0, 1, 0.25, 1.0])
def test_numbers_become_floats(value):
    found = checked.number(value, 0, 1)
    assert found == value
    assert isinstance(found, float)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), 1.0001, -0.0001]
)
def test_numbers_that_are_none_or_outside_of_their_range(value):
    with pytest.raises(ValueError, match="range"):
        checked.number(value, 0, 1)
    if abs(value) < 2:
        assert checked.number(value) == value
    else:
        with pytest.raises(ValueError, match="range"):
            checked.number(value)


@pytest.mark.parametrize("value", [*WRONG, False])
def test_what_is_no_number(value):
    with pytest.raises(TypeError):
        checked.number(value)


@pytest.mark.parametrize("value", ["", "gray matter", "灰質 é", "a" * 1000])
def test_text_of_one_line(value):
    assert checked.text(value) == value


@pytest.mark.parametrize("value", ["a\nb", "\0", "\x1b[31m", "\x7f", "\x85", "\ud800", "a" * 1001])
def test_text_that_no_file_should_have(value):
    with pytest.raises(ValueError, match="control characters"):
        checked.text(value)


def test_how_long_a_text_may_be():
    assert checked.text("abc", 3) == "abc"
    with pytest.raises(ValueError, match="too long"):
        checked.text("abcd", 3)


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"]])
def test_what_is_no_text(value):
    with pytest.raises(TypeError):
        checked.text(value)


def test_truth_is_no_number():
    assert checked.truth(True) is True
    assert checked.truth(False) is False
    for value in (0, 1, "true", None):
        with pytest.raises(TypeError):
            checked.truth(value)


def test_one_of_the_known_words():
    assert checked.one_of("b", ("a", "b")) == "b"
    for value in ("c", "", 1, None, ["a"]):
        with pytest.raises(ValueError, match="known words"):
            checked.one_of(value, ("a", "b"))


def test_how_many_entries_a_list_may_have():
    assert checked.items([], 2) == []
    assert checked.items([1, "2"], 2, 2) == [1, "2"]
    for value, least in (([1, 2, 3], 0), ([1], 2)):
        with pytest.raises(ValueError, match="entries"):
            checked.items(value, 2, least)
    for value in ((1, 2), "ab", {1: 2}, None):
        with pytest.raises(TypeError):
            checked.items(value, 2)


def test_colours_have_four_parts_from_0_to_1():
    assert checked.color([0, 1, 0.5, 1.0]) == (0.0, 1.0, 0.5, 1.0)
    for value in ([0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1.01], [0, 0, -0.01, 1]):
        with pytest.raises(ValueError, match=r"range|entries"):
            checked.color(value)
    with pytest.raises(TypeError):
        checked.color("#ffffff")
