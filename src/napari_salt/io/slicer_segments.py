"""Segmentations of 3D Slicer (``.seg.nrrd``): segments as label ids, with their names and colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io import nrrd_read
from napari_salt.io.opened import Opened
from napari_salt.io.planewise import PlanewiseArray
from napari_salt.records import Color, StackInfo
from napari_salt.session.stack import ArrayLike

_WHOLE = 0.01
"""Part of a voxel by which the distance of two grids may miss a whole number of them; files round."""
_MOST_IDS = 2**16


@dataclass(frozen=True)
class Segment:
    """One segment: the id that its voxels get here, what it is called, and which value in which layer they have."""

    label_id: int
    name: str
    color: Color | None
    layer: int
    value: int


def is_segmentation(path: Path) -> bool:
    """Whether a file is called as 3D Slicer calls its segmentations."""
    return path.name.lower().endswith(".seg.nrrd")


def open_nrrd_labels(path: Path, like: StackInfo | None = None) -> Opened:
    """Open a NRRD as a label image, that of 3D Slicer with the names and colours of its segments.

    Ids are the values in the file, unless segments of several layers share one: then they are counted from 1. With an
    image ``like`` of another shape, whose voxels its own lie on, it is laid on those, with zeros around it.

    Raises
    ------
    InputError
        As `open_nrrd`; when a slice is read, where segments overlap in it.
    MissingExtra
        Without pynrrd.
    """
    header, _ = nrrd_read.read_header(path)
    opened = nrrd_read.open_nrrd(path)
    segments = segments_of(header)
    layered = header["dimension"] == 4 and opened.axes == "ZYXC"
    if segments and layered:
        merged = _Merged(opened.data, segments, path.name)
        opened = replace(opened, data=merged, axes=opened.axes.removesuffix("C"))
    opened = replace(
        opened,
        names={one.label_id: one.name for one in segments},
        colors={one.label_id: one.color for one in segments if one.color is not None},
    )
    return opened if like is None else _laid_on(opened, like)


def segments_of(header: Mapping[str, Any]) -> tuple[Segment, ...]:
    """The segments that a header describes, in their order; those without a value that can be one are left out."""
    fields: dict[int, dict[str, str]] = {}
    for key, value in header.items():
        found = re.fullmatch(r"Segment(\d{1,6})_(\w+)", key)
        if found:
            fields.setdefault(int(found[1]), {})[found[2]] = str(value).strip()
    described = []
    for number, one in sorted(fields.items()):
        # Before layers there was one for each segment, which was 1 in it.
        value, layer = one.get("LabelValue", "1"), one.get("Layer", str(number))
        if value.isdecimal() and layer.isdecimal() and 0 < int(value) < _MOST_IDS:
            name = one.get("Name") or one.get("ID") or f"segment {number + 1}"
            described.append((name, _color(one.get("Color", "")), int(layer), int(value)))
    values = [value for *_, value in described]
    own = len(set(values)) == len(values)
    return tuple(
        Segment(value if own else place, name, color, layer, value)
        for place, (name, color, layer, value) in enumerate(described, start=1)
    )


def _color(text: str) -> Color | None:
    try:
        red, green, blue = map(float, text.split())
    except ValueError:
        return None
    fine = all(0 <= part <= 1 for part in (red, green, blue))
    return (red, green, blue, 1.0) if fine else None


class _Merged(PlanewiseArray):
    """Layers ``(Z, Y, X, L)`` as one label image ``(Z, Y, X)``; a slice is read when it is asked for."""

    def __init__(self, layers: ArrayLike, segments: Sequence[Segment], name: str) -> None:
        super().__init__(tuple(layers.shape[:3]), np.uint16, 1)
        self._layers, self._name = layers, name
        self._segments = [one for one in segments if one.layer < layers.shape[3]]

    def _page(self, at: int) -> NDArray[Any]:
        layers = np.asarray(self._layers[at])
        ids = np.zeros(self.shape[1:], np.uint16)
        for one in self._segments:
            here = layers[..., one.layer] == one.value
            if ids[here].any():
                raise InputError(
                    f"Segment “{one.name}” of {self._name} overlaps another one on slice {at}, and a pixel has one "
                    "label here; in 3D Slicer subtract one from the other, or export them as separate files."
                )
            ids[here] = one.label_id
        return ids


class _Laid(PlanewiseArray):
    """Labels ``(Z, Y, X)`` on a larger grid, from voxel ``first`` on; zeros around them."""

    def __init__(
        self, labels: ArrayLike, shape: tuple[int, int, int], first: tuple[int, int, int]
    ) -> None:
        super().__init__(shape, labels.dtype, 1)
        self._labels, self._first = labels, first

    def _page(self, at: int) -> NDArray[Any]:
        along, down, across = self._first
        page = np.zeros(self.shape[1:], self.dtype)
        if 0 <= at - along < self._labels.shape[0]:
            rows, columns = self._labels.shape[1:]
            own = np.asarray(self._labels[at - along])
            page[down : down + rows, across : across + columns] = own
        return page


def _laid_on(opened: Opened, like: StackInfo) -> Opened:
    """The labels on the voxels of an image, where they are a part of these; else as they are."""
    if opened.axes != "ZYX" or opened.data.shape == like.shape:
        return opened
    first = _first_on(opened, like)
    if first is None:
        return opened
    laid = _Laid(opened.data, like.shape, first)
    return replace(opened, data=laid, origin=replace(opened.origin, affine=like.origin.affine))


def _first_on(opened: Opened, like: StackInfo) -> tuple[int, int, int] | None:
    """Where on the image the first voxel of labels lies; None where they are no part of it."""
    if opened.origin.affine is None or like.origin.affine is None:
        return None
    own, whole = np.array(opened.origin.affine), np.array(like.origin.affine)
    if not abs(np.linalg.det(whole[:3, :3])) > 0:
        return None
    between = np.linalg.solve(whole[:3, :3], own[:3])
    steps, first = between[:, :3], between[:, 3] - np.linalg.solve(whole[:3, :3], whole[:3, 3])
    near = np.rint(first)
    # A step that is off by a little is off by much at the far end.
    ends = np.abs(steps - np.eye(3)) @ np.array(opened.data.shape, np.float64)
    if np.abs(first - near).max() > _WHOLE or ends.max() > _WHOLE:
        return None
    along, down, across = (int(part) for part in near)
    fits = zip((along, down, across), opened.data.shape, like.shape, strict=True)
    inside = all(start >= 0 and start + count <= room for start, count, room in fits)
    return (along, down, across) if inside else None
