"""Masks out, in whatever format a file name or a person asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_salt.errors import InputError
from napari_salt.io.image_itself import check_not_image, is_image
from napari_salt.io.write import write_masks
from napari_salt.io.writing import coco, dicom_seg, meta_image, nifti, nrrd, ome_zarr
from napari_salt.io.writing.png_folder import check_free, write_png_folder
from napari_salt.optional import need

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from napari_salt.io.writing.source_slices import SourceSlice
    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

Kind = Literal[
    "tiff",
    "ome-tiff",
    "nifti",
    "nrrd",
    "metaimage",
    "ome-zarr",
    "ome-zarr labels",
    "png",
    "coco",
    "dicom-seg",
]

LABELS_NAME = "napari-salt"
"""What labels beside an OME-Zarr image are called."""


@dataclass(frozen=True)
class Format:
    """One way to write masks: what people call it, and the endings of its names (none: a folder)."""

    kind: Kind
    title: str
    suffixes: tuple[str, ...]


FORMATS = (
    Format("tiff", "TIFF (ImageJ)", (".tif", ".tiff")),
    Format("ome-tiff", "OME-TIFF", (".ome.tif", ".ome.tiff")),
    Format("nifti", "NIfTI", (".nii.gz", ".nii")),
    Format("nrrd", "NRRD, a segmentation of 3D Slicer", nrrd.SUFFIXES),
    Format("metaimage", "MetaImage (ITK)", meta_image.SUFFIXES),
    Format("ome-zarr", "OME-Zarr", (".ome.zarr", ".zarr")),
    Format("coco", "COCO JSON, one annotation an object", (".json",)),
    Format("dicom-seg", "DICOM-SEG", (".dcm",)),
    Format("png", "Folder of PNG", ()),
)
_WRITERS: dict[
    Kind, Callable[[str | os.PathLike[str], ArrayLike, StackInfo, Sequence[Label]], Path]
] = {
    "nifti": nifti.write_nifti,
    "nrrd": nrrd.write_nrrd,
    "metaimage": meta_image.write_meta_image,
    "ome-zarr": ome_zarr.write_alone,
    "dicom-seg": dicom_seg.write_dicom_seg,
}
"""Formats that need nothing but masks, geometry and labels."""
BESIDE = Format("ome-zarr labels", "Labels inside the OME-Zarr image", ())
"""Has no name of its own: it goes where the image is."""


def formats_for(info: StackInfo) -> tuple[Format, ...]:
    """Formats that masks of a stack can be written in, the plain one first."""
    is_dicom = info.origin.format == "dicom"
    usual = tuple(one for one in FORMATS if is_dicom or one.kind != "dicom-seg")
    return (*usual, BESIDE) if info.origin.format == "ome-zarr" else usual


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a name asks for; a name without ending is a folder of PNG.

    Raises
    ------
    InputError
        For any other ending.
    """
    name = Path(path).name.lower()
    ending = suffix_of(name)
    if ending:
        return next(one for one in FORMATS if ending in one.suffixes)
    if not Path(name).suffix or Path(path).is_dir():
        return next(one for one in FORMATS if one.kind == "png")
    known = ", ".join(suffix for one in FORMATS for suffix in one.suffixes)
    raise InputError(
        f"Masks are not written as {Path(name).suffix}; end the name in one of {known}, or give a "
        "folder for PNG."
    )


def suffix_of(name: str) -> str:
    """The longest known ending of a file name, in lower case; empty where there is none."""
    known = [suffix for one in FORMATS for suffix in one.suffixes if name.lower().endswith(suffix)]
    return max(known, key=len, default="")


def check_target(path: str | os.PathLike[str], info: StackInfo, kind: Kind | None = None) -> Kind:
    """The kind that will be written to ``path``; refuses now what would be refused after long work.

    Raises
    ------
    InputError
        When the name, the image or a missing package makes it impossible, or it would be a part of the image itself.
    OutputError
        When a folder holds other things, or a file beside NIfTI would take the place of another one.
    """
    chosen = format_of(path).kind if kind is None else kind
    if chosen == "dicom-seg":
        dicom_seg.check_source(info)
        need("highdicom", "dicom", "Writing DICOM-SEG")
    if chosen == "nifti":
        need("nibabel", "nifti", "Writing NIfTI")
        nifti.check_beside(Path(path))
    if chosen == "metaimage":
        meta_image.check_place(info)
    if chosen == "ome-zarr" and is_image(path, info):
        chosen = "ome-zarr labels"
    if chosen == "ome-zarr labels":
        ome_zarr.layout_beside(Path(info.origin.path), info)
    elif chosen == "ome-zarr":
        ome_zarr.check_alone(Path(path))
    else:
        check_not_image(path, info)
    if chosen == "png":
        check_free(Path(path))
    return chosen


def export_masks(
    path: str | os.PathLike[str],
    masks: ArrayLike,
    info: StackInfo,
    labels: Sequence[Label],
    *,
    kind: Kind | None = None,
    slices: Sequence[SourceSlice] | None = None,
    label_of: Mapping[int, int] | None = None,
    categories: Sequence[Label] = (),
) -> Path:
    """Write masks with sizes, place, names and colours, all of it or nothing.

    Parameters
    ----------
    path
        File or folder. Where it is the OME-Zarr image that was segmented, labels go into that.
    masks
        ``(N, Y, X)`` whole numbers from 0 up; read one slice at a time, twice.
    info
        Geometry and origin of the stack that was segmented.
    labels
        Names and colours of the ids in ``masks``.
    kind
        The format; by default what the ending of ``path`` says.
    slices
        File name and size of each slice (`source_slices.slices_of`), for PNG and COCO.
    label_of, categories
        Where ``masks`` holds object ids: the label id of each, and the labels; for COCO, which has both.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        When the masks or the image do not suit the format; the sentence names another way.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    chosen = check_target(path, info, kind)
    if chosen in _WRITERS:
        return _WRITERS[chosen](path, masks, info, labels)
    if chosen == "ome-zarr labels":
        return ome_zarr.write_beside(info.origin.path, masks, info, labels, LABELS_NAME)
    if chosen == "png":
        return write_png_folder(path, masks, info, labels, slices)
    if chosen == "coco":
        named = labels if label_of is None else categories
        return coco.write_coco(path, masks, info, named, slices, label_of)
    return write_masks(
        path,
        masks,
        names={label.label_id: label.name for label in labels},
        colors={label.label_id: label.color for label in labels},
        spacing=info.spacing,
        units=info.units,
        flavour="ome" if chosen == "ome-tiff" else "auto",
    )
