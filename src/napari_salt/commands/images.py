"""The image and the label image of a command line, with the options that choose among several."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_salt.commands.console import Console
from napari_salt.errors import InputError
from napari_salt.io.enlarged import check_finer
from napari_salt.io.read import LabelImage, read_labels, read_stack
from napari_salt.io.zarr_read import is_zarr
from napari_salt.session.stack import Stack


def open_image(args: argparse.Namespace, console: Console) -> Stack:
    """The image of ``args`` (image, level, series); what its reader has to say goes to the console."""
    stack = read_stack(args.image, level=args.level, series=args.series)
    if stack.note:
        console.note(stack.note)
    return stack


def open_finest(args: argparse.Namespace, coarse: Stack) -> Stack:
    """Level 0 of the image of ``args``, whose level ``coarse`` has been opened.

    Raises
    ------
    InputError
        When slices are counted along another axis there, or it has fewer voxels along an axis.
    """
    finest = read_stack(args.image, series=args.series)
    if finest.slice_axis_name != coarse.slice_axis_name:
        raise InputError(
            f"Level {args.level} has slices along {coarse.slice_axis_name} and level 0 along "
            f"{finest.slice_axis_name}; choose a finer level."
        )
    check_finer(coarse.info, finest.info)
    return finest


def open_labels(path: Path, image: Stack, level: int = 0) -> LabelImage:
    """Labels of an image; in an OME-Zarr those of the image's level."""
    return read_labels(path, level=level if is_zarr(path) else 0, like=image.info)
