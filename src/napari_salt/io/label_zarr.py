"""What the group of an OME-Zarr 0.5 label image says: axes, voxel size, units, names and colours of its labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari_salt.io.units import is_time, normalise_unit

if TYPE_CHECKING:
    from napari_salt.records import Label, StackInfo

VERSION = "0.5"
_UNITS = {
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
"""OME-Zarr's words for our units."""


def label_attributes(info: StackInfo, labels: Iterable[Label], dataset: str) -> dict[str, Any]:
    """Attributes of the group of a label image ``(N, Y, X)`` in the array ``dataset``."""
    slices = "t" if is_time(info.units[0]) else "z"
    axes = [_axis(name, unit) for name, unit in zip((slices, "y", "x"), info.units, strict=True)]
    scale = {"type": "scale", "scale": list(info.spacing)}
    shown = list(labels)
    return {
        "ome": {
            "version": VERSION,
            "multiscales": [
                {
                    "name": "masks",
                    "axes": axes,
                    "datasets": [{"path": dataset, "coordinateTransformations": [scale]}],
                }
            ],
            "image-label": {
                "colors": [
                    {"label-value": one.label_id, "rgba": [round(255 * part) for part in one.color]}
                    for one in shown
                ],
                "properties": [{"label-value": one.label_id, "name": one.name} for one in shown],
            },
        }
    }


def _axis(name: str, unit: str) -> dict[str, str]:
    word = _UNITS.get(normalise_unit(unit))
    axis = {"name": name, "type": "time" if name == "t" else "space"}
    return axis if word is None else axis | {"unit": word}
