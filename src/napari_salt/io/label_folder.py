"""A folder of single label images as one stack of ids, with what our own PNG folders say of themselves."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_salt.checked import items, number, text, whole
from napari_salt.io import label_text
from napari_salt.io.image_folder import IDS, image_files, stack_of
from napari_salt.io.writing.png_folder import FORMAT, LIST

if TYPE_CHECKING:
    from napari_salt.io.opened import Opened
    from napari_salt.records import Color

_LONGEST_LIST = 64 * 1024**2
_MOST_SLICES = 1_000_000
_MOST_LABELS = 2**16


@dataclass(frozen=True)
class _List:
    """What ``labels.json`` says: names and colours by id, files in the order of slices, voxels."""

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    sizes: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


def open_label_folder(folder: Path) -> Opened:
    """Open the PNG and TIFF files of a folder as label ids, one a slice; other parts as `open_folder`.

    Slices are in the natural order of their names, in a folder that `write_png_folder` wrote in that of its list,
    which gives names, colours and the size of a voxel as well. A damaged list is left out.

    Raises
    ------
    InputError
        As `open_folder`.
    """
    told = _list_of(folder)
    files = image_files(folder, IDS)
    if {file.name for file in files} == set(told.files):
        files = [folder / name for name in told.files]
    opened = stack_of(folder, files, ids=True)
    return replace(
        opened,
        names=told.names,
        colors=told.colors,
        sizes=told.sizes or opened.sizes,
        units=told.units or opened.units,
    )


def _list_of(folder: Path) -> _List:
    """The list of a folder; an empty one where it has none, or one that is not ours or damaged."""
    path = folder / LIST
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        if path.stat().st_size <= _LONGEST_LIST:
            return _checked(json.loads(path.read_text(encoding="utf-8")))
    return _List()


def _checked(content: dict[str, Any]) -> _List:
    if content["format"] != FORMAT:
        return _List()
    labels = [
        (whole(one["id"], 1), text(one["name"]), label_text.color_of(text(one["color"])))
        for one in map(_entry, items(content["labels"], _MOST_LABELS))
    ]
    sizes = [number(size, 0) for size in items(content["spacing"], 3, 3)]
    units = [text(unit) for unit in items(content["units"], 3, 3)]
    return _List(
        {label_id: name for label_id, name, _ in labels},
        {label_id: color for label_id, _, color in labels if color is not None},
        tuple(text(one["file"]) for one in map(_entry, items(content["slices"], _MOST_SLICES))),
        dict(zip("ZYX", sizes, strict=True)),
        dict(zip("ZYX", units, strict=True)),
    )


def _entry(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no entry of a list")
    return value
