"""Results never replace, or become, a part of the image that they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.errors import InputError
from napari_salt.io.dicom_seg_read import find_segmentation
from napari_salt.io.dicom_series import is_dicom
from napari_salt.io.image_folder import IMAGES
from napari_salt.io.tiff_read import SUFFIXES
from napari_salt.io.tiff_series import files_of_set

if TYPE_CHECKING:
    import os

    from napari_salt.records import StackInfo


def is_image(path: str | os.PathLike[str], info: StackInfo) -> bool:
    """Whether ``path`` is what the stack was read from."""
    return bool(info.origin.path) and Path(path).resolve() == Path(info.origin.path).resolve()


def check_not_image(path: str | os.PathLike[str], info: StackInfo) -> None:
    """``InputError`` where a file at ``path`` would replace one of the image, or become one of its folder."""
    if not info.origin.path:
        return
    file, image = Path(path).resolve(), Path(info.origin.path).resolve()
    if file == image:
        raise InputError(f"{file.name} is the image itself; give the result another name.")
    in_set = file.parent == image.parent and image.suffix.lower() in SUFFIXES
    if in_set and file.name in files_of_set(image):
        raise InputError(
            f"{file.name} is another file of the image that was opened; give the result another name."
        )
    if file.parent != image:
        return
    slices = info.origin.format == "folder" and file.suffix.lower() in IMAGES
    if slices or (info.origin.format == "dicom" and _is_dicom_image(file)):
        raise InputError(
            f"{file.name} would be one of the images in the folder {image.name} that was opened; write it to another "
            "folder."
        )


def _is_dicom_image(file: Path) -> bool:
    """Whether there is a DICOM file that is no segmentation, which may be written anew."""
    return file.is_file() and is_dicom(file) and find_segmentation(file) is None
