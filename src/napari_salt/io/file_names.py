"""From any text (a stack's name, a label's) to a file name that is one on every system, and stays in its folder."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from napari_salt.errors import InputError

LONGEST = 100
"""Characters; file systems take 255 bytes, and suffixes and numbers are still to come."""
MOST_BYTES = 180

_SEPARATORS = re.compile(r'[<>:"/\\|?*]+')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)
"""Devices of Windows, whatever suffix follows."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that show nothing, turn the direction of writing, or are half characters."""


def check_ending(file: Path, *endings: str) -> None:
    """InputError unless the name of ``file`` has one of these ``endings``, in any case."""
    if not file.name.lower().endswith(endings):
        raise InputError(f"{file.name} should end in {' or '.join(endings)}; rename it.")


def safe_file_name(text: str, default: str = "stack") -> str:
    """``text`` as a file name without a path: no separators, devices, control characters, dots or blanks around.

    Names that are fine stay as they are; ``default`` stands for a name of which nothing is left.
    """
    shown = "".join(
        "_" if unicodedata.category(sign) in _UNSEEN else sign
        for sign in unicodedata.normalize("NFC", text)
    )
    name = _short(_SEPARATORS.sub("_", shown).strip(" .")).rstrip(" .")
    if not name.strip("_"):
        return default
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _short(name: str) -> str:
    """At most so many characters, and bytes."""
    return name[:LONGEST].encode()[:MOST_BYTES].decode(errors="ignore")
