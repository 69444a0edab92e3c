"""From what a file dialog gives to a path and a format. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt.io.export import FORMATS, suffix_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_salt.io.export import Format


def pattern_of(one: Format) -> str:
    """What the dialog shows: ``NIfTI (*.nii.gz *.nii)``."""
    return f"{one.title} ({' '.join(f'*{suffix}' for suffix in one.suffixes) or '*'})"


def target_of(path: Path, offered: Sequence[Format], place: int) -> tuple[Path, Format]:
    """Where to write, and what.

    The first pattern is there by itself, so a name with an ending of another format counts more than it; any other
    pattern was picked by hand, so the name gets its ending.

    Parameters
    ----------
    path
        As typed or clicked.
    offered
        The formats that the dialog showed, in order.
    place
        Which of them was chosen.
    """
    chosen, ending = offered[place], suffix_of(path.name)
    if ending and place == 0:
        named = next(one for one in FORMATS if ending in one.suffixes)
        return path, named
    if ending and ending in chosen.suffixes:
        return path, chosen
    stem = path.name[: len(path.name) - len(ending)]
    return path.with_name(stem + next(iter(chosen.suffixes), "")), chosen
