"""The images of a DICOM series, without pixels, in the order of its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.dicom_frames import SEGMENTATION, read_frames
from napari_salt.io.dicom_geometry import arrange
from napari_salt.io.dicom_series import dicom_files, groups_of
from napari_salt.optional import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_salt.io.dicom_frames import Frame
    from napari_salt.records import Affine

_SAME_PLACE = 0.01
"""What rounding may make of one number of an affine."""
_REFERENCES = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
"""By what DICOM-SEG refers to an image; anonymised files may lack them."""
_PLACE = (
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
)
"""What DICOM-SEG says of the place of an image."""
_OF_THE_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""What DICOM-SEG repeats of an image, empty where nothing is known: anonymised files may leave it out altogether."""


def check_references(folder: Path, size: tuple[int, int]) -> None:
    """``InputError`` when the first image of ``size`` (Y, X) in a folder cannot be referred to; reads few headers."""
    pydicom = need("pydicom", "dicom", "Reading DICOM")
    for file in dicom_files(folder) if folder.is_dir() else []:
        frame = next(iter(read_frames(file)), None)
        if frame is not None and frame.kind != SEGMENTATION and frame.size == size:
            _check_references(pydicom.dcmread(file, stop_before_pixels=True))
            return


def source_images(
    folder: Path, shape: tuple[int, int, int], affine: Affine | None = None
) -> list[Any]:
    """Datasets of the series in a folder that was opened as a stack, one a slice, in its order.

    Parameters
    ----------
    folder
        Of the series.
    shape
        ``(N, Y, X)`` of the stack.
    affine
        Of the stack (see `records.Origin`); tells series of one shape apart that lie elsewhere.

    Raises
    ------
    InputError
        When no series, or more than one, is that stack; or its slices say nothing of their place, or are
        frames of one file.
    """
    pydicom = need("pydicom", "dicom", "Reading DICOM")
    groups = groups_of(dicom_files(folder)) if folder.is_dir() else []
    fitting = [found for one in groups if (found := _fitting(one.frames, shape, affine))]
    if len(fitting) != 1:
        many = "more than one series" if fitting else "no series"
        raise InputError(
            f"The folder {folder.name} holds {many} of {shape[0]} slices of {shape[1]} × {shape[2]} at "
            "this place, but DICOM-SEG refers to the images it was made from; save the masks as NIfTI "
            "instead."
        )
    frames = fitting[0]
    if any(frame.index is not None or frame.position is None for frame in frames):
        raise InputError(
            "DICOM-SEG is written for series of one file a slice that say where they lie; save the "
            "masks as NIfTI instead."
        )
    images = [pydicom.dcmread(frame.file, stop_before_pixels=True) for frame in frames]
    step, _, _ = arrange(frames).spacing
    for image in images:
        _check_references(image)
        _complete(image, step)
    return images


def _complete(image: Any, step: float) -> None:
    """What `_OF_THE_STUDY` lacks, empty; ``step`` (mm) where slices have no thickness."""
    for name in _OF_THE_STUDY:
        if name not in image:
            setattr(image, name, "")
    if image.PatientSex not in ("M", "F", "O"):
        image.PatientSex = ""
    if not image.get("SliceThickness"):
        image.SliceThickness = step


def _check_references(image: Any) -> None:
    if any(not image.get(name) for name in _PLACE):
        raise InputError(
            "DICOM-SEG says where masks lie in the patient, and these images do not say it of themselves; save the "
            "masks as NIfTI instead."
        )
    if any(not image.get(name) for name in _REFERENCES):
        raise InputError(
            "DICOM-SEG refers to the images it was made from by their UIDs, and these have none; they may have been "
            "anonymised. Save the masks as NIfTI instead."
        )


def _fitting(
    frames: Sequence[Frame], shape: tuple[int, int, int], affine: Affine | None
) -> tuple[Frame, ...]:
    """Frames in the order of the slices; none where they are another stack."""
    if len(frames) != shape[0] or frames[0].size != shape[1:]:
        return ()
    arrangement = arrange(frames)
    known = arrangement.affine
    elsewhere = (
        affine is not None
        and known is not None
        and not np.allclose(known, affine, atol=_SAME_PLACE)
    )
    return () if elsewhere or arrangement.times > 1 else arrangement.frames
