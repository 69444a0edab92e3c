"""NIfTI out: label images with their place in the world, names and colours."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from napari_salt.errors import InputError, OutputError
from napari_salt.io import label_text
from napari_salt.io.atomic import atomic_write
from napari_salt.io.units import convert, is_time
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.io.writing.snap_labels import is_ours, snap_text
from napari_salt.io.writing.world import affine_of
from napari_salt.optional import need

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIXES = (".nii", ".nii.gz")
_SHORT = 2**15
"""NIfTI-1 counts each axis in 16 bits; longer ones need NIfTI-2."""
_COMMENT = 6
_COMPRESSION = 4
"""Of gzip 1..9: masks shrink nearly as much as with 9, several times faster."""


def write_nifti(
    path: str | os.PathLike[str], masks: ArrayLike, info: StackInfo, labels: Sequence[Label]
) -> Path:
    """Write ``NAME.nii`` or ``NAME.nii.gz``, and ``NAME.labels.txt`` beside it for ITK-SNAP.

    Voxel (i, j, k) of the file is column i, row j of slice k; slices that are time points become the fourth axis.
    Names and colours are in a comment of the header too.

    Parameters
    ----------
    path
        The image; an old one is replaced, and so is a label file that was written here.
    masks
        ``(N, Y, X)`` whole numbers from 0 up; read one slice at a time, twice.
    info
        Geometry of the stack that was segmented.
    labels
        Names and colours of the ids.

    Returns
    -------
    Path
        The image written.

    Raises
    ------
    InputError
        When the name ends otherwise, or sizes make no place in the world.
    OutputError
        When it cannot be written, or the label file would replace another one; what was there is untouched.
    """
    file = Path(path)
    texts = label_file(file)
    check_beside(file)
    header = _header(masks, info, labels)
    with atomic_write(file) as part, atomic_write(texts) as side, ExitStack() as closing:
        side.write_text(snap_text(labels), encoding="utf-8", newline="\n")
        raw = closing.enter_context(part.open("wb"))
        out: IO[bytes] = raw
        if file.name.lower().endswith(".gz"):
            # No time in it, so that the same masks give the same file.
            out = cast("IO[bytes]", gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0))
            closing.callback(out.close)
        header.write_to(out)
        out.write(bytes(int(header["vox_offset"]) - out.tell()))
        dtype = header.get_data_dtype()
        for index in range(masks.shape[0]):
            out.write(np.ascontiguousarray(masks[index], dtype).tobytes())
    return file


def check_beside(path: Path) -> None:
    """Raise ``OutputError`` where the file for ITK-SNAP would take the place of one that somebody else made."""
    beside = label_file(path)
    if beside.exists() and not is_ours(beside):
        raise OutputError(
            f"The names of the labels go into '{beside}', but that file is there and not of this program; rename it, "
            "or give the masks another name."
        )


def label_file(path: Path) -> Path:
    """``NAME.labels.txt`` of ``NAME.nii`` or ``NAME.nii.gz``."""
    name = path.name
    suffix = next((end for end in reversed(SUFFIXES) if name.lower().endswith(end)), None)
    if suffix is None:
        raise InputError(f"{name} should end in {' or '.join(SUFFIXES)}; rename it.")
    return path.with_name(f"{name[: -len(suffix)]}.labels.txt")


def _header(masks: ArrayLike, info: StackInfo, labels: Sequence[Label]) -> Any:
    nibabel = need("nibabel", "nifti", "Writing NIfTI")
    count, rows, columns = (int(length) for length in masks.shape)
    short = max(masks.shape) < _SHORT
    header = nibabel.Nifti1Header() if short else nibabel.Nifti2Header()
    timed = is_time(info.units[0])
    header.set_data_dtype(smallest_type(largest_id(masks)))
    header.set_data_shape((columns, rows, 1, count) if timed else (columns, rows, count))
    header.set_xyzt_units("mm", "sec" if timed else None)
    _place(header, affine_of(info)[:, [2, 1, 0, 3]])
    if timed:
        header["pixdim"][4] = convert(info.spacing[0], info.units[0], "s")
        header["toffset"] = convert(info.origin.offset[0], info.units[0], "s")
    header["intent_code"] = 1002  # NIFTI_INTENT_LABEL
    header["descrip"] = b"napari-salt masks"
    text = label_text.info_line(
        {label.label_id: label.name for label in labels},
        {label.label_id: label.color for label in labels},
    )
    header.extensions.append(nibabel.nifti1.Nifti1Extension(_COMMENT, text.encode()))
    return header


def _place(header: Any, affine: NDArray[np.float64]) -> None:
    """Both forms where axes are at right angles; a sheared place fits only the sform."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    upright = np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner" if upright else "unknown", strip_shears=True)
