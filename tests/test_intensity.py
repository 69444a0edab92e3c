"""Windows by name, choices as text and in words, and what gives a CT away."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import InputError
from napari_salt.intensity import (
    AUTO,
    WINDOWS,
    Limits,
    check_choice,
    is_blank,
    looks_like_ct,
    name_of,
    parse_percentiles,
    parse_window,
    proposal,
    why_outside,
    words,
)
from napari_salt.records import IntensityChoice, Origin, StackInfo

CT = Limits((-1000.0,), (1200.0,), (-1024.0,), (3071.0,))


def info(dtype: str = "int16", format_: str = "", **fields) -> StackInfo:
    return StackInfo((3, 8, 8), dtype=dtype, origin=Origin(format=format_), **fields)


@pytest.mark.parametrize(
    ("pixels", "blank"),
    [
        ([[0, 0], [0, 0]], True),
        ([[0, 0], [0, 1]], False),
        ([[np.nan, np.nan], [np.nan, np.inf]], True),
        ([[np.nan, 2.0], [np.inf, 2.0]], True),
        ([[np.nan, 2.0], [np.inf, 3.0]], False),
        ([[[0, 9], [0, 9]], [[0, 9], [0, 9]]], True),
        ([[[0, 9], [0, 9]], [[0, 9], [0, 8]]], False),
    ],
)
def test_a_slice_is_blank_where_no_channel_shows_anything(pixels, blank):
    assert is_blank(np.array(pixels)) is blank


@pytest.mark.parametrize(
    ("name", "centre", "width"),
    [
        ("lung", -600, 1500),
        ("soft tissue", 40, 400),
        ("bone", 400, 1800),
        ("brain", 40, 80),
    ],
)
def test_named_windows_have_the_usual_centre_and_width(name, centre, width):
    window = WINDOWS[name]
    assert ((window.low + window.high) / 2, window.high - window.low) == (centre, width)
    assert parse_window(name) == check_choice(window)
    assert name_of(window) == name


def test_windows_and_percentiles_are_read_from_text():
    assert parse_window("Soft") == WINDOWS["soft tissue"]
    assert parse_window("-1350,150") == WINDOWS["lung"]
    assert parse_window(" -10.5, 1e3 ") == IntensityChoice("window", -10.5, 1000.0)
    assert parse_percentiles("2,99.5") == IntensityChoice("percentile", 2.0, 99.5)
    assert parse_percentiles("0.5,99.5") == AUTO


@pytest.mark.parametrize("text", ["kidney", "5", "1,2,3", "", "a,b"])
def test_text_that_is_no_window_is_told_what_one_is(text):
    with pytest.raises(InputError, match=r"no range of intensities; give lung, .* -1350,150\."):
        parse_window(text)


@pytest.mark.parametrize("text", ["150,-1350", "3,3", "nan,5", "0,inf"])
def test_a_window_has_a_lower_and_a_higher_end(text):
    with pytest.raises(InputError, match="the lower first"):
        parse_window(text)


@pytest.mark.parametrize("text", ["-1,50", "5,101"])
def test_percentiles_are_a_hundred(text):
    with pytest.raises(InputError, match="between 0 and 100"):
        parse_percentiles(text)


def test_a_choice_is_shown_with_its_numbers():
    assert words(AUTO) == "0.5 % .. 99.5 %"
    assert words(AUTO, CT) == "0.5 % .. 99.5 % = -1000 .. 1200"
    assert words(WINDOWS["bone"], CT) == "-500 .. 1300 (bone), of -1024 .. 3071"
    assert words(IntensityChoice("window", 0, 7)) == "0 .. 7"
    two = Limits((0.0, 1.0), (9.0, 8.0), (0.0, 0.0), (9.0, 9.0))
    assert words(AUTO, two) == "0.5 % .. 99.5 % = 0 .. 9; 1 .. 8"
    colour = Limits((0.0,) * 3, (9.0,) * 3, (0.0,) * 3, (9.0,) * 3)
    assert words(AUTO, colour) == "0.5 % .. 99.5 % = 0 .. 9"


def test_a_window_beside_the_stack_shows_nothing():
    grey = Limits((3.0,), (250.0,), (0.0,), (255.0,))
    assert "0 .. 255, outside of the window -1350 .. -1000" in why_outside(
        IntensityChoice("window", -1350, -1000), grey
    )
    assert why_outside(IntensityChoice("window", 255, 300), grey)
    assert not why_outside(IntensityChoice("window", 254, 300), grey)
    assert not why_outside(AUTO, grey)


@pytest.mark.parametrize(
    ("stack", "least", "is_ct"),
    [
        (info(), -1024, True),
        (info("float32"), -1000, True),
        (info(), -500, False),
        (info(format_="dicom"), -500, True),
        (info(format_="dicom"), -20, False),
        (info(), -32768, False),
        (info("uint16"), 0, False),
        (info(channels=2), -1024, False),
        (info(rgb=True, channels=3), -1024, False),
    ],
)
def test_a_ct_gives_itself_away(stack, least, is_ct):
    channels = stack.channels
    limits = Limits((0.0,) * channels, (9.0,) * channels, (least,) * channels, (3000.0,) * channels)
    assert looks_like_ct(stack, limits) is is_ct
    assert bool(proposal(stack, AUTO, limits)) is is_ct
    assert not proposal(stack, WINDOWS["lung"], limits)
