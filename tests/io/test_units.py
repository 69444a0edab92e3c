"""Spellings of units, and conversion."""

from __future__ import annotations

import pytest

from napari_salt.io.units import convert, is_time, normalise_unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("um", "um"), ("µm", "um"), ("μm", "um"), ("micron", "um"), ("microns", "um"),
        ("Micrometer", "um"), ("micrometres", "um"), ("\\u00B5m", "um"), ("mm", "mm"),
        ("millimeter", "mm"), ("ms", "ms"), ("m", "m"), ("metres", "m"), ("nm", "nm"), ("Å", "A"),
        ("inch", "inch"), ("in", "inch"), ("sec", "s"), ("seconds", "s"), ("min", "min"),
        ("", "pixel"), (" pixels ", "pixel"), ("reference frame", "pixel"), ("furlong", "furlong"),
    ],
)  # fmt: skip
def test_spellings(text, unit):
    assert normalise_unit(text) == unit
    assert normalise_unit(unit) == unit


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (2.0, "mm", "um", 2000.0),
        (650, "nm", "micron", 0.65),
        (2.0, "min", "s", 120.0),
        (2.0, "pixel", "um", None),
        (2.0, "s", "um", None),
        (2.0, "furlong", "furlong", 2.0),
    ],
)
def test_conversion(value, unit, to, expected):
    assert convert(value, unit, to) == expected


def test_time():
    assert [is_time(unit) for unit in ("sec", "ms", "um", "pixel")] == [True, True, False, False]
