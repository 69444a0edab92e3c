"""Names of units as files spell them, and how they convert."""

from __future__ import annotations

PIXEL = "pixel"
"""Unit of an axis whose physical size nobody has said."""

_METRES = {
    "nm": 1e-9,
    "um": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
    "A": 1e-10,
    "pm": 1e-12,
    "inch": 0.0254,
}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}

_SPELLINGS = {
    "nm": ("nanometer", "nanometre"),
    "um": ("micron", "micrometer", "micrometre", "µm", "μm", "µ", "μ"),
    "mm": ("millimeter", "millimetre"),
    "cm": ("centimeter", "centimetre"),
    "m": ("meter", "metre"),
    "A": ("angstrom", "ångström", "å", "ångstrom"),
    "pm": ("picometer", "picometre"),
    "inch": ("in", "inches", '"'),
    "us": ("µs", "μs", "microsecond"),
    "ms": ("msec", "millisecond"),
    "s": ("sec", "second"),
    "min": ("minute",),
    "h": ("hr", "hour"),
    PIXEL: ("", "px", "voxel", "none", "dimensionless", "reference frame"),
}
_CANON = {
    word.casefold(): unit for unit, words in _SPELLINGS.items() for word in (unit, *words)
} | {
    # Plurals of whole words only: "ms" is no plural of "m".
    f"{word.casefold()}s": unit
    for unit, words in _SPELLINGS.items()
    for word in (unit, *words)
    if len(word) > 3
}
_CANON["\\u00b5m"] = "um"
"""ImageJ escapes the sign where its description must be ASCII."""


def normalise_unit(text: object) -> str:
    """Short name of a unit: ``micron``, ``µm`` and ``um`` are all ``"um"``; unknown ones stay."""
    word = str(text).strip()
    return _CANON.get(word.casefold(), word) if word else PIXEL


def is_known(unit: str) -> bool:
    """Whether a unit is a length, a time, or a pixel."""
    return normalise_unit(unit) in {PIXEL, *_METRES, *_SECONDS}


def is_time(unit: str) -> bool:
    """Whether a unit measures time."""
    return normalise_unit(unit) in _SECONDS


def convert(value: float, unit: str, to: str) -> float | None:
    """A size in another unit; None when the two do not measure the same thing."""
    unit, to = normalise_unit(unit), normalise_unit(to)
    if unit == to:
        return value
    for table in (_METRES, _SECONDS):
        if unit in table and to in table:
            return tidy(value * table[unit] / table[to])
    return None


def tidy(value: float) -> float:
    """A size without the last digits that a ratio in a file leaves behind (9 digits kept)."""
    return float(f"{value:.9g}")
