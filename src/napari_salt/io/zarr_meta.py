"""What the metadata of OME-Zarr 0.4 and 0.5 says: axes, levels, sizes, and label names and colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_salt.io.units import PIXEL, normalise_unit, tidy
from napari_salt.records import Color

_BYTE = 255


@dataclass(frozen=True)
class Level:
    """One level of a pyramid; ``scale`` and ``offset`` have one number for each axis."""

    path: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class Multiscale:
    """An image as its metadata describes it: names and units of the axes, the levels, finest first."""

    axes: tuple[str, ...]
    units: tuple[str, ...]
    levels: tuple[Level, ...]
    name: str = ""


def ome_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a group's attributes that is OME's: under "ome" in 0.5, all of them in 0.4."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def multiscale_of(attributes: Mapping[str, Any]) -> Multiscale:
    """The first image of a group.

    Scales of a level and of the whole image are multiplied; names of axes are lower case.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        When the metadata are not as the standard has them.
    """
    image = ome_of(attributes)["multiscales"][0]
    # Before 0.4 axes were plain names, or left out: always t, c, z, y, x.
    axes = [
        axis if isinstance(axis, Mapping) else {"name": axis} for axis in image.get("axes", "tczyx")
    ]
    whole = image.get("coordinateTransformations", ())
    levels = tuple(
        _level(entry["path"], [*entry.get("coordinateTransformations", ()), *whole], len(axes))
        for entry in image["datasets"]
    )
    if not levels:
        raise ValueError("it lists no pixels")
    return Multiscale(
        tuple(str(axis["name"]).lower() for axis in axes),
        tuple(normalise_unit(axis.get("unit") or PIXEL) for axis in axes),
        levels,
        str(image.get("name") or "").strip("/"),
    )


def _level(path: object, steps: Sequence[Mapping[str, Any]], ndim: int) -> Level:
    scale, offset = np.ones(ndim), np.zeros(ndim)
    for step in steps:
        if step["type"] == "scale":
            factor = np.array(step["scale"], np.float64).reshape(ndim)
            scale, offset = scale * factor, offset * factor
        elif step["type"] == "translation":
            offset = offset + np.array(step["translation"], np.float64).reshape(ndim)
    return Level(str(path), tuple(map(tidy, scale)), tuple(map(tidy, offset)))


def label_texts(attributes: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, Color]]:
    """Names and colours by label id of a label image; what is not as the standard has it is left out."""
    text = ome_of(attributes).get("image-label")
    if not isinstance(text, Mapping):
        return {}, {}
    names, colors = {}, {}
    for entry in _entries(text.get("properties")):
        name = next((entry[key] for key in ("name", "label-name", "class") if key in entry), None)
        if isinstance(name, str) and name:
            names[int(entry["label-value"])] = name
    for entry in _entries(text.get("colors")):
        rgba = entry.get("rgba")
        if isinstance(rgba, Sequence) and len(rgba) == 4:
            red, green, blue, alpha = (float(part) / _BYTE for part in rgba)
            colors[int(entry["label-value"])] = (red, green, blue, alpha)
    return names, colors


def _entries(found: object) -> list[Mapping[str, Any]]:
    """Entries about one whole label value; 0 is no label."""
    if not isinstance(found, list):
        return []
    return [
        entry
        for entry in found
        if isinstance(entry, Mapping)
        and isinstance(entry.get("label-value"), int | float)
        and entry["label-value"] == int(entry["label-value"]) > 0
    ]
