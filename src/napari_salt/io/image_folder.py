"""A folder of single images as one stack: headers first, pixels when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, check_not_empty, one_line
from napari_salt.io.opened import Opened
from napari_salt.io.plain_read import PICTURES, open_picture
from napari_salt.io.plane_stack import PlaneStack, SinglePlane
from napari_salt.io.probe import check_survives
from napari_salt.io.tiff_read import open_tiff
from napari_salt.io.units import PIXEL

_PICTURES = (".png", ".jpg", ".jpeg")
_TIFFS = (".tif", ".tiff")
IMAGES = (*_PICTURES, *_TIFFS)
IDS = (".png", *_TIFFS)
"""Formats of label images; JPEG does not keep ids."""
_GREY = {"1": "uint8", "L": "uint8", "LA": "uint8", "La": "uint8", "PA": "uint8"}
_GREY |= {"I;16": "uint16", "I;16L": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32"}
"""Pixel type of Pillow's grey modes; every other mode is read as bytes of colour."""
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap rows and columns."""


def image_files(folder: Path, suffixes: Sequence[str] = IMAGES) -> list[Path]:
    """Image files of a folder, not of folders in it, in the natural order of their names."""
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".")
    ]
    return sorted((file for file in files if file.is_file()), key=natural)


def natural(file: Path) -> tuple[list[str | int], str]:
    """Sorting key by which ``b2`` comes before ``b10``."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], file.name


def open_folder(folder: Path) -> Opened:
    """Open the single images of a folder as the slices of one stack (a `PlaneStack`).

    Only headers are read here. Alpha is left out; the size of a pixel is kept where all images
    agree on it.

    Raises
    ------
    InputError
        When there is no image, one of them is damaged or holds a stack of its own, or they differ
        in more than size.
    """
    return stack_of(folder, image_files(folder))


def stack_of(folder: Path, files: Sequence[Path], *, ids: bool = False) -> Opened:
    """Some files of a folder as slices, in this order; with ``ids`` the ids of palettes. Errors as `open_folder`."""
    found = [_header(file, ids=ids) for file in files]
    if not found:
        what = "label images (PNG or TIFF)" if ids else "images (PNG, JPEG or TIFF)"
        inner = min((one.name for one in folder.iterdir() if one.is_dir()), default="")
        helps = (
            f"choose one of the folders in it, such as {inner}" if inner else "choose another one"
        )
        raise InputError(f"The folder {folder.name or folder} holds no {what}; {helps}.")
    for index in sorted({0, len(files) // 2}):
        if found[index][2]:
            check_survives(open_tiff, files[index])
    data = PlaneStack([plane for plane, _, _ in found])
    sizes = {size for _, size, _ in found}
    size = sizes.pop() if len(sizes) == 1 else (1.0, 1.0, PIXEL, PIXEL)
    return Opened(
        data,
        "ZYXS" if data.rgb else "ZYX",
        folder.name,
        sizes={"Y": size[0], "X": size[1]},
        units={"Y": size[2], "X": size[3]},
        note=data.note,
    )


_PixelSize = tuple[float, float, str, str]
"""Size and unit of a pixel: Y, X, unit of Y, unit of X."""


def _header(file: Path, *, ids: bool) -> tuple[SinglePlane, _PixelSize, bool]:
    """One image, the size of its pixels, and whether it is risky to unpack (`Opened.risky`)."""
    check_not_empty(file)
    return _tiff(file) if file.suffix.lower() in _TIFFS else _picture(file, ids=ids)


def _picture(file: Path, *, ids: bool) -> tuple[SinglePlane, _PixelSize, bool]:
    try:
        with Image.open(file, formats=PICTURES) as picture:
            columns, rows = picture.size
            # Pillow decodes a whole PNG only to look for EXIF at its end.
            has_exif = picture.format == "JPEG" or "exif" in picture.info
            if has_exif and picture.getexif().get(_ORIENTATION) in _SIDEWAYS:
                rows, columns = columns, rows
            dtype = "uint8" if ids and picture.mode == "P" else _GREY.get(picture.mode)
    except UNREADABLE as error:
        raise InputError(
            f"{file.name} cannot be read as a picture ({one_line(error)}); take it out of the folder, or "
            "save it again."
        ) from error
    plane = SinglePlane(
        file.name,
        (rows, columns),
        dtype is None,
        np.dtype(dtype or "uint8"),
        partial(_pixels, file, partial(open_picture, ids=ids)),
    )
    return plane, (1.0, 1.0, PIXEL, PIXEL), False


def _tiff(file: Path) -> tuple[SinglePlane, _PixelSize, bool]:
    opened = open_tiff(file)
    info = opened.stack().info
    if info.shape[0] != 1:
        raise InputError(
            f"{file.name} holds {info.shape[0]} slices; a folder is read as single images, so open "
            "that file by itself."
        )
    if info.channels > 1 and not info.rgb:
        raise InputError(
            f"{file.name} has {info.channels} channels; only grey and colour images make a stack."
        )
    plane = SinglePlane(
        file.name,
        info.shape[1:],
        info.rgb,
        np.dtype(info.dtype),
        partial(_pixels, file, open_tiff),
    )
    return plane, (*info.spacing[1:], *info.units[1:]), opened.risky


def _pixels(file: Path, opener: Callable[[Path], Opened]) -> NDArray[Any]:
    """Pixels of one file, opened for as long as that takes."""
    try:
        return opener(file).stack().plane(0)
    except OSError as error:
        raise InputError(f"{file} cannot be read any more; put it back, or open again.") from error
