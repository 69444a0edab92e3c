"""Checks that every command makes before anything heavy is imported or done."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from napari_salt import wording
from napari_salt.commands.console import Console
from napari_salt.commands.images import open_image
from napari_salt.commands.parsing import listed
from napari_salt.errors import AdapterError, InputError, OutputError
from napari_salt.io.atomic import check_ordinary
from napari_salt.io.slicer_segments import is_segmentation
from napari_salt.io.world import apart
from napari_salt.model.adapter_info import AdapterInfo, read_info
from napari_salt.model.backbones.registry import backbone_sha256
from napari_salt.model.input_checks import check_channels, check_unit
from napari_salt.model.limits import measure_limits
from napari_salt.records import StackInfo
from napari_salt.session.stack import Stack

ADAPTER_SUFFIX = ".safetensors"
_LONGEST_NAME = 255
"""Bytes of a name on nearly all disks."""
_ROOM = 40
"""Bytes that names of unfinished files and folders have more than that of the result."""
TIFF_SUFFIXES = (".tif", ".tiff")


def writable(path: Path, suffixes: Sequence[str]) -> Path:
    """``path`` as a file that can be written; what is there stays untouched for now.

    Raises
    ------
    InputError
        When the name ends otherwise than in one of ``suffixes``.
    OutputError
        When its folder is missing or cannot be written to.
    """
    if not path.name.lower().endswith(tuple(suffixes)):
        raise InputError(f"'{path}' must end in {' or '.join(suffixes)}; give it such a name.")
    check_length(path)
    check_ordinary(path)
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise OutputError(f"There is no folder '{path.parent}'; create it or choose another one.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise OutputError(f"'{path}' cannot be written; choose a folder that you may write to.")
    return path


def check_length(path: Path) -> None:
    """``InputError`` for a name that leaves no room for those of what is unfinished beside it."""
    most = _LONGEST_NAME - _ROOM
    if len(os.fsencode(path.name)) > most:
        raise InputError(
            f"'{path.name[:40]}…' is too long a name for a result; give it one of at most {most} letters."
        )


def apart_from(out: Path, *inputs: Path) -> None:
    """``InputError`` when ``out`` would overwrite one of the files that are read."""
    for path in inputs:
        if out.resolve() == path.resolve():
            raise InputError(f"'{out}' is read by this command; give the result another name.")


def usable_adapter(path: Path) -> AdapterInfo:
    """Description of an adapter whose base weights are here and are the right ones.

    Raises
    ------
    AdapterError
        When it cannot be read, or belongs to other base weights; both hashes are told.
    WeightsError
        When its base weights are unknown here.
    """
    info = read_info(path)
    check_base(info, info.backbone)
    return info


def check_base(info: AdapterInfo, backbone: str) -> None:
    """``AdapterError`` with both hashes when ``backbone`` is not what the adapter was trained on."""
    found = backbone_sha256(backbone)
    if found != info.weights_sha256:
        raise AdapterError(
            f"This adapter belongs to the base weights '{info.backbone}' with SHA-256 "
            f"{info.weights_sha256}, but '{backbone}' has {found}; use the backbone that it was "
            "trained on."
        )


def stack_for(args: argparse.Namespace, info: AdapterInfo, console: Console) -> Stack:
    """The image of ``args``; ``InputError`` when its channels or its unit are not those of the adapter."""
    stack = open_image(args, console)
    check_channels(stack, info)
    if info.intensity_choice.method == "window":
        check_unit(stack.info, measure_limits(stack, info.intensity_choice), info)
    return stack


def check_device(device: str) -> None:
    """``InputError`` when ``device`` is not the name of one; whether it is there shows later."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise InputError(f"'{device}' is no device; choose auto, cpu, cuda, cuda:<number> or mps.")


def check_pair(
    labels: StackInfo, labels_path: Path, image: StackInfo, image_path: Path, console: Console
) -> None:
    """That voxels of labels and image belong together one by one; small doubts of it go to the console.

    Raises
    ------
    InputError
        When they differ in slices, rows or columns, or one is mirrored or turned to the other in the world.
    """
    if labels.shape != image.shape:
        raise InputError(
            f"'{labels_path}' has {_shape(labels)} and '{image_path}' {_shape(image)}; "
            f"{_one_shape(labels, labels_path, image)}."
        )
    found = apart(labels, image)
    axes = found.mirrored or found.turned
    if axes:
        how = "mirrored" if found.mirrored else "turned"
        raise InputError(
            f"'{labels_path}' lies {how} to '{image_path}' in the world, along its {listed(axes)}; "
            f"{_one_orientation(labels, labels_path, image)}."
        )
    if found.moved:
        console.note(
            f"'{labels_path}' and '{image_path}' differ in {listed(found.moved)}; they are laid on "
            "each other voxel by voxel all the same."
        )


_BY_SLICER = (
    "open that image in 3D Slicer with the segmentation, choose it by “Specify geometry” in the Segment Editor, and "
    "save the segmentation again"
)


def _one_shape(labels: StackInfo, path: Path, image: StackInfo) -> str:
    """What to do where labels have other slices, rows or columns than the image."""
    if is_segmentation(path):
        return f"its voxels are no part of the image's: {_BY_SLICER}"
    return f"give labels of the image's shape{_perhaps_slices(image, labels.shape[0])}"


def _one_orientation(labels: StackInfo, path: Path, image: StackInfo) -> str:
    """How to bring labels and image into one orientation, by whatever made these files."""
    if is_segmentation(path):
        return _BY_SLICER
    if labels.origin.format == image.origin.format == "nifti":
        how = "bring both into one orientation (nibabel.as_closest_canonical does it)"
    else:
        how = (
            "lay the labels on the voxels of the image (SimpleITK.Resample(labels, image, "
            "interpolator=SimpleITK.sitkNearestNeighbor) does it)"
        )
    return f"{how}, or give both one place in the world if only that is wrong"


def _shape(info: StackInfo) -> str:
    slices, rows, columns = info.shape
    return f"{wording.count(slices, 'slice')} of {rows} × {columns} pixels"


def _perhaps_slices(image: StackInfo, count: int) -> str:
    """What to do where the file calls channels what are slices, as some programs write a stack of planes."""
    if image.channels != count or image.shape[0] != 1 or image.rgb:
        return ""
    return (
        f", or, if the {count} channels of the image are its slices, save it so that its file says so (axes ZYX; "
        "in Fiji by Image › Properties)"
    )
