"""MetaImage out, the format of ITK: label images with their place in the world, names and colours."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io import label_text
from napari_salt.io.atomic import atomic_write
from napari_salt.io.file_names import check_ending
from napari_salt.io.meta_image_read import LABEL
from napari_salt.io.units import convert, is_time
from napari_salt.io.world import LPS_TO_RAS
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.io.writing.nrrd import COMPRESSION
from napari_salt.io.writing.world import affine_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIXES = (".mha",)
_TYPES = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT", "uint32": "MET_UINT"}
_DIGITS = 20
"""Room for the length of what is packed, which is known when all is written."""
_LONGEST_NAME = 200
"""Letters of a name that are kept: ITK reads lines of up to 500 bytes that it does not know."""


def write_meta_image(
    path: str | os.PathLike[str], masks: ArrayLike, info: StackInfo, labels: Sequence[Label]
) -> Path:
    """Write ``NAME.mha``, packed by zlib, for ITK, ITK-SNAP, elastix and 3D Slicer.

    Names and colours are in lines of our own, which those programs pass over. Slices that are time points become the
    fourth axis. Parameters and errors as `write_nrrd`; the place has three axes at right angles in these programs, so
    a sheared one is refused.

    Raises
    ------
    InputError
        When the name ends otherwise, sizes make no place in the world, or it is sheared.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    file = Path(path)
    check_ending(file, *SUFFIXES)
    dtype = smallest_type(largest_id(masks)).newbyteorder("<")
    before, after = _head(masks, info, dtype.name, labels)
    with atomic_write(file) as part, part.open("wb") as out:
        out.write(before.encode())
        place = out.tell()
        out.write(after.format(0).encode())
        start = out.tell()
        packing = zlib.compressobj(COMPRESSION)
        for index in range(masks.shape[0]):
            out.write(packing.compress(np.ascontiguousarray(masks[index], dtype).tobytes()))
        out.write(packing.flush())
        length = out.tell() - start
        out.seek(place)
        out.write(after.format(length).encode())
    return file


def _head(
    masks: ArrayLike, info: StackInfo, dtype: str, labels: Sequence[Label]
) -> tuple[str, str]:
    """What stands before the length of the voxels, and the lines with and after it."""
    count, rows, columns = (int(length) for length in masks.shape)
    turned, lengths, first = check_place(info)
    sizes = [columns, rows, count]
    if is_time(info.units[0]):
        sizes = [columns, rows, 1, count]
        seconds = convert(info.spacing[0], info.units[0], "s") or 1.0
        lengths, first = np.append(lengths, seconds), np.append(first, 0.0)
        whole = np.eye(4)
        whole[:3, :3] = turned
        turned = whole
    lines = [
        "ObjectType = Image",
        f"NDims = {len(sizes)}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"TransformMatrix = {_numbers(turned.ravel())}",
        f"Offset = {_numbers(first)}",
        f"CenterOfRotation = {_numbers([0] * len(sizes))}",
        f"ElementSpacing = {_numbers(lengths)}",
        f"DimSize = {' '.join(map(str, sizes))}",
        *(_line(label) for label in labels),
        f"ElementType = {_TYPES[dtype]}",
        "",
    ]
    return "\n".join(lines), f"CompressedDataSize = {{:<{_DIGITS}}}\nElementDataFile = LOCAL\n"


def check_place(
    info: StackInfo,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Directions ``(3, 3)`` with a row for each of columns, rows and slices, sizes ``(3,)``, first voxel ``(3,)``; LPS.

    Raises
    ------
    InputError
        When sizes make no place in the world, or directions are not at right angles.
    """
    affine = LPS_TO_RAS @ affine_of(info)  # there and back are the same
    steps = affine[:3, [2, 1, 0]].T
    lengths = np.linalg.norm(steps, axis=1)
    turned = steps / lengths[:, None]
    if not np.allclose(turned @ turned.T, np.eye(3), atol=1e-3):
        raise InputError(
            "The axes of the image are not at right angles, and a MetaImage has no room for that; write NRRD or "
            "NIfTI."
        )
    return turned, lengths, affine[:3, 3]


def _line(label: Label) -> str:
    name = " ".join(label.name.split())[:_LONGEST_NAME]
    while len(name.encode()) > 2 * _LONGEST_NAME:
        name = name[:-1]
    return f"{LABEL}{label.label_id} = {label_text.color_text(label.color)} {name}"


def _numbers(numbers: Iterable[float]) -> str:
    return " ".join(repr(float(number) + 0.0) for number in numbers)
