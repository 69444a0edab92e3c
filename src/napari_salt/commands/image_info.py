"""``napari-salt info`` of an image: how it is read, and where it lies."""

from __future__ import annotations

import argparse
from typing import Any

from napari_salt import wording
from napari_salt.commands.console import Console
from napari_salt.commands.images import describe_places, indices, open_image
from napari_salt.session.stack import Stack


def tell_image(args: argparse.Namespace, console: Console) -> None:
    """Open the image of ``args`` and tell; no pixels are read.

    Raises
    ------
    InputError
        As ``read_stack``; where there are several images, the message lists them.
    """
    stack = open_image(args, console)
    info = stack.info
    data: dict[str, Any] = {
        "name": info.name,
        "format": info.origin.format,
        "path": info.origin.path,
        "slice_axis": stack.slice_axis_name,
        "shape": list(info.shape),
        "channels": info.channels,
        "rgb": info.rgb,
        "dtype": info.dtype,
        "spacing": list(info.spacing),
        "units": list(info.units),
        "affine": None if info.origin.affine is None else [list(row) for row in info.origin.affine],
        "offset": list(info.origin.offset),
        "at": indices(stack.places),
        "lengths": {axis: count for axis, (_, count) in stack.places.items()},
        "note": stack.note,
    }
    console.answer(_text(stack), data)


def _text(stack: Stack) -> str:
    info = stack.info
    count, rows, columns = info.shape
    values = "colour" if info.rgb else "grey" if info.channels == 1 else f"{info.channels} channels"
    sizes = [f"{size:g} {unit}" for size, unit in zip(info.spacing, info.units, strict=True)]
    lines = {
        "image": f"{info.name} ({info.origin.format})",
        "slices": f"{wording.count(count, 'slice')} along {stack.slice_axis_name}, {rows} × {columns} pixels"
        + (f", at {describe_places(stack.places)}" if stack.places else ""),
        "pixels": f"{values}, {info.dtype}",
        "voxels": " × ".join(sizes),
    }
    if info.origin.affine is not None:
        place = ", ".join(f"{row[3]:g}" for row in info.origin.affine[:3])
        lines["first voxel"] = f"{place} mm (right, front, up)"
    elif any(info.origin.offset):
        at = zip(info.origin.offset, info.units, strict=True)
        place = ", ".join(f"{offset:g} {unit}" for offset, unit in at)
        lines["first voxel"] = f"{place} (slices, rows, columns)"
    return "\n".join(f"{name:14} {value}" for name, value in lines.items())
