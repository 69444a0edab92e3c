"""DICOM-SEG out: one binary segment for each label, on the images of the series that was segmented."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt import __version__
from napari_salt.errors import InputError
from napari_salt.io.atomic import atomic_write
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.file_names import check_ending
from napari_salt.io.writing.dicom_source import check_references, source_images
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.optional import need

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIX = ".dcm"
SERIES_NUMBER = 900
"""High, so that it comes after what the scanner made."""
_LONGEST_NAME = 64
"""Characters of a segment label (value representation LO)."""


def check_source(info: StackInfo) -> None:
    """Raise ``InputError`` when DICOM-SEG cannot refer to what a stack was read from."""
    if info.origin.format != "dicom" or not info.origin.path:
        raise InputError(
            "DICOM-SEG refers to DICOM images, and this image is none; save the masks as NIfTI, TIFF "
            "or OME-Zarr."
        )
    if info.rgb or info.channels != 1:
        raise InputError(
            "DICOM-SEG is written for grey images only; save the masks as TIFF or OME-Zarr."
        )
    check_references(Path(info.origin.path), info.shape[1:])


def write_dicom_seg(
    path: str | os.PathLike[str], masks: ArrayLike, info: StackInfo, labels: Sequence[Label]
) -> Path:
    """Write a segmentation object of the series at ``info.origin.path``.

    Segments are numbered from 1 in the order of ``labels``; their ids are not kept, their names and colours are.
    All slices are in memory here, a byte or two a pixel.

    Parameters
    ----------
    path
        ``.dcm``; an old one is replaced.
    masks
        ``(N, Y, X)`` whole numbers from 0 up.
    info
        Geometry of the stack that was segmented, read from a DICOM series.
    labels
        Names and colours of the ids; each becomes a segment.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the stack is no DICOM series of grey images, there is no label, or a mask has an id that no label has.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    file = Path(path)
    check_ending(file, SUFFIX)
    check_source(info)
    highdicom = need("highdicom", "dicom", "Writing DICOM-SEG")
    if not labels:
        raise InputError("DICOM-SEG needs a label at least; add one.")
    images = source_images(Path(info.origin.path), info.shape, info.origin.affine)
    numbered = _numbered(masks, labels)
    try:
        segmentation = _segmentation(highdicom, images, numbered, labels)
    except unreadable() as error:
        raise InputError(
            "DICOM-SEG repeats what the images say of the patient and the study, and that cannot be used "
            f"({one_line(error)}); save the masks as NIfTI instead."
        ) from error
    segmentation.SpecificCharacterSet = "ISO_IR 192"  # names may be of any script
    with atomic_write(file) as part:
        segmentation.save_as(part)
    return file


def _segmentation(
    highdicom: Any, images: Sequence[Any], numbered: NDArray[Any], labels: Sequence[Label]
) -> Any:
    """The dataset, of slices ``(N, Y, X)`` that hold numbers of segments."""
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=numbered,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(number, label) for number, label in enumerate(labels, 1)],
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="napari-salt",
        manufacturer_model_name="napari-salt",
        software_versions=__version__,
        device_serial_number="none",
        content_label="MASKS",
        content_description="Masks by napari-salt",
        series_description="Masks by napari-salt",
        omit_empty_frames=True,
    )


def _numbered(masks: ArrayLike, labels: Sequence[Label]) -> NDArray[Any]:
    """All slices, with the number of the segment in place of the label id."""
    number_of = np.zeros(
        max(largest_id(masks), *(label.label_id for label in labels)) + 1, np.int64
    )
    number_of[1:] = -1
    for number, label in enumerate(labels, 1):
        number_of[label.label_id] = number
    numbered = np.empty(masks.shape, smallest_type(len(labels), ("uint8", "uint16")))
    for index in range(masks.shape[0]):
        plane = number_of[np.asarray(masks[index])]
        if plane.min() < 0:
            unknown = int(np.asarray(masks[index])[plane < 0].flat[0])
            raise InputError(f"Slice {index} holds the id {unknown}, which no label has; name it.")
        numbered[index] = plane
    return numbered


def _segment(number: int, label: Label) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="napari-salt", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    name = label.name.replace("\\", "/")[:_LONGEST_NAME]  # a backslash separates values in DICOM
    red, green, blue = (round(min(1.0, max(0.0, part)) * 255) for part in label.color[:3])
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=highdicom.UID(),
        tracking_id=name,
        display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
    )
