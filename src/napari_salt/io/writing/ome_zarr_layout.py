"""How a label image lies in an OME-Zarr: its axes, its levels, and the metadata that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.units import PIXEL, is_time, normalise_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_salt.records import Label, StackInfo

VERSIONS = ("0.4", "0.5")
"""Of OME-Zarr: 0.4 lies in Zarr 2, 0.5 in Zarr 3."""
SMALLEST_LEVEL = 256
"""A pyramid ends where rows and columns are no more than this."""

_UNIT_NAMES = {
    "nm": "nanometer",
    "um": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "A": "angstrom",
    "pm": "picometer",
    "inch": "inch",
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "min": "minute",
    "h": "hour",
}


@dataclass(frozen=True)
class Level:
    """One resolution: its path in the group, its shape over all axes, and where it lies."""

    path: str
    shape: tuple[int, ...]
    transformations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Layout:
    """Axes and levels of a label image; ``slices`` is the place of the slice axis in ``axes``, None for a plane."""

    version: str
    axes: tuple[dict[str, Any], ...]
    levels: tuple[Level, ...]
    slices: int | None
    common: tuple[dict[str, Any], ...] = ()
    """Transformations of all levels together."""

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return 2 if self.version == "0.4" else 3

    def sizes(self, level: Level) -> tuple[int, int, int]:
        """Slices, rows and columns of a level."""
        count = 1 if self.slices is None else level.shape[self.slices]
        return count, level.shape[-2], level.shape[-1]


def new_layout(info: StackInfo, version: str) -> Layout:
    """Slices, rows and columns, with levels of half the rows and columns until they are small."""
    axes = _axes(info)
    levels: list[Level] = []
    factor, (count, rows, columns) = 1, info.shape
    while True:
        shape = (count, -(-rows // factor), -(-columns // factor))
        levels.append(Level(str(len(levels)), shape, _transformations(info, factor)))
        if max(shape[1:]) <= SMALLEST_LEVEL:
            return Layout(version, axes, tuple(levels), 0)
        factor *= 2


def flat_layout(info: StackInfo, path: str) -> Layout:
    """Slices, rows and columns of one level, the array at ``path``, in the newest version."""
    level = Level(path, info.shape, _transformations(info, 1))
    return Layout(VERSIONS[-1], _axes(info), (level,), 0)


def _axes(info: StackInfo) -> tuple[dict[str, Any], ...]:
    units = [normalise_unit(unit) for unit in info.units]
    names = ("t" if is_time(units[0]) else "z", "y", "x")
    return tuple(_axis(name, unit) for name, unit in zip(names, units, strict=True))


def _axis(name: str, unit: str) -> dict[str, Any]:
    axis: dict[str, Any] = {"name": name, "type": "time" if name == "t" else "space"}
    return axis if unit == PIXEL else axis | {"unit": _UNIT_NAMES.get(unit, unit)}


def _transformations(info: StackInfo, factor: int) -> tuple[dict[str, Any], ...]:
    """Larger pixels, and the middle of the first of them, which is not that of the first small one."""
    along, down, across = info.spacing
    scale = {"type": "scale", "scale": [along, down * factor, across * factor]}
    half, (first, top, left) = (factor - 1) / 2, info.origin.offset
    place = [first, top + down * half, left + across * half]
    return (scale, {"type": "translation", "translation": place}) if any(place) else (scale,)


def layout_of(
    name: str,
    version: str,
    multiscale: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    info: StackInfo,
) -> Layout:
    """Layout of labels on an image: its own, from the level that was segmented down to the smallest.

    Parameters
    ----------
    name
        Of the image, for sentences.
    version
        Of its metadata.
    multiscale
        The first of its ``multiscales``.
    shapes
        Of its levels, in order.
    info
        Geometry of the stack that was segmented.

    Raises
    ------
    InputError
        When no level has the stack's shape, or the stack is one of several positions (time points).
    """
    axes = tuple(multiscale["axes"])
    channel = {place for place, axis in enumerate(axes) if axis.get("type") == "channel"}
    free = [place for place in range(len(axes) - 2) if place not in channel]
    long = [place for place in free if shapes[0][place] > 1]
    if len(long) > 1:
        raise InputError(
            f"{name} has several axes of slices ({', '.join(axes[p]['name'] for p in long)}), and "
            "masks of one of them do not fit beside it; save them as an OME-Zarr of their own."
        )
    slices = next(iter(long), next(reversed(free), None))
    kept = {slices, len(axes) - 2, len(axes) - 1}
    levels = tuple(
        Level(
            str(at),
            tuple(n if place in kept else 1 for place, n in enumerate(shape)),
            tuple(multiscale["datasets"][at].get("coordinateTransformations", ())),
        )
        for at, shape in enumerate(shapes)
    )
    whole = Layout(
        version, axes, levels, slices, tuple(multiscale.get("coordinateTransformations", ()))
    )
    first = next((at for at, one in enumerate(levels) if whole.sizes(one) == info.shape), None)
    if first is None:
        raise InputError(
            f"The masks have the shape {info.shape}, as no level of {name} has; save them as an "
            "OME-Zarr of their own."
        )
    kept_levels = tuple(
        Level(str(at), one.shape, one.transformations) for at, one in enumerate(levels[first:])
    )
    return Layout(version, axes, kept_levels, slices, whole.common)


def attributes(
    layout: Layout, name: str, labels: Sequence[Label], *, beside: bool
) -> dict[str, Any]:
    """Attributes of the group of a label image."""
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": list(layout.axes),
        "datasets": [
            {"path": one.path, "coordinateTransformations": list(one.transformations)}
            for one in layout.levels
        ],
        "type": "nearest",
    }
    if layout.common:
        multiscale["coordinateTransformations"] = list(layout.common)
    about: dict[str, Any] = {
        "colors": [
            {"label-value": label.label_id, "rgba": _bytes(label.color)} for label in labels
        ],
        "properties": [{"label-value": label.label_id, "name": label.name} for label in labels],
    }
    if beside:
        about["source"] = {"image": "../../"}
    if layout.version == "0.4":
        multiscale["version"] = about["version"] = "0.4"
        return {"multiscales": [multiscale], "image-label": about}
    return {"ome": {"version": layout.version, "multiscales": [multiscale], "image-label": about}}


def _bytes(color: Sequence[float]) -> list[int]:
    return [round(min(1.0, max(0.0, part)) * 255) for part in color]


def nearest(whole: int, small: int) -> NDArray[np.intp]:
    """For each of ``small`` places in a level, the place in the whole that it shows: the one at its middle."""
    return ((np.arange(small) + 0.5) * (whole / small)).astype(np.intp)
