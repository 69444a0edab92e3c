"""Read image stacks and label images, whatever the file format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.opened import axis_letter
from napari_salt.io.opening import READERS, Wanted, open_path
from napari_salt.records import Color, StackInfo
from napari_salt.session.stack import Stack

__all__ = ["READERS", "LabelImage", "read_labels", "read_stack"]


def read_stack(
    path: str | os.PathLike[str],
    *,
    slice_axis: str | None = None,
    fixed: Mapping[str, int] | None = None,
    level: int = 0,
    series: str | None = None,
) -> Stack:
    """Open an image as a stack; planes are read when they are asked for.

    Parameters
    ----------
    path
        A file whose name ends in one of ``READERS``; an OME-Zarr; a folder of DICOM files or of single images; or
        a dataset in an HDF5 file as ``file.h5::/path/to/dataset``.
    slice_axis
        Letter or name of the axis that counts slices (``"Z"``, ``"T"``, ``"time"``, ``"C"``). By
        default Z where there is more than one, else the first other axis that is neither rows,
        columns nor channels; a single plane is a stack of one.
    fixed
        Index along any other axis (``{"T": 3, "C": 0}``); 0 by default. Channels that are not fixed
        become the values of a pixel.
    level
        Level of a pyramid; 0 is the finest.
    series
        Number, UID or description of a DICOM series, where there are several; number (the first is 0) or name of one
        of several images in a TIFF.

    Raises
    ------
    ChoiceNeeded
        When there are several images at the path.
    InputError
        When the file is missing, unreadable, of an unknown format, or has no such axis, level or series.
    MissingExtra
        When the format needs a package that is not installed.
    """
    return open_path(path, Wanted(level, series)).stack(slice_axis, fixed)


def read_labels(
    path: str | os.PathLike[str],
    *,
    slice_axis: str | None = None,
    fixed: Mapping[str, int] | None = None,
    level: int = 0,
    series: str | None = None,
    like: StackInfo | None = None,
) -> LabelImage:
    """Open a label image with the names and colours that it carries; other parameters as ``read_stack``.

    Parameters
    ----------
    path
        As ``read_stack``; of an OME-Zarr image the one in its ``labels``, of DICOM a segmentation.
    fixed
        As ``read_stack``, but for axes that the labels lack: those of one time point belong to any.
    like
        The image that the labels belong to. A DICOM segmentation, which may leave out slices, is laid on its voxels.

    Raises
    ------
    InputError
        As ``read_stack``, and when pixels have several values or are not whole numbers.
    """
    opened = open_path(path, Wanted(level, series, labels=True, like=like))
    lengths = dict(zip(opened.axes, opened.data.shape, strict=True))
    own = {
        name: index
        for name, index in (fixed or {}).items()
        if lengths.get(axis_letter(name), 1) > 1
    }
    return LabelImage(opened.stack(slice_axis, own), opened.names, opened.colors)


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
                "image has one; choose the label image, or, if these are its slices, save it so that its file says so "
                "(axes ZYX; in Fiji by Image › Properties)."
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
    def places(self) -> dict[str, tuple[int, int]]:
        """As `Stack.places`."""
        return self._stack.places

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


def _whole(plane: NDArray[Any], name: str) -> NDArray[np.unsignedinteger[Any]]:
    """Ids as unsigned integers, never wrapped."""
    if plane.dtype.kind == "u" and plane.itemsize <= 4:
        return plane
    if plane.dtype.kind == "b":
        return plane.astype(np.uint8)
    low, high = float(plane.min()), float(plane.max())
    if np.isnan(low):
        raise InputError(
            f"{name} holds values that are not a number (NaN), but label ids are whole numbers; choose the label "
            "image, or save it with 0 in their place."
        )
    if not (low >= 0 and high < 2**32):
        raise InputError(
            f"{name} holds values from {low:g} to {high:g}, but label ids are whole numbers from 0 "
            "to 4294967295; choose the label image."
        )
    fractions = plane[plane != np.trunc(plane)] if plane.dtype.kind == "f" else plane[:0]
    if fractions.size:
        raise InputError(
            f"{name} holds fractions such as {float(fractions.flat[0]):g}, but label ids are whole numbers; "
            "choose the label image, or save the ids themselves."
        )
    return plane.astype(np.uint16 if high < 2**16 else np.uint32)
