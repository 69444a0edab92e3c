"""NRRD in: its header by pynrrd, its voxels lazily, with their place in the world."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.opened import Opened
from napari_salt.io.raw_voxels import Packing, RawVoxels, file_beside
from napari_salt.io.units import PIXEL, convert, normalise_unit, tidy
from napari_salt.io.world import LPS_TO_RAS, as_affine, from_columns, usable
from napari_salt.optional import need
from napari_salt.records import Origin

SUFFIXES = (".nrrd", ".nhdr")

LONGEST_HEADER = 2**22
_PART = 2**16
_ENDS = (b"\n\n", b"\r\n\r\n")
"""The empty line between header and voxels."""
_MOST_AXES = 5
_PACKINGS: dict[str, Packing] = {
    "raw": "",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
}
_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
        "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
_COLORS = ("rgb-color", "rgba-color", "3-color", "4-color")
_ITEMS = ("list", "time", "point", "stub")
"""Kinds of an axis along which one image follows another."""
_TO_RAS = {
    "right-anterior-superior": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-posterior-superior": LPS_TO_RAS,
}
"""Other spaces are taken for the last one, as ITK and 3D Slicer do."""
_SHORT = {"ras": "right-anterior-superior", "las": "left-anterior-superior"}


def open_nrrd(path: Path) -> Opened:
    """Open a NRRD, with its voxels in the same file or (``.nhdr``) in one beside it; raw, gzip and bzip2.

    Axes are turned over (slices, rows, columns) but never flipped, so that ``Origin.affine`` is the file's own with its
    columns exchanged, and RAS+ whatever its space is. A slower axis besides those in space is time (T); a faster one,
    or one of components, has the values of a pixel. Packed voxels are unpacked once, when the first slice is asked for.

    Raises
    ------
    InputError
        When it is no NRRD, is damaged or cut short, or its voxels are in other files than one beside it, or packed or
        typed in a way that is not read.
    MissingExtra
        Without pynrrd.
    """
    header, length = read_header(path)
    data = voxels_of(path, header, length).array()
    axes = _axes(path, header)
    space = [place for place, letter in enumerate(axes) if letter in "ZYX"][::-1]
    sizes, units = _sizes(header, axes)
    vectors, first = _in_space(header, space)
    length_unit = next((units[letter] for letter in "XYZ" if letter in units), PIXEL)
    affine = _affine(header, vectors, first, length_unit)
    return Opened(
        data,
        axes,
        plain_name(path),
        sizes,
        units,
        origin=Origin(str(path.absolute()), "nrrd", affine),
    )


def plain_name(path: Path) -> str:
    """What the image is called: the name without ``.nrrd``, ``.nhdr`` and ``.seg.nrrd``."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".seg") and len(stem) > len(".seg") else stem


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The fields of a header, and how many bytes it takes; errors as `open_nrrd`."""
    nrrd = need("nrrd", "nrrd", "Reading NRRD")
    start, length = _text(path)
    try:
        # By lines of text: pynrrd itself drops letters that are not ASCII from the names of segments.
        lines = start.decode("utf-8", "replace").split("\n")
        with np.errstate(invalid="ignore"):
            header = dict(nrrd.read_header(lines))
        for field in ("type", "dimension", "sizes", "encoding"):
            if field not in header:
                raise ValueError(f"it has no field '{field}'")
        if not 2 <= header["dimension"] == len(header["sizes"]) <= _MOST_AXES:
            raise ValueError(
                f"it has {header['dimension']} axes, and images have 2 to {_MOST_AXES}"
            )
    except unreadable() as error:
        raise InputError(
            f"{path.name} cannot be read as NRRD ({one_line(error)}); it may be damaged, so copy it again."
        ) from error
    return header, length


def _text(path: Path) -> tuple[bytes, int]:
    """The header as bytes, and how many there are with the empty line that ends it."""
    with path.open("rb") as file:
        start = bytearray()
        while part := file.read(_PART):
            seen = max(0, len(start) - max(map(len, _ENDS)))
            start += part
            ends = [at + len(end) for end in _ENDS if (at := start.find(end, seen)) >= 0]
            if ends:
                return bytes(start[: min(ends)]), min(ends)
            if len(start) >= LONGEST_HEADER:
                raise InputError(
                    f"{path.name} cannot be read as NRRD: its header has no end; copy it again."
                )
    return bytes(start), len(start)


def voxels_of(path: Path, header: Mapping[str, Any], length: int) -> RawVoxels:
    """What a header says of its voxels; errors as `open_nrrd`."""
    encoding = str(header["encoding"]).lower()
    if encoding not in _PACKINGS:
        raise InputError(
            f"The voxels of {path.name} are written as {encoding[:40]}, which is not read; save it as raw or gzip."
        )
    name = header.get("data file", header.get("datafile"))
    file = path if name is None else _data_file(path, str(name))
    skipped = int(header.get("byte skip", header.get("byteskip", 0)))
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    packing = _PACKINGS[encoding]
    if lines or skipped < -1 or (packing and skipped):
        raise InputError(
            f"{path.name} skips lines or packed bytes before its voxels, which is not read; save it again, as by "
            "3D Slicer."
        )
    start: int | None = (length if name is None else 0) + skipped
    if skipped < 0:
        start = None
    shape = tuple(int(size) for size in header["sizes"][::-1])
    return RawVoxels(path, file, start, shape, _dtype(path, header), packing)


def _data_file(path: Path, name: str) -> Path:
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(
            f"{path.name} has its slices in files of their own, which are not read; save it as one file, as 3D Slicer "
            "does."
        )
    return file_beside(path, name.removeprefix("./"))


def _dtype(path: Path, header: Mapping[str, Any]) -> np.dtype[Any]:
    code = _TYPES.get(" ".join(str(header["type"]).lower().split()))
    if code is None:
        raise InputError(
            f"{path.name} has voxels of type “{str(header['type'])[:40]}”, which is not read; save it as numbers."
        )
    endian = str(header.get("endian", "")).lower()
    if np.dtype(code).itemsize > 1 and endian not in ("little", "big"):
        raise InputError(
            f"{path.name} does not say the order of its bytes (the field “endian”); save it again."
        )
    return np.dtype(code).newbyteorder(">" if endian == "big" else "<")


def _kinds(header: Mapping[str, Any]) -> list[str]:
    """Kind of each axis, the fastest first, in lower case; empty where the file does not say."""
    count = int(header["dimension"])
    found = [str(kind).lower() for kind in header.get("kinds", ())]
    return found if len(found) == count else [""] * count


def _directions(header: Mapping[str, Any]) -> list[NDArray[np.float64] | None]:
    """Step along each axis, the fastest first; None for those that are not in space, or not said to be."""
    given = header.get("space directions")
    count = int(header["dimension"])
    if given is None or len(given) != count:
        return [None] * count
    vectors = [None if one is None else np.asarray(one, np.float64) for one in given]
    return [None if one is None or np.isnan(one).all() else one for one in vectors]


def _axes(path: Path, header: Mapping[str, Any]) -> str:
    """A letter for each axis, slowest first."""
    kinds, directions = _kinds(header), _directions(header)
    letters: list[str] = []
    spare = iter("XYZ")
    for place, (kind, size) in enumerate(zip(kinds, header["sizes"], strict=True)):
        placed = directions[place] is not None
        other = any(one is not None for one in directions) and not placed
        if kind in _COLORS and int(size) in (3, 4):
            letters.append("S")
        elif placed or kind in ("domain", "space") or (not kind and not other):
            letters.append(next(spare, "T"))
        else:
            letters.append("T" if place and (kind in _ITEMS or not kind) else "C")
    if not {"X", "Y"} <= set(letters) or len(set(letters)) != len(letters):
        raise InputError(
            f"{path.name} has the axes {', '.join(kind or '?' for kind in kinds)}, of which no slices can be made; "
            "save the image alone."
        )
    return "".join(reversed(letters))


def _sizes(header: Mapping[str, Any], axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Size and unit by letter, where the file says them."""
    sizes: dict[str, float] = {}
    units: dict[str, str] = {}
    directions = _directions(header)
    spacings = list(header.get("spacings", ()))
    named = [str(unit) for unit in header.get("units", ())]
    in_space = [str(unit) for unit in header.get("space units", ())]
    known = str(header.get("space", "")).lower()
    for place, letter in enumerate(reversed(axes)):
        step = directions[place]
        if step is not None:
            sizes[letter] = tidy(float(np.linalg.norm(step)))
            # A space that is named after the body has millimetres, as all programs take it.
            units[letter] = normalise_unit(in_space[0] if in_space else ("mm" if known else PIXEL))
        elif place < len(spacings) and math.isfinite(spacings[place]) and spacings[place] > 0:
            sizes[letter] = tidy(float(spacings[place]))
            units[letter] = PIXEL
        if place < len(named) and named[place] and letter in sizes:
            units[letter] = normalise_unit(named[place])
    return sizes, units


def _in_space(
    header: Mapping[str, Any], space: Sequence[int]
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64] | None]:
    """Steps along columns, rows and slices, and the first voxel; fewer than three where the file has no such place."""
    reversed_directions = _directions(header)[::-1]
    found = [reversed_directions[place] for place in space]
    vectors = [one for one in found if one is not None and one.shape == (3,)]
    first = header.get("space origin")
    place = np.zeros(3) if first is None else np.asarray(first, np.float64)
    return vectors, place if place.shape == (3,) else None


def _affine(
    header: Mapping[str, Any],
    vectors: Sequence[NDArray[np.float64]],
    first: NDArray[np.float64] | None,
    unit: str,
) -> Any:
    """(slice, row, column) to RAS+ millimetres; None where the file does not tell."""
    if len(vectors) != 3 or first is None:
        return None
    columns, rows, slices = vectors
    matrix = from_columns(slices, rows, columns, first)
    if usable(matrix) is None:
        return None
    matrix[:3] *= convert(1.0, unit, "mm") or 1.0
    space = str(header.get("space", "")).lower().removesuffix("-time").removesuffix("t")
    named = _SHORT.get(space, space)
    return as_affine(_TO_RAS.get(named, LPS_TO_RAS) @ matrix)
