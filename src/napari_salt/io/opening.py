"""Which reader opens a path: by what kind of folder it is, by the dataset it names, or by its suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_salt.errors import InputError
from napari_salt.faults import advice
from napari_salt.io import (
    dicom_series,
    hdf5_read,
    meta_image_read,
    nifti_read,
    nrrd_read,
    tiff_read,
)
from napari_salt.io.damage import check_not_empty, one_line, unreadable
from napari_salt.io.dicom_read import open_dicom
from napari_salt.io.dicom_seg_read import find_segmentation, open_segmentation
from napari_salt.io.hdf5_read import SEPARATOR, open_hdf5, split_dataset
from napari_salt.io.image_folder import open_folder
from napari_salt.io.label_folder import open_label_folder
from napari_salt.io.meta_image_read import open_meta_image
from napari_salt.io.nifti_read import open_nifti
from napari_salt.io.nrrd_read import open_nrrd
from napari_salt.io.opened import Opened
from napari_salt.io.plain_read import open_npy, open_picture
from napari_salt.io.probe import check_survives
from napari_salt.io.slicer_segments import open_nrrd_labels
from napari_salt.io.tiff_read import open_tiff
from napari_salt.io.zarr_read import is_zarr, open_zarr, open_zarr_labels
from napari_salt.records import Origin, StackInfo

READERS: dict[str, Callable[[Path], Opened]] = {
    **dict.fromkeys(tiff_read.SUFFIXES, open_tiff),
    ".npy": open_npy,
    ".png": open_picture,
    ".jpg": open_picture,
    ".jpeg": open_picture,
    **dict.fromkeys(nifti_read.SUFFIXES, open_nifti),
    **dict.fromkeys(nrrd_read.SUFFIXES, open_nrrd),
    **dict.fromkeys(meta_image_read.SUFFIXES, open_meta_image),
    **dict.fromkeys(hdf5_read.SUFFIXES, open_hdf5),
    **dict.fromkeys(dicom_series.SUFFIXES, open_dicom),
}
"""How a file is opened, by the lower-case end of its name."""

_LABEL_READERS: dict[str, Callable[[Path], Opened]] = {
    **READERS,
    ".png": partial(open_picture, ids=True),
}


@dataclass(frozen=True)
class Wanted:
    """Which image of a path is meant: level of a pyramid, one of several series, label image or not, and laid on what.

    ``survived`` says that this process has read the pixels of a TIFF already, which needs no trial (`probe`) then.
    """

    level: int = 0
    series: str | None = None
    labels: bool = False
    like: StackInfo | None = None
    survived: bool = False


def open_path(path: str | os.PathLike[str], wanted: Wanted | None = None) -> Opened:
    """Open what is at a path; no pixels are read yet, except of pictures and DICOM segmentations.

    A folder is zarr if it is marked as such, else DICOM if it holds any, else single images.

    Raises
    ------
    ChoiceNeeded
        When there are several images.
    InputError
        When the path is missing, unreadable, or of an unknown format, or has no such level or series.
    MissingExtra
        When the format needs a package that is not installed.
    """
    wanted = wanted or Wanted()
    file, dataset = split_dataset(os.fspath(path))
    if not file.exists():
        raise InputError(f"There is no file {file}; check the path.")
    if not (file.is_file() or file.is_dir()):
        raise InputError(
            f"{file} is no ordinary file but a pipe or a device; write what comes from it to a file first."
        )
    if not os.access(file, os.R_OK):
        raise InputError(f"{file} cannot be opened (you may not read it); check its permissions.")
    try:
        check_not_empty(file)
        opened = _open(file, dataset, wanted)
    except OSError as error:
        raise InputError(
            f"{file} cannot be opened ({error.strerror or error}); {advice(error) or 'check its permissions'}."
        ) from error
    except unreadable() as error:
        raise InputError(
            f"{file.name} cannot be read ({one_line(error)}); it may be damaged, so copy it again."
        ) from error
    if opened.origin.path:
        return opened
    origin = Origin(str(file.absolute()), _plain_format(file), level=wanted.level)
    return replace(opened, origin=origin)


def _open(file: Path, dataset: str | None, wanted: Wanted) -> Opened:
    if is_zarr(file):
        return (open_zarr_labels if wanted.labels else open_zarr)(file, wanted.level)
    reader = None if file.is_dir() else _by_suffix(file, wanted)
    if dataset is not None:
        if reader is not open_hdf5:
            raise InputError(f"Only HDF5 files have datasets; leave out {SEPARATOR}{dataset}.")
        _check_plain(file, wanted)
        return open_hdf5(file, dataset)
    if reader is open_dicom or (file.is_dir() and dicom_series.is_dicom_folder(file)):
        return _open_dicom(file, wanted)
    if reader is open_tiff:
        opened = open_tiff(file, wanted.level, wanted.series)
        if opened.risky and not wanted.survived:
            check_survives(open_tiff, file, wanted.level, wanted.series)
        return opened
    _check_plain(file, wanted)
    if reader is open_nrrd and wanted.labels:
        return open_nrrd_labels(file, wanted.like)
    if reader is not None:
        return reader(file)
    return (open_label_folder if wanted.labels else open_folder)(file)


def _open_dicom(place: Path, wanted: Wanted) -> Opened:
    if wanted.labels and wanted.series is None:
        found = find_segmentation(place)
        if found is not None:
            return open_segmentation(found, wanted.like)
    _check_plain(place, replace(wanted, series=None))
    return open_dicom(place, wanted.series)


def _by_suffix(file: Path, wanted: Wanted) -> Callable[[Path], Opened]:
    """The reader of a file; one without a known suffix may still be DICOM."""
    readers = _LABEL_READERS if wanted.labels else READERS
    name = file.name.lower()
    fitting = [suffix for suffix in readers if name.endswith(suffix)]
    if fitting:
        return readers[max(fitting, key=len)]
    if dicom_series.is_dicom(file):
        return open_dicom
    raise InputError(
        f"{file.name} is of a format that is not read; use one of {', '.join(sorted(readers))}, or "
        "a folder of OME-Zarr, DICOM or single images."
    )


def _check_plain(file: Path, wanted: Wanted) -> None:
    """``InputError`` where a level or a series is asked of a format without such."""
    if wanted.level:
        raise InputError(f"{file.name} has no level {wanted.level}; only pyramids have levels.")
    if wanted.series is not None:
        raise InputError(
            f"{file.name} has no series “{wanted.series}”; only DICOM and TIFF have series."
        )


def _plain_format(file: Path) -> str:
    """``Origin.format`` of files whose readers do not say it themselves."""
    if file.is_dir():
        return "folder"
    suffix = file.suffix.lower()
    if suffix in tiff_read.SUFFIXES:
        return "tiff"
    return {".npy": "npy", ".jpg": "jpeg"}.get(suffix, suffix[1:])
