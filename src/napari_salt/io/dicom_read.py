"""DICOM in, by pydicom: a series from a folder or one of its files, or a file with many frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.dicom_frames import Frame, check_not_deflated, read_frames
from napari_salt.io.dicom_geometry import Arrangement, arrange
from napari_salt.io.dicom_series import choose, dicom_files, groups_of
from napari_salt.io.opened import Opened
from napari_salt.io.planewise import PlanewiseArray
from napari_salt.io.probe import check_survives
from napari_salt.io.rescale import real_dtype, to_real
from napari_salt.io.units import PIXEL
from napari_salt.optional import need
from napari_salt.records import Origin


def open_dicom(path: Path, series: str | None = None) -> Opened:
    """Open a series; only headers are read, and a slice decodes its own file or frame.

    Where pixels are compressed, a child process unpacks the first and the middle file first (`probe`).

    Of a folder its only series, or the one that ``series`` names (by number, UID, or description); of a file the
    series that it belongs to, gathered from its folder. Slices are in the order of their places along the normal,
    or of their numbers. Where all places were imaged several times, the times make an axis T.

    Values are real ones (rescale slope and intercept applied): int16 where that is exact, else float32, and the
    stored type where there is nothing to rescale. MONOCHROME1 (bright means little) is mirrored within the bits
    stored, before it is rescaled, so that bright is bright in every image. Colour comes as red, green, blue.

    ``Origin.path`` is the folder; the affine turns DICOM's LPS into RAS+.

    Raises
    ------
    ChoiceNeeded
        When there are several series and none is named; the message lists them.
    InputError
        When there is no image, a file is damaged, its compression cannot be decoded, or unpacking it does a
        process harm.
    MissingExtra
        Without pydicom.
    """
    need("pydicom", "dicom", "Reading DICOM")
    folder = path if path.is_dir() else path.parent
    groups = groups_of(dicom_files(path) if path.is_dir() else _siblings(path))
    if not path.is_dir() and series is None:
        groups = [one for one in groups if any(frame.file == path for frame in one.frames)]
    group = choose(groups, series, path)
    arrangement = arrange(group.frames)
    packed = [frame.file for frame in arrangement.frames if frame.compressed]
    for file in dict.fromkeys(packed[at] for at in (0, len(packed) // 2) if packed):
        check_survives(open_alone, file)
    data = Frames(arrangement)
    z, y, x = arrangement.spacing
    along, down, across = arrangement.units
    first = group.frames[0]
    sizes, units = {"Z": z, "Y": y, "X": x}, {"Z": along, "Y": down, "X": across}
    if first.frame_time and first.position is None:
        sizes |= {"T": first.frame_time}
        units |= {"T": "ms"}
    return Opened(
        data,
        data.axes,
        first.series.description or folder.name,
        sizes,
        units,
        origin=Origin(str(folder.absolute()), "dicom", arrangement.affine),
        note=arrangement.note,
        shown=arrangement.frames[len(arrangement.frames) // 2].window,
    )


def open_alone(file: Path) -> Opened:
    """Open the frames of one file in the order in which they lie there, sizes and place unknown; for a trial of it.

    Raises
    ------
    InputError, MissingExtra
        As `open_dicom` does.
    """
    data = Frames(Arrangement(tuple(read_frames(file)), 1, (1.0, 1.0, 1.0), (PIXEL,) * 3, None))
    return Opened(data, data.axes, file.name)


def _siblings(file: Path) -> list[Path]:
    """The files of the same series in the folder of ``file``, which is one of them."""
    own = read_frames(file)
    if not own:
        raise InputError(f"{file.name} holds no image; choose another DICOM file.")
    if own[0].index is not None or not own[0].series.uid:
        return [file]
    pydicom = need("pydicom", "dicom", "Reading DICOM")
    uid, files = own[0].series.uid, []
    unusable: tuple[type[Exception], ...] = (InputError, *unreadable())
    for other in {file, *dicom_files(file.parent)}:
        try:
            check_not_deflated(other)
            header = pydicom.dcmread(
                other, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]
            )
        except unusable:
            continue
        if str(header.get("SeriesInstanceUID", "")) == uid:
            files.append(other)
    return sorted(files)


class Frames(PlanewiseArray):
    """``(Z, Y, X)`` over frames, ``(T, Z, Y, X)`` with times, and an axis of 3 behind in colour."""

    def __init__(self, arrangement: Arrangement) -> None:
        frames = arrangement.frames
        first, count = frames[0], len(frames)
        self._frames = frames
        self._color = first.color
        timed = first.frame_time is not None and first.position is None
        outer: tuple[int, ...] = (count,)
        self.axes = "TYX" if timed else "ZYX"
        if arrangement.times > 1:
            self.axes, outer = "TZYX", (arrangement.times, count // arrangement.times)
        if self._color:
            self.axes += "S"
        shape = (*outer, *first.size, 3) if self._color else (*outer, *first.size)
        super().__init__(shape, _dtype(frames), len(outer))

    @property
    def names(self) -> tuple[str, ...]:
        """What each slice shows: its file, and the frame in it."""
        return tuple(
            frame.file.name if frame.index is None else f"{frame.file.name}, frame {frame.index}"
            for frame in self._frames
        )

    def _page(self, at: int) -> NDArray[Any]:
        frame = self._frames[at]
        try:
            return _pixels(frame).astype(self.dtype, copy=False)
        except unreadable() as error:
            raise InputError(
                f"The pixels of {frame.file.name} cannot be decoded ({one_line(error)}); the file may be "
                "damaged, so copy it again."
            ) from error


def _dtype(frames: Sequence[Frame]) -> np.dtype[Any]:
    """One type for the values of all frames."""
    if frames[0].color:
        wide = any(
            frame.stored.itemsize > 1 and "PALETTE" not in frame.photometric for frame in frames
        )
        return np.dtype(np.uint16 if wide else np.uint8)
    if any(frame.has_lut for frame in frames):
        return np.dtype(np.float32)
    stored = np.result_type(*{frame.stored for frame in frames})
    low, high = min(f.limits[0] for f in frames), max(f.limits[1] for f in frames)
    return real_dtype(stored, low, high, {frame.scaling for frame in frames})


def _pixels(frame: Frame) -> NDArray[Any]:
    """Real values ``(Y, X)``, or colours ``(Y, X, 3)``, of one frame."""
    from pydicom import Dataset
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    header = Dataset()
    stored: NDArray[Any] = pixel_array(frame.file, ds_out=header, index=frame.index)
    if frame.color:
        if "PALETTE" not in frame.photometric:
            return stored
        colors: NDArray[Any] = apply_color_lut(stored, header)
        return colors if colors.dtype == np.uint8 else (colors >> 8).astype(np.uint8)
    if frame.photometric == "MONOCHROME1":
        # In wide numbers, as the sum may not fit the stored type.
        stored = (sum(frame.limits) - stored.astype(np.int64)).astype(frame.stored)
    if frame.has_lut:
        return np.asarray(apply_modality_lut(stored, header), np.float32)
    dtype = real_dtype(frame.stored, *frame.limits, {frame.scaling})
    return to_real(stored, frame.scaling, dtype)
