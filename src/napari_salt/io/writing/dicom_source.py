"""The images of a DICOM series, without pixels, in the order of its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
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
    return [pydicom.dcmread(frame.file, stop_before_pixels=True) for frame in frames]


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
