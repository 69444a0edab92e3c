"""Values of files from strangers: each function gives its value back, or raises ``TypeError`` or ``ValueError``."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from typing import TypeVar, cast

from napari_salt.records import Color

LONGEST_TEXT = 1000
"""Characters of a name, a unit, a note."""
_UNSEEN = ("Cc", "Cs")
"""Unicode categories of control characters and of half characters, which no file takes."""

Chosen = TypeVar("Chosen", bound=str)


def whole(value: object, least: int, most: int | None = None) -> int:
    """A whole number from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    if value < least or (most is not None and value > most):
        raise ValueError("out of range")
    return value


def number(value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number from ``least`` to ``most``."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("not a number")
    try:
        found = float(value)
    except OverflowError as error:
        raise ValueError("out of range") from error
    if not (math.isfinite(found) and least <= found <= most):
        raise ValueError("out of range")
    return found


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """Text of one line, without control characters."""
    if not isinstance(value, str):
        raise TypeError("not text")
    if len(value) > longest or not is_plain(value):
        raise ValueError("too long, or with control characters")
    return value


def is_plain(value: str) -> bool:
    """Whether text has neither control characters nor half characters."""
    return not any(unicodedata.category(sign) in _UNSEEN for sign in value)


def shown(text: str, keep: str = "") -> str:
    """Text for a terminal: signs that could steer it, or cannot be written, as Python writes them; but for ``keep``."""
    return "".join(
        sign if sign in keep or is_plain(sign) else sign.encode("unicode_escape").decode()
        for sign in text
    )


def name_key(name: str) -> str:
    """What two names have in common that are the same to a reader: case, blanks and forms of Unicode aside.

    A Mac takes "é" of a file name apart into a letter and an accent, which other keyboards write as one.
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def truth(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def one_of(value: object, known: Collection[Chosen]) -> Chosen:
    """One of the words in ``known``."""
    if not isinstance(value, str) or value not in known:
        raise ValueError("not one of the known words")
    return cast("Chosen", value)


def items(value: object, most: int, least: int = 0) -> list[object]:
    """A list of ``least`` to ``most`` entries."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    if not least <= len(value) <= most:
        raise ValueError("too many entries, or too few")
    return value


def color(value: object) -> Color:
    """Red, green, blue and alpha, each from 0 to 1."""
    red, green, blue, alpha = (number(part, 0, 1) for part in items(value, 4, 4))
    return (red, green, blue, alpha)
