"""The images of a DICOM series, without pixels, in the order of its slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.optional import need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import Affine


def source_images(
    folder: Path, shape: tuple[int, int, int], affine: Affine | None = None
) -> list[Any]:
    """Datasets of the series in a folder that has this many slices, rows and columns, and lies there.

    Slices are sorted by their position along the normal of their plane, rising: as the reader of DICOM series sorts
    them.

    Parameters
    ----------
    folder
        Of the series; files in it that are no DICOM images are passed over.
    shape
        ``(N, Y, X)`` of the stack.
    affine
        Of the stack (see `records.Origin`); tells series of one shape apart that lie elsewhere.

    Raises
    ------
    InputError
        When no series, or more than one, has this shape, or slices say nothing of their place.
    """
    need("pydicom", "dicom", "Reading DICOM")
    series: dict[str, list[Any]] = {}
    for file in sorted(folder.iterdir() if folder.is_dir() else [folder]):
        dataset = _dataset(file)
        if dataset is not None:
            series.setdefault(str(dataset.SeriesInstanceUID), []).append(dataset)
    fitting = [
        sorted(images, key=_position) for images in series.values() if _shape(images) == shape
    ]
    fitting = [images for images in fitting if affine is None or _begins_at(images[0], affine)]
    if len(fitting) != 1:
        many = "more than one series" if fitting else "no series"
        raise InputError(
            f"The folder {folder.name} holds {many} of {shape[0]} slices of {shape[1]} × {shape[2]}, "
            "but DICOM-SEG refers to the images it was made from; save the masks as NIfTI instead."
        )
    return fitting[0]


def _dataset(file: Path) -> Any:
    """Header of a DICOM image; None for anything else, segmentations among it."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return None
    if str(dataset.get("Modality", "")) == "SEG":
        return None
    needed = ("SeriesInstanceUID", "Rows", "Columns", "SOPInstanceUID")
    return dataset if all(name in dataset for name in needed) else None


def _shape(images: list[Any]) -> tuple[int, int, int]:
    if len({(image.Rows, image.Columns) for image in images}) != 1:
        return (0, 0, 0)
    return len(images), int(images[0].Rows), int(images[0].Columns)


def _position(image: Any) -> float:
    try:
        directions: NDArray[np.float64] = np.array(image.ImageOrientationPatient, np.float64)
        place: NDArray[np.float64] = np.array(image.ImagePositionPatient, np.float64)
    except AttributeError as error:
        raise InputError(
            "The DICOM images do not say where they lie, so DICOM-SEG cannot refer to them; save the "
            "masks as NIfTI instead."
        ) from error
    return float(np.dot(np.cross(directions[:3], directions[3:]), place))


def _begins_at(image: Any, affine: Affine) -> bool:
    """Whether the first voxel of a stack is that of this image; DICOM counts x to the left and y to the back."""
    left, back, up = (float(part) for part in image.ImagePositionPatient)
    first = [row[3] for row in affine[:3]]
    return bool(np.allclose([-left, -back, up], first, atol=_SAME_PLACE))


_SAME_PLACE = 0.01
"""Millimetres that rounding may make of one place."""
