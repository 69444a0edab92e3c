"""A file that has been opened: an array with named axes, and which of them make a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.units import PIXEL
from napari_salt.records import Color, Origin
from napari_salt.session.stack import ArrayLike, Stack

_CHANNELS = "SC"
_LEAST = 1e-12
"""Sizes below it, and above its reciprocal, are a mistake in whatever unit, and no format has room for them."""
_ON_ITS_SIDE = (
    "The file has columns before rows (its axes run X, Y), so slices lie on their side here, and so will their masks; "
    "labels must be turned the same way."
)
_NAMES = {"SAMPLES": "S", "CHANNEL": "C", "TIME": "T", "FRAME": "T", "SLICE": "Z", "PLANE": "Z"}


@dataclass(frozen=True, eq=False)
class Opened:
    """What a reader found in a file; pixels not read yet.

    ``axes`` has one distinct letter for each axis of ``data``: X, Y, Z, T, C (channels), S (samples
    of a colour), or another one. ``sizes`` and ``units`` are physical, by letter, where known.
    """

    data: ArrayLike
    axes: str
    name: str
    sizes: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    """``affine`` is of the axes (Z, Y, X) of ``data``; it goes to stacks along Z only."""
    pyramid: tuple[ArrayLike, ...] = ()
    """All levels of a multiscale image, the finest first; empty where there is one level only."""
    offsets: dict[str, float] = field(default_factory=dict)
    """Place of the first voxel in ``units``, by letter."""
    risky: bool = False
    """Whether code that was not made for hostile files will unpack the pixels, see `probe`."""
    shown: tuple[float, float] | None = None
    """Values that the file wants to be shown as black and white at first; nothing is learned from them."""
    note: str = ""
    """A sentence for the user on what is missing, was changed or left out."""

    def stack(self, slice_axis: str | None = None, fixed: Mapping[str, int] | None = None) -> Stack:
        """The stack along an axis (see ``read_stack``)."""
        places = {self._letter(name): index for name, index in (fixed or {}).items()}
        self._check_places(places)
        wanted = None if slice_axis is None else self._letter(slice_axis)
        channel = next((c for c in _CHANNELS if c in self.axes and c not in {wanted, *places}), "")
        free = [a for a in self.axes if a != channel and a not in places]
        chosen = (
            self._slice_letter([a for a in free if a not in "YX"]) if wanted is None else wanted
        )
        planes = [axis for axis in free if axis != chosen][-2:]
        if len(planes) < 2:
            raise InputError(f"{self.name} has the axes {self.axes}; two must be left for a plane.")
        samples = int(self.data.shape[self.axes.index(channel)]) if channel else 1
        letters = (chosen or "Z", *planes)
        return Stack(
            self.data,
            slice_axis=self.axes.index(chosen) if chosen else 0,
            channel_axis=self.axes.index(channel) if channel else None,
            rgb=samples in (3, 4) and (channel == "S" or self._bytes_last(channel)),
            spacing=[self._size(letter) for letter in letters],
            units=[self.units.get(letter, PIXEL) for letter in letters],
            name=self.name,
            axes=self.axes,
            fixed={self.axes.index(axis): index for axis, index in places.items()},
            origin=self._origin(letters),
            note=" ".join(filter(None, (self.note, _ON_ITS_SIDE * (planes == ["X", "Y"])))),
        )

    def alone(self, level: int) -> Opened:
        """The same, whose ``data`` are of ``level``, without the other levels."""
        return replace(self, name=f"{self.name} level {level}", pyramid=())

    def _origin(self, letters: Sequence[str]) -> Origin:
        """Of a stack along these axes; a translation that is no number is none."""
        along, down, across = (self.offsets.get(letter, 0.0) for letter in letters)
        found = (along, down, across) if isfinite(along + down + across) else (0.0, 0.0, 0.0)
        affine = self.origin.affine if "".join(letters) == "ZYX" else None
        return replace(self.origin, affine=affine, offset=found)

    def _bytes_last(self, channel: str) -> bool:
        """Whether channels are the last axis, in bytes: that is a colour, whatever its letter."""
        return self.axes.endswith(channel) and np.dtype(self.data.dtype) == np.uint8

    def _letter(self, name: str) -> str:
        """Axis letter of ``"Z"``, ``"z"`` or ``"time"``."""
        letter = axis_letter(name)
        if not letter or letter not in self.axes:
            raise InputError(
                f"There is no axis “{name}” in {self.name}; it has {', '.join(self.axes)}."
            )
        return letter

    def _check_places(self, places: Mapping[str, int]) -> None:
        for letter, index in places.items():
            count = self.data.shape[self.axes.index(letter)]
            if not 0 <= index < count:
                raise InputError(
                    f"There is no {letter}={index} in {self.name}; the first is 0, the last one is {count - 1}."
                )

    def _slice_letter(self, candidates: list[str]) -> str | None:
        """Z if there is more than one, else the first axis that has more than one."""
        long = [a for a in candidates if self.data.shape[self.axes.index(a)] > 1] or candidates
        return "Z" if "Z" in long else next(iter(long), None)

    def _size(self, letter: str) -> float:
        size = self.sizes.get(letter, 1.0)
        return size if isfinite(size) and _LEAST < size < 1 / _LEAST else 1.0


def axis_letter(name: str) -> str:
    """The letter that an axis of this name has, whether or not there is one: ``"T"`` for ``"time"``."""
    word = name.strip().upper()
    return _NAMES.get(word, word[:1])


def distinct_axes(axes: str, shape: tuple[int, ...], dtype: object) -> str:
    """Axes with letters for those that a file leaves unnamed (Q, I) or names twice.

    From the last to the first they become slices (Z), then time (T), then letters without meaning. In
    a file without names a last axis of 3 or 4 bytes is colour.
    """
    if "Q" in axes and "S" not in axes and shape[-1] in (3, 4) and np.dtype(str(dtype)) == np.uint8:
        axes = f"{axes[:-3]}YXS"
    known = [a for a in axes if a not in "QI"]
    spare = [letter for letter in "ZTPVHABDEFG" if letter not in known]
    named: list[str] = []
    for axis in reversed(axes):
        named.append(spare.pop(0) if axis in "QI" or axis in named else axis)
    return "".join(reversed(named))
