"""TIFF out: label images and float images that keep axes, physical size, unit, and label names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_salt.checked import is_plain
from napari_salt.errors import InputError
from napari_salt.io import label_text
from napari_salt.io.atomic import atomic_write
from napari_salt.io.units import PIXEL, convert, is_time, normalise_unit
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.records import Color
from napari_salt.session.stack import ArrayLike

Flavour = Literal["auto", "imagej", "ome"]

SUFFIXES = (".tif", ".tiff")
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
CLASSIC_LIMIT = 2**32 - 2**25
"""Bytes of pixels beyond which a file needs BigTIFF, which ImageJ's flavour cannot be."""

_OME_UNITS = {"um": "µm", "A": "Å", "inch": "in", PIXEL: "pixel"}
_OME_LENGTHS = {"nm", "um", "mm", "cm", "m", "A", "pm", "inch", PIXEL}


def write_masks(
    path: str | os.PathLike[str],
    labels: ArrayLike,
    *,
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, Color] | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    units: Sequence[str] = (PIXEL, PIXEL, PIXEL),
    flavour: Flavour = "auto",
    compress: bool = False,
) -> Path:
    """Write a label image, in the smallest unsigned type that holds its ids; all of it or nothing.

    Parameters
    ----------
    path
        ``.tif`` or ``.tiff``; a name ending in ``.ome.tif`` asks for the OME flavour.
    labels
        ``(N, Y, X)`` whole numbers from 0 up; any array, read one slice at a time (twice).
    names, colors
        By label id; kept in the file, and given back by ``read_labels``.
    spacing, units
        Physical size along (slices, Y, X). A time unit makes the slice axis T, else it is Z.
    flavour
        ``"imagej"`` (Fiji, napari, everybody), ``"ome"`` (any integer type, any size), or
        ``"auto"``: ImageJ where it can hold the image.
    compress
        Deflate, without loss: smaller, but no longer memory-mapped when read back.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When ids are negative or fractions, the name does not fit, or ImageJ cannot hold the image.
    OutputError
        When it cannot be written (disk full, no folder, no permission); what was there is untouched.
    """
    largest = largest_id(labels)
    text = _LabelText(dict(names or {}), dict(colors or {}), largest)
    return _write(path, labels, smallest_type(largest), spacing, units, flavour, compress, text)


def write_image(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    units: Sequence[str] = (PIXEL, PIXEL, PIXEL),
    flavour: Flavour = "auto",
    compress: bool = False,
) -> Path:
    """Write a grey image ``(N, Y, X)``, such as uncertainty; parameters and errors as ``write_masks``.

    Floats are written as float32, integers in their own type.
    """
    dtype = np.dtype(image.dtype)
    if dtype.kind not in "buif":
        raise InputError(f"Pixels of type {dtype} cannot be written; convert them to numbers.")
    kept = np.dtype({"f": "float32", "b": "uint8"}.get(dtype.kind, dtype.name))
    return _write(path, image, kept, spacing, units, flavour, compress, _LabelText())


@dataclass(frozen=True)
class _LabelText:
    """What a file says of its labels; ``largest`` is the largest id in it, None for an image."""

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    largest: int | None = None


@dataclass(frozen=True)
class _Sizes:
    """Physical sizes of the file's axes: the slice axis is Z or T."""

    axis: Literal["Z", "T"]
    spacing: tuple[float, float, float]
    units: tuple[str, str, str]

    @classmethod
    def of(cls, spacing: Sequence[float], units: Sequence[str]) -> _Sizes:
        """Units normalised; lengths brought to the unit of X where they measure the same thing."""
        sizes = [float(size) for size in spacing]
        named = [normalise_unit(unit) for unit in units]
        if len(sizes) != 3 or len(named) != 3:
            raise InputError("Give three sizes and three units: slices, rows, columns.")
        if not all(isfinite(size) and size > 0 for size in sizes):
            raise InputError(f"Sizes are positive numbers, not {tuple(sizes)}.")
        for axis in (0, 1):
            same = convert(sizes[axis], named[axis], named[2])
            if same is not None:
                sizes[axis], named[axis] = same, named[2]
        axis_name: Literal["Z", "T"] = "T" if is_time(named[0]) else "Z"
        return cls(axis_name, (sizes[0], sizes[1], sizes[2]), (named[0], named[1], named[2]))


def _write(
    path: str | os.PathLike[str],
    array: ArrayLike,
    dtype: np.dtype[Any],
    spacing: Sequence[float],
    units: Sequence[str],
    flavour: Flavour,
    compress: bool,
    text: _LabelText,
) -> Path:
    file = Path(path)
    if not file.name.lower().endswith(SUFFIXES):
        raise InputError(f"{file.name} should end in one of {', '.join(SUFFIXES)}; rename it.")
    shape = tuple(int(length) for length in array.shape)
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"A stack to write has slices, rows and columns, not the shape {shape}.")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    chosen = _flavour(file, flavour, dtype, size)
    sizes = _Sizes.of(spacing, units)
    options: dict[str, Any] = {"compression": "zlib"} if compress else {}
    if chosen == "imagej":
        options |= _imagej_options(sizes, text)
    else:
        options["metadata"] = _ome_metadata(file, sizes, text)
    with (
        atomic_write(file) as part,
        tifffile.TiffWriter(
            part, imagej=chosen == "imagej", ome=chosen == "ome", bigtiff=size > CLASSIC_LIMIT
        ) as tif,
    ):
        tif.write(
            _planes(array, dtype), shape=shape, dtype=dtype, photometric="minisblack", **options
        )
    return file


def _flavour(
    file: Path, asked: Flavour, dtype: np.dtype[Any], size: int
) -> Literal["imagej", "ome"]:
    """The flavour that can hold the image, or a sentence why the one asked for cannot."""
    ome_name = file.name.lower().endswith((".ome.tif", ".ome.tiff"))
    fits = dtype.name in IMAGEJ_TYPES and size <= CLASSIC_LIMIT
    if asked == "imagej" and ome_name:
        raise InputError(f"{file.name} says OME; name it .tif for the ImageJ flavour.")
    if asked == "imagej" and not fits:
        what = f"pixels of type {dtype}" if size <= CLASSIC_LIMIT else "more than 4 GB"
        raise InputError(f"ImageJ's TIFF cannot hold {what}; choose the OME flavour.")
    return "ome" if asked == "ome" or ome_name or not fits else "imagej"


def _imagej_options(sizes: _Sizes, text: _LabelText) -> dict[str, Any]:
    """What ImageJ expects: pixels per unit in the tags, the rest in its description."""
    (along, down, across), (unit, unit_y, unit_x) = sizes.spacing, sizes.units
    metadata: dict[str, Any] = {"axes": f"{sizes.axis}YX"}
    if unit_x != PIXEL:
        metadata["unit"] = _imagej_unit(unit_x)
    if unit_y != unit_x:
        metadata["yunit"] = _imagej_unit(unit_y)
    if sizes.axis == "T":
        metadata["finterval"] = convert(along, unit, "s")
    else:
        metadata["spacing"] = along
        if unit != unit_x:
            metadata["zunit"] = _imagej_unit(unit)
    if text.largest:
        # Without a range ImageJ shows small ids as black.
        metadata |= {"min": 0.0, "max": float(text.largest)}
    if text.names or text.colors:
        metadata["Info"] = label_text.info_line(text.names, text.colors)
    return {"metadata": metadata, "resolution": (1 / across, 1 / down), "resolutionunit": "NONE"}


def _imagej_unit(unit: str) -> str:
    return "micron" if unit == "um" else unit


def _ome_metadata(file: Path, sizes: _Sizes, text: _LabelText) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": f"{sizes.axis}YX", "Name": _told(file.name)}
    for letter, size, unit in zip((sizes.axis, *"YX"), sizes.spacing, sizes.units, strict=True):
        if letter == "T":
            metadata |= {"TimeIncrement": size, "TimeIncrementUnit": "µs" if unit == "us" else unit}
            continue
        metadata[f"PhysicalSize{letter}"] = size
        # OME has a fixed list of units; of any other only the proportion can be kept.
        known = _OME_UNITS.get(unit, unit) if unit in _OME_LENGTHS else "reference frame"
        metadata[f"PhysicalSize{letter}Unit"] = known
    maps: list[dict[str, str]] = []
    if text.names:
        named = {str(label_id): name for label_id, name in sorted(text.names.items())}
        maps.append({"Namespace": label_text.NAMES_SPACE, **named})
    if text.colors:
        shown = {str(i): label_text.color_text(color) for i, color in sorted(text.colors.items())}
        maps.append({"Namespace": label_text.COLORS_SPACE, **shown})
    if maps:
        metadata["MapAnnotation"] = maps
    return metadata


def _told(name: str) -> str:
    """A file name as XML may have it; one in another encoding than the terminal's comes as halves of letters."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(sign if is_plain(sign) else "_" for sign in text)


def _planes(array: ArrayLike, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for index in range(array.shape[0]):
        yield np.ascontiguousarray(array[index], dtype)
