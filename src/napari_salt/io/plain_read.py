"""PNG, JPEG and npy in: files that know neither axes nor sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, check_room, one_line
from napari_salt.io.opened import Opened

PICTURES = ("PNG", "JPEG")
"""What a picture may be, whatever its name says: of its own accord Pillow also takes the first page of a TIFF for all
of it, and runs Ghostscript on PostScript."""

_AXES = {2: "YX", 3: "ZYX", 4: "TZYX"}


def open_picture(path: Path, *, ids: bool = False) -> Opened:
    """Open a PNG or JPEG as one plane: grey, colour, or, with ``ids``, the ids of a palette.

    Raises
    ------
    InputError
        When the file is no such picture, or is damaged.
    """
    try:
        with Image.open(path, formats=PICTURES) as picture:
            check_room(picture.width * picture.height * len(picture.getbands()) * 4, path.name)
            picture.load()
            turned = ImageOps.exif_transpose(picture)
            pixels = np.asarray(_plain(turned, ids=ids))
    except UNREADABLE as error:
        raise InputError(
            f"{path.name} cannot be read as a picture ({one_line(error)}); save it again as PNG or TIFF."
        ) from error
    return Opened(pixels, "YX" if pixels.ndim == 2 else "YXS", path.stem)


def _plain(picture: Image.Image, *, ids: bool) -> Image.Image:
    """The picture in a mode whose array is grey (Y, X) or colour (Y, X, 3 or 4)."""
    if picture.mode == "P":
        return picture if ids else picture.convert("RGB")
    if picture.mode in ("LA", "La", "PA"):
        return picture.convert("L")
    if picture.mode == "1" and ids:
        return picture.convert("L").point(lambda value: 1 if value else 0)
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"):
        return picture.convert("RGB")
    return picture


def open_npy(path: Path) -> Opened:
    """Open an npy array by memory map; a last axis of 3 or 4 bytes is colour.

    Raises
    ------
    InputError
        When the file is no npy array, holds Python objects, or has too many axes.
    """
    try:
        data = np.lib.format.open_memmap(path, mode="r")  # refuses objects, which would be pickles
    except UNREADABLE as error:
        if "Python objects" in str(error):
            raise InputError(
                f"{path.name} holds Python objects, which are never opened; save it as an array of numbers, all "
                "slices of one shape."
            ) from error
        raise InputError(
            f"{path.name} cannot be read as an array of numbers ({one_line(error)}); save it with numpy.save."
        ) from error
    color = data.ndim > 2 and data.shape[-1] in (3, 4) and data.dtype == np.uint8
    axes = _AXES.get(data.ndim - color)
    if axes is None:
        raise InputError(
            f"{path.name} has the shape {data.shape}; an image has 2 to 4 axes besides colour."
        )
    return Opened(data, axes + "S" * color, path.stem)
