"""COCO JSON out: one annotation for each object, with its exact pixels as run lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_salt import __version__
from napari_salt.io.atomic import atomic_write
from napari_salt.io.file_names import check_ending
from napari_salt.io.writing.ids import largest_id
from napari_salt.io.writing.source_slices import numbered
from napari_salt.session.objects import components

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_salt.io.writing.source_slices import SourceSlice
    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIX = ".json"


def write_coco(
    path: str | os.PathLike[str],
    masks: ArrayLike,
    info: StackInfo,
    labels: Sequence[Label],
    slices: Sequence[SourceSlice] | None = None,
    label_of: Mapping[int, int] | None = None,
) -> Path:
    """Write ``images`` (one a slice), ``categories`` (the labels) and ``annotations`` (the objects of each slice).

    An object is a connected piece of a label in a slice, or what carries one object id where ``label_of`` is given.
    Its ``segmentation`` is an uncompressed run-length code, which keeps holes; ``bbox`` is x, y, width, height and
    ``area`` a number of pixels. An object that spans slices has the same ``object_id`` in each.

    Parameters
    ----------
    path
        ``.json``; an old one is replaced.
    masks
        ``(N, Y, X)`` whole numbers from 0 up: label ids, or object ids; read one slice at a time, twice.
    info
        Geometry of the stack that was segmented.
    labels
        Names of the labels; ids without one are called by their number.
    slices
        File name and size of each slice; numbered by default.
    label_of
        Label id by object id.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the name ends otherwise, or ids are no whole numbers from 0 up.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    file = Path(path)
    check_ending(file, SUFFIX)
    largest_id(masks)
    places = numbered(info) if slices is None else slices
    categories = {label.label_id: label.name for label in labels}
    with atomic_write(file) as part, part.open("w", encoding="utf-8") as out:
        out.write(f'{{"info": {json.dumps({"description": info.name, "version": __version__})},\n')
        out.write('"annotations": [')
        number = 0
        for index, place in enumerate(places):
            plane = np.asarray(masks[index])[: place.rows, : place.columns]
            for found in _objects(plane, label_of):
                categories.setdefault(found["category_id"], str(found["category_id"]))
                number += 1
                _put(out, {"id": number, "image_id": index + 1, **found}, first=number == 1)
        out.write("],\n")
        out.write(f'"images": {json.dumps(_images(places))},\n')
        out.write(f'"categories": {json.dumps(_categories(categories), ensure_ascii=False)}}}\n')
    return file


def _objects(plane: NDArray[Any], label_of: Mapping[int, int] | None) -> Iterator[dict[str, Any]]:
    """Annotations of one slice, without their ids."""
    if label_of is not None:
        for object_id, pixels in _pixels_of(plane):
            found = _annotation(pixels, plane.shape)
            yield {"category_id": label_of[object_id], "object_id": object_id, **found}
        return
    for label_id in np.unique(plane[plane > 0]).tolist():
        for _, pixels in _pixels_of(components(plane == label_id)):
            yield {"category_id": int(label_id), **_annotation(pixels, plane.shape)}


def _pixels_of(plane: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each id but 0 with its pixels, counted down the columns as COCO does, ascending."""
    flat = plane.ravel(order="F")
    inside = np.flatnonzero(flat)
    order = inside[np.argsort(flat[inside], kind="stable")]
    ids, starts = np.unique(flat[order], return_index=True)
    for object_id, pixels in zip(ids.tolist(), np.split(order, starts[1:]), strict=False):
        yield int(object_id), pixels


def _annotation(pixels: NDArray[np.intp], shape: tuple[int, ...]) -> dict[str, Any]:
    rows, columns = pixels % shape[0], pixels // shape[0]
    top, left = int(rows.min()), int(columns.min())
    return {
        "segmentation": {
            "size": [int(shape[0]), int(shape[1])],
            "counts": _runs(pixels, shape[0] * shape[1]),
        },
        "area": len(pixels),
        "bbox": [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
        "iscrowd": 0,
    }


def _runs(pixels: NDArray[np.intp], size: int) -> list[int]:
    """Lengths of runs outside, inside, outside, … the first may be 0."""
    breaks = np.flatnonzero(np.diff(pixels) > 1)
    starts = pixels[np.concatenate(([0], breaks + 1))]
    ends = pixels[np.concatenate((breaks, [len(pixels) - 1]))] + 1
    edges = np.concatenate(([0], np.column_stack((starts, ends)).ravel(), [size]))
    runs: list[int] = np.diff(edges).tolist()
    return runs if runs[-1] else runs[:-1]


def _images(slices: Sequence[SourceSlice]) -> list[dict[str, Any]]:
    return [
        {"id": i + 1, "file_name": one.name, "height": one.rows, "width": one.columns, "slice": i}
        for i, one in enumerate(slices)
    ]


def _categories(names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"id": i, "name": name, "supercategory": ""} for i, name in sorted(names.items())]


def _put(out: IO[str], entry: dict[str, Any], *, first: bool) -> None:
    out.write(("\n" if first else ",\n") + json.dumps(entry))
