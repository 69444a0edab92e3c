"""NRRD out: label images with their place in the world, and names and colours as 3D Slicer has them of its segments."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from napari_salt.io.atomic import atomic_write
from napari_salt.io.file_names import check_ending
from napari_salt.io.units import convert, is_time
from napari_salt.io.world import LPS_TO_RAS
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.io.writing.world import affine_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIXES = (".seg.nrrd", ".nrrd")
COMPRESSION = 4
"""Of Deflate 1..9: masks shrink nearly as much as with 9, several times faster."""
_TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int"}


def write_nrrd(
    path: str | os.PathLike[str], masks: ArrayLike, info: StackInfo, labels: Sequence[Label]
) -> Path:
    """Write ``NAME.nrrd``, or ``NAME.seg.nrrd``, which 3D Slicer opens as a segmentation with names and colours.

    Both hold the same, packed by gzip. Slices that are time points become the fourth axis.

    Parameters
    ----------
    path
        The image; an old one is replaced.
    masks
        ``(N, Y, X)`` whole numbers from 0 up; read one slice at a time, twice.
    info
        Geometry of the stack that was segmented.
    labels
        Names and colours of the ids.

    Returns
    -------
    Path
        The image written.

    Raises
    ------
    InputError
        When the name ends otherwise, or sizes make no place in the world.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    file = Path(path)
    check_ending(file, *SUFFIXES)
    dtype = smallest_type(largest_id(masks)).newbyteorder("<")
    header = "\n".join([*_head(masks, info, dtype.name), *_segments(masks, labels), "", ""])
    with atomic_write(file) as part, part.open("wb") as raw:
        raw.write(header.encode())
        # No time in it, so that the same masks give the same file.
        with gzip.GzipFile("", "wb", COMPRESSION, cast("IO[bytes]", raw), mtime=0) as out:
            for index in range(masks.shape[0]):
                out.write(np.ascontiguousarray(masks[index], dtype).tobytes())
    return file


def _head(masks: ArrayLike, info: StackInfo, dtype: str) -> list[str]:
    """Lines on type, sizes and place."""
    count, rows, columns = (int(length) for length in masks.shape)
    timed = is_time(info.units[0])
    affine = LPS_TO_RAS @ affine_of(info)  # there and back are the same
    along, down, across, first = (affine[:3, column] for column in range(4))
    sizes, kinds = [columns, rows, count], ["domain"] * 3
    extra: list[str] = []
    if timed:
        sizes, kinds = [columns, rows, 1, count], [*kinds, "list"]
        seconds = convert(info.spacing[0], info.units[0], "s")
        extra = [f"spacings: nan nan nan {seconds!r}", 'units: "" "" "" "s"']
    vectors = [_vector(across), _vector(down), _vector(along), *["none"] * timed]
    return [
        "NRRD0005",
        "# napari-salt masks; https://teem.sourceforge.net/nrrd/format.html",
        f"type: {_TYPES[dtype]}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {_joined(sizes)}",
        f"space directions: {_joined(vectors)}",
        f"kinds: {_joined(kinds)}",
        *extra,
        "endian: little",
        "encoding: gzip",
        'space units: "mm" "mm" "mm"',
        f"space origin: {_vector(first)}",
    ]


def _segments(masks: ArrayLike, labels: Sequence[Label]) -> list[str]:
    """What 3D Slicer keeps of each segment; a name stays on its line."""
    count, rows, columns = (int(length) for length in masks.shape)
    lines = []
    for place, label in enumerate(labels):
        color = (f"{min(1.0, max(0.0, part)):.6g}" for part in label.color[:3])
        lines += [
            f"Segment{place}_ID:=Segment_{label.label_id}",
            f"Segment{place}_Name:={' '.join(label.name.split())}",
            f"Segment{place}_Color:={_joined(color)}",
            f"Segment{place}_LabelValue:={label.label_id}",
            f"Segment{place}_Layer:=0",
            f"Segment{place}_Extent:=0 {columns - 1} 0 {rows - 1} 0 {count - 1}",
        ]
    return [
        *lines,
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(repr(float(number) + 0.0) for number in numbers)})"


def _joined(parts: Iterable[object]) -> str:
    return " ".join(map(str, parts))
