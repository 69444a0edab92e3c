"""DICOM segmentations in, by highdicom: segments as label ids, with their names and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_salt.errors import Choice, ChoiceNeeded, InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.dicom_frames import SEGMENTATION, check_not_deflated, is_compressed
from napari_salt.io.dicom_read import open_alone
from napari_salt.io.dicom_series import dicom_files, is_dicom
from napari_salt.io.opened import Opened
from napari_salt.io.probe import check_survives
from napari_salt.io.world import LPS_TO_RAS, as_affine
from napari_salt.optional import need
from napari_salt.records import Color, Origin, StackInfo


def find_segmentation(path: Path) -> Path | None:
    """The segmentation at a path: the file itself, or the only one in a folder; None where there is none.

    Raises
    ------
    ChoiceNeeded
        When a folder holds several.
    InputError
        When a file is deflated as a whole.
    """
    pydicom = need("pydicom", "dicom", "Reading DICOM")
    candidates = dicom_files(path) if path.is_dir() else [path] if is_dicom(path) else []
    found = []
    for file in candidates:
        check_not_deflated(file)
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        if header.get("SOPClassUID") == SEGMENTATION:
            found.append(file)
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ChoiceNeeded(
            f"{path.name} holds {len(found)} segmentations ({names}); choose one of these files.",
            [Choice(file.name, str(file)) for file in found],
        )
    return found[0] if found else None


def open_segmentation(file: Path, like: StackInfo | None = None) -> Opened:
    """Open a DICOM segmentation as one label image, in memory; ids are segment numbers.

    Without ``like`` it has the slices that the file covers; with an image, whose affine is known, it is laid on the
    voxels of that image, with zeros where the file says nothing. A compressed one is unpacked by a child process
    first (`probe`).

    Raises
    ------
    InputError
        When it is damaged, segments overlap, it does not lie on the voxels of ``like``, or unpacking it does a process
        harm.
    MissingExtra
        Without highdicom.
    """
    highdicom = need("highdicom", "dicom", "Reading DICOM segmentations")
    try:
        segmentation = highdicom.seg.segread(file)
        if is_compressed(segmentation):
            check_survives(open_alone, file)
        volume = segmentation.get_volume(combine_segments=True)
    except unreadable() as error:
        raise InputError(
            f"{file.name} cannot be used as a label image ({one_line(error)}); export its segments one by one."
        ) from error
    volume = _upright(volume) if like is None else _laid_on(highdicom, volume, like, file.name)
    names, colors = _texts(segmentation)
    spacing = [float(size) for size in volume.spacing]
    return Opened(
        np.asarray(volume.array),
        "ZYX",
        file.stem,
        dict(zip("ZYX", spacing, strict=True)),
        dict.fromkeys("ZYX", "mm"),
        names,
        colors,
        Origin(str(file.absolute()), "dicom", as_affine(LPS_TO_RAS @ volume.affine)),
    )


def _upright(volume: Any) -> Any:
    """Slices in the order in which images are read: upwards along the normal."""
    slices, rows, columns = volume.affine[:3, :3].T
    return volume.flip_spatial(0) if np.dot(slices, np.cross(columns, rows)) < 0 else volume


def _laid_on(highdicom: Any, volume: Any, like: StackInfo, name: str) -> Any:
    if like.origin.affine is None:
        return _upright(volume)
    geometry = highdicom.VolumeGeometry(
        LPS_TO_RAS @ np.array(like.origin.affine), like.shape, coordinate_system="PATIENT"
    )
    try:
        return volume.match_geometry(geometry, tol=_TOLERANCE)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} does not lie on the voxels of {like.name} ({error}); choose the image that it "
            "was made for."
        ) from error


_TOLERANCE = 1e-2
"""How far positions may be apart, as they are written with few digits."""


def _texts(segmentation: Any) -> tuple[dict[int, str], dict[int, Color]]:
    names: dict[int, str] = {}
    colors: dict[int, Color] = {}
    for item in segmentation.SegmentSequence:
        number = int(item.SegmentNumber)
        names[number] = str(item.get("SegmentLabel") or f"segment {number}")
        coded = item.get("RecommendedDisplayCIELabValue")
        if coded is not None and len(coded) == 3:
            colors[number] = _from_lab([int(part) for part in coded])
    return names, colors


def _from_lab(coded: list[int]) -> Color:
    """A colour of CIELab numbers as DICOM writes them, each scaled to 16 bits; to the nearest of 256 steps."""
    from skimage.color import lab2rgb

    light, a, b = (part / 0xFFFF for part in coded)
    lab = np.array([[[light * 100, a * 255 - 128, b * 255 - 128]]])
    red, green, blue = (
        round(float(part) * 255) / 255 for part in np.clip(lab2rgb(lab)[0, 0], 0, 1)
    )
    return red, green, blue, 1.0
