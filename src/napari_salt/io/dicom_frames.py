"""Headers of DICOM files as frames: one plane each, with all that is known of it before its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.rescale import IDENTITY, Scaling
from napari_salt.optional import need

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
"""Kinds of DICOM files (SOP classes) that are treated apart."""

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "Modality",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SpacingBetweenSlices",
    "SliceThickness",
    "FrameTime",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]


@dataclass(frozen=True)
class Series:
    """What a file says of the series that it belongs to."""

    uid: str
    number: str
    description: str
    modality: str


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of a DICOM file.

    ``index`` counts the frames of ``file`` and is None where it holds only one. ``position`` and ``orientation`` (the
    direction along a row, then along a column) are in millimetres of the patient, x to the left, y to the back
    (LPS); ``pixel`` is the size along Y and X in mm. What the file does not say is None.
    """

    file: Path
    index: int | None
    number: int
    instance: str
    series: Series
    kind: str
    size: tuple[int, int]
    photometric: str
    stored: np.dtype[Any]
    limits: tuple[int, int]
    scaling: Scaling
    has_lut: bool
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    pixel: tuple[float, float] | None
    thickness: float | None
    frame_time: float | None
    compressed: bool
    """Whether a decoder has to unpack its pixels, see `probe`."""
    window: tuple[float, float] | None
    """Values that the file wants to be shown as black and white, the first pair where there are several."""

    @property
    def color(self) -> bool:
        """Whether its pixels come as red, green and blue."""
        return not self.photometric.startswith("MONOCHROME")


def read_frames(file: Path) -> list[Frame]:
    """The frames of one file, by its header; none where it holds no image.

    Raises
    ------
    InputError
        When the file is no DICOM, is cut short, or is compressed in a way that cannot be decoded here.
    MissingExtra
        Without pydicom.
    """
    pydicom = need("pydicom", "dicom", "Reading DICOM")
    try:
        with file.open("rb") as opened:
            check_not_deflated(file)
            header = pydicom.dcmread(opened, stop_before_pixels=True, specific_tags=_TAGS)
            behind = file.stat().st_size - opened.tell()
        if "Rows" not in header or "Columns" not in header:
            return []
        _check_whole(file, header, behind)
        return list(_frames(file, header))
    except InputError:
        raise
    except (pydicom.errors.InvalidDicomError, OSError, EOFError) as error:
        raise InputError(
            f"{file.name} cannot be read as DICOM ({one_line(error)}); it may be damaged, so copy it again."
        ) from error
    except unreadable() as error:
        raise InputError(
            f"The DICOM header of {file.name} cannot be used ({one_line(error)}); export the image again."
        ) from error


def check_not_deflated(file: Path) -> None:
    """``InputError`` where zlib is around a whole file: pydicom unpacks all of it to read the header, however large."""
    from pydicom.filereader import read_file_meta_info

    syntax = read_file_meta_info(file).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_deflated:
        raise InputError(
            f"{file.name} is compressed as {syntax.name}, which is not read; export it without compression."
        )


def is_compressed(header: Any) -> bool:
    """Whether a decoder has to unpack the pixels of a file."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    return syntax is not None and bool(syntax.is_compressed)


def _frames(file: Path, header: Any) -> Iterator[Frame]:
    compressed = is_compressed(header)
    count = int(header.get("NumberOfFrames") or 1)
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    each = header.get("PerFrameFunctionalGroupsSequence") or [None] * count
    for index in range(count):
        found = _Parts(header, shared, each[index])
        stored, limits = _storage(header)
        yield Frame(
            file=file,
            index=index if count > 1 else None,
            number=int(header.get("InstanceNumber") or 0),
            # anonymised files may have an empty one
            instance=str(header.get("SOPInstanceUID") or file),
            series=Series(
                str(header.get("SeriesInstanceUID") or ""),
                str(header.get("SeriesNumber") or ""),
                str(header.get("SeriesDescription") or "").strip(),
                str(header.get("Modality") or ""),
            ),
            kind=str(header.get("SOPClassUID", "")),
            size=(int(header.Rows), int(header.Columns)),
            photometric=str(header.get("PhotometricInterpretation", "MONOCHROME2")),
            stored=stored,
            limits=limits,
            scaling=found.scaling(),
            has_lut="ModalityLUTSequence" in header,
            position=found.vector("PlanePositionSequence", "ImagePositionPatient", 3),
            orientation=found.vector("PlaneOrientationSequence", "ImageOrientationPatient", 6),
            pixel=found.pixel(),
            thickness=found.thickness(),
            frame_time=float(header.FrameTime) if header.get("FrameTime") else None,
            compressed=compressed,
            window=found.window(),
        )


class _Parts:
    """Where the value of a frame stands: with the frame, with what all frames share, or in the file."""

    def __init__(self, header: Any, shared: Any, own: Any) -> None:
        self._header, self._groups = header, [part for part in (own, shared) if part is not None]

    def value(self, sequence: str, name: str) -> Any:
        for group in self._groups:
            inner = (group.get(sequence) or [None])[0]
            if inner is not None and inner.get(name) is not None:
                return inner.get(name)
        return self._header.get(name)

    def vector(self, sequence: str, name: str, length: int) -> NDArray[np.float64] | None:
        found = self.value(sequence, name)
        return np.array(found, np.float64) if found is not None and len(found) == length else None

    def scaling(self) -> Scaling:
        slope = self.value("PixelValueTransformationSequence", "RescaleSlope")
        intercept = self.value("PixelValueTransformationSequence", "RescaleIntercept")
        if slope is None and intercept is None:
            return IDENTITY
        return float(1 if slope is None else slope), float(0 if intercept is None else intercept)

    def window(self) -> tuple[float, float] | None:
        """Of the values after rescaling; None where it is none, or pixels are turned into other values than those."""
        plain = str(self._header.get("PhotometricInterpretation", "")) == "MONOCHROME2"
        if not plain or "ModalityLUTSequence" in self._header:
            return None
        try:
            center, width = (
                np.ravel(np.array(self.value("FrameVOILUTSequence", name), np.float64))
                for name in ("WindowCenter", "WindowWidth")
            )
        except (TypeError, ValueError):
            return None  # an image is no worse for it
        if not (center.size and width.size and np.isfinite(center[0]) and 0 < width[0] < np.inf):
            return None
        return float(center[0] - width[0] / 2), float(center[0] + width[0] / 2)

    def pixel(self) -> tuple[float, float] | None:
        size = self.value("PixelMeasuresSequence", "PixelSpacing")
        size = self._header.get("ImagerPixelSpacing") if size is None else size
        if size is None or len(size) != 2 or min(map(float, size)) <= 0:
            return None
        return float(size[0]), float(size[1])

    def thickness(self) -> float | None:
        for name in ("SpacingBetweenSlices", "SliceThickness"):
            found = self.value("PixelMeasuresSequence", name)
            if found is not None and abs(float(found)) > 0:
                return abs(float(found))
        return None


def _storage(header: Any) -> tuple[np.dtype[Any], tuple[int, int]]:
    """Type in which the pixels are stored, and the smallest and largest value that their bits can hold."""
    if str(header.get("SOPClassUID", "")) == PARAMETRIC_MAP:
        return np.dtype(f"f{int(header.BitsAllocated) // 8}"), (0, 0)
    signed = int(header.get("PixelRepresentation") or 0) == 1
    width = max(int(header.BitsAllocated), 8)
    bits = int(header.get("BitsStored") or width)
    limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return np.dtype(f"{'i' if signed else 'u'}{width // 8}"), limits


def _check_whole(file: Path, header: Any, behind: int) -> None:
    """``InputError`` when the pixels cannot be decoded here, or the bytes ``behind`` the header are too few."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        return
    if is_compressed(header):
        try:
            able = get_decoder(syntax).is_available
        except NotImplementedError:
            able = False
        if not able:
            raise InputError(
                f"{file.name} is compressed as {syntax.name}, which is not decoded here; install the "
                'decoders (pip install "pylibjpeg[all]"), or export without compression.'
            )
        return
    samples = int(header.get("SamplesPerPixel") or 1) * int(header.get("NumberOfFrames") or 1)
    bits = int(header.Rows) * int(header.Columns) * samples * int(header.get("BitsAllocated") or 8)
    if header.get("PhotometricInterpretation") == "YBR_FULL_422":
        # Two neighbours share their colour.
        bits = bits * 2 // 3
    if behind < bits // 8:
        raise InputError(f"{file.name} is cut short: its pixels are not all there; copy it again.")
