"""MetaImage in (``.mha``, ``.mhd``), the format of ITK: voxels lazily, with their place in the world.

Its header, lines of ``Key = value``, is read here, and tests hold the result against SimpleITK. That reads slices
lazily, too, but has 260 MB, and ends the process on damaged headers (a segfault in 9 of 11,000 that the fuzzer made).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io import label_text
from napari_salt.io.opened import Opened
from napari_salt.io.raw_voxels import RawVoxels, file_beside
from napari_salt.io.units import convert, normalise_unit, tidy
from napari_salt.io.world import LPS_TO_RAS, as_affine, from_columns, usable
from napari_salt.records import Affine, Color, Origin

SUFFIXES = (".mha", ".mhd")

LONGEST_HEADER = 2**20
LABEL = "napari-salt-label-"
"""Starts the key of a label: its id follows, and the value is its colour and its name."""

_DATA_FILE = "elementdatafile"
_MOST_AXES = 4
_TYPES = {
    "met_char": "i1",
    "met_uchar": "u1",
    "met_short": "i2",
    "met_ushort": "u2",
    "met_int": "i4",
    "met_uint": "u4",
    "met_long": "i4",
    "met_ulong": "u4",
    "met_long_long": "i8",
    "met_ulong_long": "u8",
    "met_float": "f4",
    "met_double": "f8",
}
"""Type of an element; MetaIO counts four bytes for a "long" on every system."""

Fields = Mapping[str, str]
"""Values by key in lower case."""


def open_meta_image(path: Path) -> Opened:
    """Open a MetaImage with its voxels in the same file (``.mha``) or in one beside it; bare or packed by zlib.

    Axes are turned over (slices, rows, columns) but never flipped; ITK's place in the world (LPS) becomes
    ``Origin.affine`` in RAS+. A fourth axis is time, and elements with several channels are colour or channels. Packed
    voxels are unpacked once, when the first slice is asked for. Lengths are millimetres.

    Raises
    ------
    InputError
        When it is no MetaImage, is damaged or cut short, or its voxels are in other files than one beside it, or
        written as text or in a type that is not read.
    """
    fields, length = _read_header(path)
    count = _number(fields, "ndims")
    channels = _number(fields, "elementnumberofchannels", 1)
    data = _voxels(path, fields, length, count, channels).array()
    axes = "TZYX"[-count:]
    if channels > 1:
        axes += "S" if channels in (3, 4) and np.dtype(data.dtype) == np.uint8 else "C"
    unit = normalise_unit(fields.get("distanceunits", "mm"))
    steps = _steps(fields, count)
    lengths = np.linalg.norm(steps, axis=1)
    sizes = {
        letter: tidy(float(size)) for letter, size in zip("XYZT"[:count], lengths, strict=True)
    }
    units = dict.fromkeys("XYZ"[:count], unit)
    names, colors = _texts(fields)
    affine = _affine(steps, _floats(fields, ("offset", "position", "origin"), count, 0.0), unit)
    origin = Origin(str(path.absolute()), "metaimage", affine)
    return Opened(data, axes, path.stem, sizes, units, names, colors, origin)


def _read_header(path: Path) -> tuple[Fields, int]:
    """Its fields, and how many bytes it takes, up to the line that says where the voxels are."""
    fields: dict[str, str] = {}
    length = 0
    with path.open("rb") as file:
        while _DATA_FILE not in fields:
            line = file.readline(LONGEST_HEADER - length)
            length += len(line)
            key, sign, value = line.decode("utf-8", "replace").partition("=")
            if not line.endswith(b"\n") and not (sign and file.read(1) == b""):
                raise InputError(
                    f"{path.name} cannot be read: it is no MetaImage, or a damaged one; copy it again."
                )
            if sign:
                fields[key.strip().lower()] = value.strip()
    if fields.get("objecttype", "image").lower() != "image":
        raise InputError(
            f"{path.name} holds no image but {fields['objecttype'][:40]}; choose the image."
        )
    return fields, length


def _voxels(path: Path, fields: Fields, length: int, count: int, channels: int) -> RawVoxels:
    """What a header says of its voxels."""
    if not 2 <= count <= _MOST_AXES:
        raise InputError(f"{path.name} has {count} axes; an image has 2 to {_MOST_AXES}.")
    if not _true(fields, "binarydata", default=True):
        raise InputError(
            f"{path.name} has its voxels as text, which is not read; save it as binary data."
        )
    kind = fields.get("elementtype", "").lower()
    code = _TYPES.get(kind.removesuffix("_array"))
    if code is None:
        raise InputError(
            f"{path.name} has voxels of type “{kind[:40]}”, which is not read; save it as numbers."
        )
    big = _true(fields, "elementbyteordermsb", "binarydatabyteordermsb")
    sizes = [int(part) for part in fields["dimsize"].split()]
    if len(sizes) != count or channels < 1:
        raise ValueError("its sizes do not fit its axes")
    name = fields[_DATA_FILE]
    local = name.upper() in ("LOCAL", "LOCALFILE")
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(
            f"{path.name} has its slices in files of their own, which are not read; save it as one file."
        )
    skipped = 0 if local else _number(fields, "headersize", 0)
    return RawVoxels(
        path,
        path if local else file_beside(path, name.removeprefix("./")),
        length if local else None if skipped == -1 else max(skipped, 0),
        (*sizes[::-1], channels) if channels > 1 else tuple(sizes[::-1]),
        np.dtype(code).newbyteorder(">" if big else "<"),
        "zlib" if _true(fields, "compresseddata") else "",
    )


def _steps(fields: Fields, count: int) -> Any:
    """Step along each axis, the fastest first, as rows of a matrix ``(count, count)``."""
    spacing = _floats(fields, ("elementspacing", "elementsize"), count, 1.0)
    turned = _floats(fields, ("transformmatrix", "rotation", "orientation"), count**2, math.nan)
    matrix = np.array(turned).reshape(count, count)
    return (matrix if np.isfinite(matrix).all() else np.eye(count)) * np.abs(spacing)[:, None]


def _affine(steps: Any, first: list[float], unit: str) -> Affine | None:
    """(slice, row, column) to RAS+ millimetres, of the first three axes."""
    if len(first) < 3:
        return None
    columns, rows, slices = steps[:3, :3]
    matrix = from_columns(slices, rows, columns, np.array(first[:3]))
    if usable(matrix) is None:
        return None
    matrix[:3] *= convert(1.0, unit, "mm") or 1.0
    return as_affine(LPS_TO_RAS @ matrix)


def _texts(fields: Fields) -> tuple[dict[int, str], dict[int, Color]]:
    """Names and colours of labels, as our masks have them."""
    names: dict[int, str] = {}
    colors: dict[int, Color] = {}
    for key, value in fields.items():
        number = key.removeprefix(LABEL)
        if number == key or not (number.isascii() and number.isdecimal() and len(number) < 10):
            continue
        shown, _, name = value.partition(" ")
        color = label_text.color_of(shown)
        names[int(number)] = name.strip() or number
        if color is not None:
            colors[int(number)] = color
    return names, colors


def _floats(fields: Fields, keys: tuple[str, ...], count: int, missing: float) -> list[float]:
    """Numbers of the first of some keys that is there."""
    text = next((fields[key] for key in keys if key in fields), None)
    found = [missing] * count if text is None else [float(part) for part in text.split()]
    if len(found) != count:
        raise ValueError(f"it has {len(found)} numbers where there should be {count}")
    return found


def _number(fields: Fields, key: str, missing: int | None = None) -> int:
    if key not in fields and missing is None:
        raise ValueError(f"it does not say {key}")
    return int(fields.get(key, str(missing)))


def _true(fields: Fields, *keys: str, default: bool = False) -> bool:
    text = next((fields[key] for key in keys if key in fields), "")
    return text[:1].lower() in ("t", "1") if text else default
