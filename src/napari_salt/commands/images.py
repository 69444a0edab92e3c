"""The image and the label image of a command line, with the options that choose among several."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from napari_salt.commands.console import Console
from napari_salt.commands.parsing import listed
from napari_salt.errors import InputError
from napari_salt.io.enlarged import check_finer
from napari_salt.io.opened import axis_letter
from napari_salt.io.read import LabelImage, read_labels, read_stack
from napari_salt.io.zarr_read import is_zarr
from napari_salt.session.stack import Stack

_PLACES = {"T": "time point", "C": "channel", "Z": "slice"}


def open_image(args: argparse.Namespace, console: Console) -> Stack:
    """The image of ``args`` (image, level, series, at); what there is to say of it goes to the console."""
    stack = read_stack(args.image, level=args.level, series=args.series, fixed=places_asked(args))
    if stack.note:
        console.note(stack.note)
    tell_places(stack.places, args, console)
    return stack


def places_asked(args: argparse.Namespace) -> dict[str, int]:
    """Index by axis of ``--at``; ``InputError`` for an axis that is given two of them."""
    found: dict[str, int] = {}
    for name, index in args.at:
        letter = axis_letter(name)
        if found.setdefault(letter, index) != index:
            raise InputError(f"--at names {letter} twice, and only one place of it is taken.")
    return found


def open_finest(args: argparse.Namespace, coarse: Stack) -> Stack:
    """Level 0 of the image of ``args``, whose level ``coarse`` has been opened.

    Raises
    ------
    InputError
        When slices are counted along another axis there, or it has fewer voxels along an axis.
    """
    finest = read_stack(args.image, series=args.series, fixed=places_asked(args))
    if finest.slice_axis_name != coarse.slice_axis_name:
        raise InputError(
            f"Level {args.level} has slices along {coarse.slice_axis_name} and level 0 along "
            f"{finest.slice_axis_name}; choose a finer level."
        )
    check_finer(coarse.info, finest.info)
    return finest


def open_labels(path: Path, image: Stack, console: Console, level: int = 0) -> LabelImage:
    """Labels of an image, at its time point; in an OME-Zarr those of the image's level."""
    at = indices(image.places)
    labels = read_labels(path, fixed=at, level=level if is_zarr(path) else 0, like=image.info)
    own = {axis: place for axis, place in labels.places.items() if axis not in image.places}
    if own:
        console.note(
            f"Takes {describe_places(own)} of {path.name}; save what you mean as a file of its own to take "
            "something else."
        )
    return labels


def indices(places: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Of `Stack.places` the indices alone."""
    return {axis: index for axis, (index, _) in places.items()}


def describe_places(places: Mapping[str, tuple[int, int]]) -> str:
    """``"time point 0 of 3"``."""
    return listed(
        f"{_PLACES[axis]} {index} of {count}"
        if axis in _PLACES
        else f"position {index} of {count} along {axis}"
        for axis, (index, count) in places.items()
    )


def tell_places(
    places: Mapping[str, tuple[int, int]], args: argparse.Namespace, console: Console
) -> None:
    """Say what is taken of further axes where ``args`` do not say it, and how to take something else."""
    asked = {axis_letter(name) for name, _ in args.at}
    untold = {axis: place for axis, place in places.items() if axis not in asked}
    if untold:
        other = " ".join(f"--at {axis}=1" for axis in untold)
        console.note(f"Takes {describe_places(untold)}; choose another with {other}.")
