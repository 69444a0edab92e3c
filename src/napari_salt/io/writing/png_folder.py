"""A folder of PNG out: one indexed picture a slice in the colours of the labels, and a list of the labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_salt.errors import OutputError
from napari_salt.io import label_text
from napari_salt.io.atomic import atomic_folder
from napari_salt.io.file_names import safe_file_name
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.io.writing.source_slices import numbered

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_salt.io.writing.source_slices import SourceSlice
    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

LIST = "labels.json"
FORMAT = "napari-salt masks"


def write_png_folder(
    path: str | os.PathLike[str],
    masks: ArrayLike,
    info: StackInfo,
    labels: Sequence[Label],
    slices: Sequence[SourceSlice] | None = None,
) -> Path:
    """Write one PNG a slice, called like the file that the slice came from, and ``labels.json``.

    A pixel holds the label id. With ids up to 255 the pictures are indexed, in the colours of the labels; with
    larger ones they are grey, 16 bits a pixel. A slice that was padded gets its own size back.

    Parameters
    ----------
    path
        A folder: a new or an empty one, or one that was written by this function before, which is replaced.
    masks
        ``(N, Y, X)`` whole numbers from 0 up; read one slice at a time, twice.
    info
        Geometry of the stack that was segmented.
    labels
        Names and colours of the ids.
    slices
        Name and size of each slice; numbered by default.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        When ids are too large for 16 bits.
    OutputError
        When the folder holds other things, or cannot be written; what was there is untouched.
    """
    folder = Path(path)
    check_free(folder)
    dtype = smallest_type(largest_id(masks), ("uint8", "uint16"))
    places = numbered(info) if slices is None else slices
    names = _distinct([safe_file_name(Path(place.name).stem, "slice") for place in places])
    with atomic_folder(folder) as part:
        for index, (place, name) in enumerate(zip(places, names, strict=True)):
            plane = np.ascontiguousarray(masks[index], dtype)[: place.rows, : place.columns]
            _picture(plane, labels).save(part / name, optimize=False)
        text = json.dumps(_list(info, labels, places, names), ensure_ascii=False, indent=1)
        (part / LIST).write_text(text, encoding="utf-8")
    return folder


def check_free(folder: Path) -> None:
    """Raise ``OutputError`` for a folder with anything in it but what ``write_png_folder`` wrote."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        ours = json.loads((folder / LIST).read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise OutputError(f"The folder {folder} is not empty; give the name of a new one.")


def _picture(plane: NDArray[Any], labels: Sequence[Label]) -> Image.Image:
    picture = Image.fromarray(plane)
    if plane.dtype != np.uint8:
        return picture
    palette = np.zeros((256, 3), np.uint8)
    palette[1:] = np.arange(1, 256)[:, np.newaxis]  # ids without a label are shades of grey
    for label in labels:
        if label.label_id < 256:
            palette[label.label_id] = [round(min(1.0, max(0.0, x)) * 255) for x in label.color[:3]]
    picture.putpalette(palette.tobytes())
    return picture


def _distinct(stems: Sequence[str]) -> list[str]:
    """PNG names; of stems that come twice (``a.jpg``, ``a.tif``) the later ones get a number."""
    names: list[str] = []
    taken: set[str] = set()
    for stem in stems:
        name, number = f"{stem}.png", 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}.png", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _list(
    info: StackInfo,
    labels: Sequence[Label],
    slices: Sequence[SourceSlice],
    names: Sequence[str],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "labels": [
            {"id": label.label_id, "name": label.name, "color": label_text.color_text(label.color)}
            for label in labels
        ],
        "slices": [
            {"file": name, "source": place.name} for name, place in zip(names, slices, strict=True)
        ],
        "spacing": list(info.spacing),
        "units": list(info.units),
    }
