"""Arguments as text: label names by id, slice numbers, lists of names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from napari_salt.checked import name_key
from napari_salt.errors import InputError

_NUMBER = r"\d{1,18}"
"""Python refuses to read numbers of thousands of digits, by an error of its own."""


def parse_names(text: str) -> dict[int, str]:
    """``"1=gray matter,2=white matter"`` as names by id, in the order given.

    A comma belongs to a name unless a number and ``=`` follow it; the mark at the start of some text files (BOM) counts
    for nothing. Raises ``InputError`` for
    anything else, and for an id that comes twice.
    """
    _check_text(text)
    names: dict[int, str] = {}
    for part in re.split(r",(?=\s*\d+\s*=)", text.removeprefix("\ufeff")):
        found = re.fullmatch(rf"\s*({_NUMBER})\s*=\s*(.*?)\s*", part, re.DOTALL)
        if found is None or not found[2]:
            raise InputError(
                f"Cannot read the names '{text}'; write them like \"1=gray matter,2=white matter\"."
            )
        label_id = int(found[1])
        if label_id in names:
            raise InputError(f"Id {label_id} has two names in '{text}'; give each id one name.")
        names[label_id] = found[2]
    return names


def parse_slices(text: str, count: int) -> tuple[int, ...]:
    """``"10,40,70-72"`` as slice numbers, ascending, each once; the first slice is 0.

    ``InputError`` when the text is no such list, or a slice lies outside a stack of ``count``.
    """
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(rf"\s*({_NUMBER})\s*(?:-\s*({_NUMBER})\s*)?", part)
        if ends is None:
            raise InputError(f"Cannot read the slices '{text}'; write them like 10,40,70 or 10-20.")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first:
            raise InputError(f"The slices {part.strip()} run backwards; write {last}-{first}.")
        if last >= count:
            raise InputError(
                f"There is no slice {last}; the image has {count} slices, numbered 0 to {count - 1}."
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def parse_list(text: str, known: Iterable[str] = ()) -> tuple[str, ...]:
    """``"gray matter, white matter"`` as names; ``InputError`` when one is empty.

    A comma belongs to a name where the longest of the ``known`` ones, whatever its case, holds it.
    """
    _check_text(text)
    whole = set(map(name_key, known))
    parts = text.split(",")
    names: list[str] = []
    while parts:
        joined = [",".join(parts[:end]).strip() for end in range(len(parts), 1, -1)]
        name = next((name for name in joined if name_key(name) in whole), parts[0].strip())
        del parts[: name.count(",") + 1]
        names.append(name)
    if not all(names):
        raise InputError(f"Cannot read the label names '{text}'; separate them by single commas.")
    return tuple(names)


def _check_text(text: str) -> None:
    """``InputError`` for bytes that the terminal's encoding has no letter for; Python keeps them as halves of one."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(
            f"The names {text!a} are not in the encoding of this terminal; use UTF-8, as by LC_ALL=C.UTF-8."
        )


def listed(values: Iterable[object], most: int = 8) -> str:
    """``"3, 5 and 9"``; of a long list the first few, and how many more there are."""
    texts = [str(value) for value in values]
    if len(texts) > most:
        return f"{', '.join(texts[:most])} and {len(texts) - most} more"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
