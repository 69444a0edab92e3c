"""A stack of planes seen through any array: numpy, memory map, dask, or zarr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError, UnreadableSlice
from napari_salt.records import Origin, StackInfo

LONGEST = 2**31 - 1
"""Pixels along an axis at most; a file that claims more is not telling the truth."""


class ArrayLike(Protocol):
    """What a stack needs of an array: its shape, its dtype, and basic indexing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def dtype(self) -> Any:
        """Pixel type."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Basic indexing by integers and full slices."""
        ...


class Stack:
    """Hands out the planes of an array one at a time; nothing is read before it is asked for.

    Parameters
    ----------
    data
        Array of two or more axes, besides channels. Kept, not copied.
    slice_axis
        Axis that counts the slices. Without meaning where only two axes are left besides channels
        and ``fixed``: a single plane is a stack of one.
    channel_axis
        Axis of the values of a pixel; None for grey. With ``rgb`` the last axis unless said
        otherwise.
    rgb
        Whether three or four channels are a colour image (the fourth being alpha).
    spacing, units
        Physical size of a voxel along (slice axis, Y, X), each in its unit.
    name
        Shown to the user.
    axes
        One letter for each axis of ``data`` (``"TZYX"``); only for people and for writers.
    fixed
        Index along each axis that is neither slices, rows, columns nor channels. The two last axes
        that remain are Y and X; remaining axes before them are fixed at 0.
    origin
        The file it comes from, and its place in the world; kept for those who write masks.
    note
        A sentence for the user on how the file was read.

    Raises
    ------
    InputError
        When the axes do not make a stack, or pixels are not real numbers.
    """

    def __init__(
        self,
        data: ArrayLike,
        *,
        slice_axis: int = 0,
        channel_axis: int | None = None,
        rgb: bool = False,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        units: Sequence[str] = ("pixel", "pixel", "pixel"),
        name: str = "",
        axes: str | None = None,
        fixed: Mapping[int, int] | None = None,
        origin: Origin | None = None,
        note: str = "",
    ) -> None:
        ndim = len(data.shape)
        if any(length < 1 for length in data.shape):
            raise InputError(f"The image is empty (shape {tuple(data.shape)}); open another one.")
        if any(length > LONGEST for length in data.shape):
            raise InputError(
                f"The image claims the shape {tuple(data.shape)}, which none can have; its file is damaged, "
                "use another copy of it."
            )
        if rgb and channel_axis is None:
            channel_axis = ndim - 1
        self._data = data
        self._channel_axis = None if channel_axis is None else _axis(channel_axis, ndim)
        self._fixed = {_axis(axis, ndim): int(index) for axis, index in (fixed or {}).items()}
        self._slice_axis, self._plane_axes = self._roles(_axis(slice_axis, ndim), ndim)
        self._axes = axes
        self._note = note
        self._dtype = _native(np.dtype(data.dtype))
        self._info = self._describe(rgb, spacing, units, name, origin or Origin())

    @property
    def info(self) -> StackInfo:
        """Geometry of the stack."""
        return self._info

    @property
    def data(self) -> ArrayLike:
        """The array itself, all its axes."""
        return self._data

    @property
    def slice_axis(self) -> int | None:
        """Axis of ``data`` that counts the slices; None for a single plane."""
        return self._slice_axis

    @property
    def slice_axis_name(self) -> str:
        """Letter of the slice axis, ``"Z"`` where it has none."""
        if self._axes is None or self._slice_axis is None:
            return "Z"
        return self._axes[self._slice_axis]

    @property
    def fixed(self) -> dict[int, int]:
        """Index of every axis of ``data`` that the stack does not span."""
        return dict(self._fixed)

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """Index along every axis longer than one that the stack does not span, and its length; by letter."""
        if self._axes is None:
            return {}
        return {
            self._axes[axis]: (index, int(self._data.shape[axis]))
            for axis, index in sorted(self._fixed.items())
            if self._data.shape[axis] > 1
        }

    def plane_name(self, index: int) -> str:
        """What a slice is called (the file it comes from); empty where it has no name of its own."""
        names = getattr(self._data, "names", None)
        known = isinstance(names, tuple) and len(names) == len(self)
        return str(names[index]) if known and names is not None else ""

    @property
    def note(self) -> str:
        """A sentence that the reader of the file has for the user; empty where there is nothing to say."""
        return self._note

    def __len__(self) -> int:
        """Number of slices."""
        return self._info.shape[0]

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)``, read-only, in native byte order.

        Raises
        ------
        InputError
            When there is no such slice.
        UnreadableSlice
            When its pixels cannot be read.
        """
        return self.region(index, slice(None), slice(None))

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of slice ``index`` inside ``rows`` and ``columns``, as ``plane``; only that part is read.

        Raises
        ------
        InputError
            When there is no such slice.
        UnreadableSlice
            When its pixels cannot be read.
        """
        count = len(self)
        if not 0 <= index < count:
            raise InputError(
                f"Slice {index} does not exist; the stack has slices 0 to {count - 1}."
            )
        key: list[int | slice] = [slice(None)] * len(self._data.shape)
        for axis, at in self._fixed.items():
            key[axis] = at
        for axis, part in zip(self._plane_axes, (rows, columns), strict=True):
            key[axis] = part
        if self._slice_axis is not None:
            key[self._slice_axis] = int(index)
        if self._channel_axis is not None and self._info.channels == 1:
            key[self._channel_axis] = 0
        plane = self._read(tuple(key), index)
        if plane.ndim == 3:
            kept = [axis for axis, part in enumerate(key) if isinstance(part, slice)]
            plane = np.moveaxis(plane, kept.index(self._channel_axis or 0), -1)
        plane = plane.astype(self._dtype, copy=False)[...]
        plane.flags.writeable = False
        return plane

    def _read(self, key: tuple[int | slice, ...], index: int) -> NDArray[Any]:
        """What the array gives; whatever it raises instead becomes a sentence on slice ``index``."""
        try:
            return np.asarray(self._data[key])
        except MemoryError:
            raise  # no matter of the slice
        except InputError as error:
            raise UnreadableSlice(str(error), index) from error
        except Exception as error:
            text = " ".join(str(error).split())
            raise UnreadableSlice(
                f"Slice {index} of the image could not be read ({type(error).__name__}: {text}); "
                "check that its file is still there.",
                index,
            ) from error

    def _roles(self, slice_axis: int, ndim: int) -> tuple[int | None, tuple[int, int]]:
        """Which axis counts slices and which two are rows and columns; fixes the rest at 0."""
        free = [a for a in range(ndim) if a != self._channel_axis and a not in self._fixed]
        if len(free) < 2:
            raise InputError(
                f"An image needs rows and columns, but its shape is {self._data.shape}; "
                "choose another slice or channel axis."
            )
        if len(free) == 2:
            return None, (free[0], free[1])
        if slice_axis not in free:
            raise InputError(
                f"Axis {slice_axis} cannot be the slice axis: it holds the channels or is fixed; "
                "choose another one."
            )
        rest = [axis for axis in free if axis != slice_axis]
        self._fixed.update(dict.fromkeys(rest[:-2], 0))
        return slice_axis, (rest[-2], rest[-1])

    def _describe(
        self,
        rgb: bool,
        spacing: Sequence[float],
        units: Sequence[str],
        name: str,
        origin: Origin,
    ) -> StackInfo:
        shape = self._data.shape
        for axis, index in self._fixed.items():
            if not 0 <= index < shape[axis]:
                raise InputError(
                    f"Index {index} of axis {axis} does not exist; the last one is "
                    f"{shape[axis] - 1}."
                )
        count = 1 if self._slice_axis is None else int(shape[self._slice_axis])
        rows, columns = (int(shape[axis]) for axis in self._plane_axes)
        if 0 in (count, rows, columns):
            raise InputError(f"The image is empty (shape {shape}); open another one.")
        channels = 1 if self._channel_axis is None else int(shape[self._channel_axis])
        if rgb and channels not in (3, 4):
            raise InputError(f"A colour image has 3 or 4 channels, not {channels}.")
        sizes = tuple(float(size) for size in spacing)
        if len(sizes) != 3 or not all(np.isfinite(size) and size > 0 for size in sizes):
            raise InputError(f"The spacing needs three positive numbers, not {tuple(spacing)}.")
        if len(units) != 3:
            raise InputError(f"The spacing needs three units, not {tuple(units)}.")
        return StackInfo(
            shape=(count, rows, columns),
            channels=channels,
            rgb=rgb,
            dtype=self._dtype.name,
            spacing=(sizes[0], sizes[1], sizes[2]),
            units=(str(units[0]), str(units[1]), str(units[2])),
            name=name,
            origin=origin,
        )


def _axis(axis: int, ndim: int) -> int:
    """Axis counted from the front; negative ones count from the end."""
    if not -ndim <= axis < ndim:
        raise InputError(f"Axis {axis} does not exist; the image has axes 0 to {ndim - 1}.")
    return axis % ndim


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in "buif":
        raise InputError(
            f"Pixels of type {dtype} cannot be segmented; convert the image to integers or floats."
        )
    return dtype.newbyteorder("=")
