"""Read image stacks and label images, whatever the file format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.image_folder import open_folder
from napari_salt.io.opened import Opened
from napari_salt.io.plain_read import open_npy, open_picture
from napari_salt.io.tiff_read import open_tiff
from napari_salt.records import Color, StackInfo
from napari_salt.session.stack import Stack

READERS: dict[str, Callable[[Path], Opened]] = {
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".npy": open_npy,
    ".png": open_picture,
    ".jpg": open_picture,
    ".jpeg": open_picture,
}
"""How a file is opened, by its lower-case suffix."""

_LABEL_READERS: dict[str, Callable[[Path], Opened]] = {
    **READERS,
    ".png": partial(open_picture, ids=True),
}


def read_stack(
    path: str | os.PathLike[str],
    *,
    slice_axis: str | None = None,
    fixed: Mapping[str, int] | None = None,
) -> Stack:
    """Open an image as a stack; planes are read when they are asked for.

    Parameters
    ----------
    path
        A file with one of the suffixes in ``READERS``, or a folder of single images.
    slice_axis
        Letter or name of the axis that counts slices (``"Z"``, ``"T"``, ``"time"``, ``"C"``). By
        default Z where there is more than one, else the first other axis that is neither rows,
        columns nor channels; a single plane is a stack of one.
    fixed
        Index along any other axis (``{"T": 3, "C": 0}``); 0 by default. Channels that are not fixed
        become the values of a pixel.

    Raises
    ------
    InputError
        When the file is missing, unreadable, of an unknown format, or has no such axis.
    """
    if Path(path).is_dir():
        return open_folder(Path(path)).stack(slice_axis, fixed)
    return _open(path, READERS).stack(slice_axis, fixed)


def read_labels(
    path: str | os.PathLike[str],
    *,
    slice_axis: str | None = None,
    fixed: Mapping[str, int] | None = None,
) -> LabelImage:
    """Open a label image with the names and colours that it carries; parameters as ``read_stack``.

    Raises
    ------
    InputError
        As ``read_stack``, and when pixels have several values or are not whole numbers.
    """
    opened = _open(path, _LABEL_READERS)
    return LabelImage(opened.stack(slice_axis, fixed), opened.names, opened.colors)


class LabelImage:
    """Label ids of a stack, with the names and colours that the file carries.

    Parameters
    ----------
    stack
        Integer stack with one value for each pixel.
    names, colors
        By label id; empty where unknown.
    """

    def __init__(
        self,
        stack: Stack,
        names: Mapping[int, str] | None = None,
        colors: Mapping[int, Color] | None = None,
    ) -> None:
        if stack.info.channels != 1:
            raise InputError(
                f"{stack.info.name} has {stack.info.channels} values for each pixel, but a label "
                "image has one; choose the label image."
            )
        self._stack = stack
        self.names: dict[int, str] = dict(names or {})
        self.colors: dict[int, Color] = dict(colors or {})

    @property
    def info(self) -> StackInfo:
        """Geometry of the stack."""
        return self._stack.info

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(N, Y, X)``."""
        return self._stack.info.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel along (slices, Y, X), in ``units``."""
        return self._stack.info.spacing

    @property
    def units(self) -> tuple[str, str, str]:
        """Unit of each spacing."""
        return self._stack.info.units

    def plane(self, index: int) -> NDArray[np.unsignedinteger[Any]]:
        """Ids of one slice ``(Y, X)``, unsigned; only this slice is read.

        Raises
        ------
        InputError
            When ids are negative, fractions, or too large for 32 bits.
        """
        return _whole(self._stack.plane(index), self._stack.info.name)

    @cached_property
    def labels(self) -> NDArray[np.unsignedinteger[Any]]:
        """All ids ``(N, Y, X)``, unsigned, in memory."""
        return np.stack([self.plane(index) for index in range(self.shape[0])])


def _open(path: str | os.PathLike[str], readers: Mapping[str, Callable[[Path], Opened]]) -> Opened:
    file = Path(path)
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise InputError(
            f"{file.name} is of a format that is not read; use one of {', '.join(sorted(readers))}."
        )
    if file.is_dir():
        raise InputError(f"{file} is a folder; choose a file in it.")
    if not file.exists():
        raise InputError(f"There is no file {file}; check the path.")
    try:
        return reader(file)
    except OSError as error:
        raise InputError(
            f"{file} cannot be opened ({error.strerror or error}); check its permissions."
        ) from error


def _whole(plane: NDArray[Any], name: str) -> NDArray[np.unsignedinteger[Any]]:
    """Ids as unsigned integers, never wrapped."""
    if plane.dtype.kind == "u" and plane.itemsize <= 4:
        return plane
    if plane.dtype.kind == "b":
        return plane.astype(np.uint8)
    low, high = float(plane.min()), float(plane.max())
    whole = plane.dtype.kind in "iu" or bool(np.array_equal(plane, np.trunc(plane)))
    if not (whole and low >= 0 and high < 2**32):
        raise InputError(
            f"{name} holds values from {low:g} to {high:g}, but label ids are whole numbers from 0 "
            "up; choose the label image."
        )
    return plane.astype(np.uint16 if high < 2**16 else np.uint32)
