"""The image and the label image of a command line, with the options that choose among several."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_salt.commands.console import Console
from napari_salt.io.read import LabelImage, read_labels, read_stack
from napari_salt.io.zarr_read import is_zarr
from napari_salt.session.stack import Stack


def open_image(args: argparse.Namespace, console: Console) -> Stack:
    """The image of ``args`` (image, level, series); what its reader has to say goes to the console."""
    stack = read_stack(args.image, level=args.level, series=args.series)
    if stack.note:
        console.note(stack.note)
    return stack


def open_labels(path: Path, image: Stack, level: int = 0) -> LabelImage:
    """Labels of an image; in an OME-Zarr those of the image's level."""
    return read_labels(path, level=level if is_zarr(path) else 0, like=image.info)
