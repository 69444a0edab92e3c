"""NIfTI and Analyze in, by nibabel: one slice at a time, with its place in the world."""

from __future__ import annotations

import math
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io import label_text
from napari_salt.io.damage import one_line, unreadable
from napari_salt.io.opened import Opened
from napari_salt.io.planewise import PlanewiseArray
from napari_salt.io.rescale import real_dtype, to_real
from napari_salt.io.units import PIXEL, convert
from napari_salt.io.world import usable
from napari_salt.optional import need
from napari_salt.records import Color, Origin

SUFFIXES = (".nii", ".nii.gz", ".img", ".hdr", ".img.gz")
IN_MEMORY = 512 * 2**20
"""Compressed pixels up to this many bytes, unpacked, are kept in memory once a slice is asked for."""

_AXES = "XYZTC"
_NOWHERE = "The place of the file in the world cannot be used (its axes have no length, or lie along one line)."
_COMMENT = 6
"""Code of a header extension that is text."""
_UNITS = {"meter": "m", "mm": "mm", "micron": "um", "sec": "s", "msec": "ms", "usec": "us"}


def open_nifti(path: Path) -> Opened:
    """Open a NIfTI or Analyze image as slices along its third axis, time being T and vectors C.

    The array is (k, j, i) of the stored one: slices, rows, columns, turned but never flipped, so that
    ``Origin.affine`` is the file's own with its first and third columns exchanged. Slope and intercept are
    applied. Names and colours of labels are those of our own comment in the header. Lengths without a unit are
    millimetres where the file has an affine, else pixels.

    A slice of an uncompressed file is read by itself. Of a compressed one, everything up to it must be unpacked:
    up to 512 MiB are unpacked once, when the first slice is asked for, and kept in memory; of larger ones the
    file stays open, so that slices in their order are read in one go, while going back starts again (fast, too,
    where the package indexed_gzip is installed).

    Raises
    ------
    InputError
        When the file is no such image, or is cut short.
    MissingExtra
        Without nibabel.
    """
    nibabel = need("nibabel", "nifti", "Reading NIfTI")
    _check_both(path)
    try:
        image = nibabel.load(path)
        proxy, affine = image.dataobj, image.affine
    except unreadable() as error:
        raise InputError(
            f"{path.name} cannot be read as NIfTI ({one_line(error)}); it may be damaged, so copy it again."
        ) from error
    if not isinstance(proxy, nibabel.arrayproxy.ArrayProxy) or len(proxy.shape) > len(_AXES):
        raise InputError(f"{path.name} is no image of voxels (its shape is {image.shape}).")
    data = _Slices(proxy, path.name)
    axes = _AXES[: len(data.stored_shape)][::-1] + "S" * data.color
    fine = affine is not None and usable(affine) is not None
    sizes, units = _sizes(image.header, affine if fine else None, axes)
    place = _in_mm(affine, units.get("X", "mm"))[:, [2, 1, 0, 3]] if fine else None
    return Opened(
        data,
        axes,
        path.name.removesuffix(".gz").removesuffix(path.with_suffix("").suffix or path.suffix),
        sizes,
        units,
        *_texts(image.header),
        Origin(
            str(path.absolute()),
            "nifti",
            None if place is None else usable(place),
            placed=_says_its_place(image.header),
        ),
        note="" if fine or affine is None else _NOWHERE,
    )


def _check_both(path: Path) -> None:
    """``InputError`` where one file of a pair (``.hdr``, ``.img``) is without the other."""
    packed = path.suffix.lower() == ".gz"
    bare = path.with_suffix("") if packed else path
    other = {".hdr": ".img", ".img": ".hdr"}.get(bare.suffix.lower())
    if other is None:
        return
    endings = (other, other.upper(), f"{other}.gz", f"{other.upper()}.GZ")
    if not any(bare.with_suffix(ending).exists() for ending in endings):
        raise InputError(
            f"{path.name} is one of two files, and {bare.with_suffix(other).name} is not beside it; put both into one "
            "folder."
        )


class _Slices(PlanewiseArray):
    """The stored array turned over: (…, k, j, i), or (…, k, j, i, 3) in colour."""

    def __init__(self, proxy: Any, name: str) -> None:
        stored = [int(length) for length in proxy.shape]
        while len(stored) > 3 and stored[-1] == 1:
            stored.pop()
        stored += [1] * (2 - len(stored))
        self.stored_shape = tuple(stored)
        dtype = np.dtype(proxy.dtype)
        self.color = dtype.names == ("R", "G", "B")
        shape = self.stored_shape[::-1]
        self._scaling = (float(proxy.slope), float(proxy.inter))
        if self.color:
            super().__init__((*shape, 3), np.uint8, len(shape) - 2)
        else:
            low, high = _range(dtype)
            kept = real_dtype(dtype.newbyteorder("="), low, high, [self._scaling])
            super().__init__(shape, kept, len(shape) - 2)
        self._name = name
        self._lock = threading.Lock()
        self._raw = _unscaled(proxy, keep_open=str(proxy.file_like).lower().endswith(".gz"))
        self._check_length(proxy, name)

    def _page(self, at: int) -> NDArray[Any]:
        outer = self.stored_shape[2:]
        place = np.unravel_index(at, outer[::-1])[::-1] if outer else ()
        key = (slice(None), slice(None), *(int(index) for index in place))
        key += (0,) * (len(self._raw.shape) - len(key))
        try:
            with self._lock:
                stored = np.asarray(self._pixels[key]).reshape(self.stored_shape[:2])
        except unreadable() as error:
            raise InputError(
                f"Slice {at} of {self._name} cannot be read ({one_line(error)}); the file may be cut short, so "
                "copy it again."
            ) from error
        if self.color:
            return np.stack([stored[part].T for part in "RGB"], axis=-1)
        return to_real(stored.T, self._scaling, self.dtype)

    @cached_property
    def _pixels(self) -> Any:
        """Stored pixels: in memory where that is cheaper than unpacking again, else in the file."""
        small = math.prod(self._raw.shape) * self._raw.dtype.itemsize <= IN_MEMORY
        compressed = str(self._raw.file_like).lower().endswith(".gz")
        return self._raw.get_unscaled() if compressed and small else self._raw

    @staticmethod
    def _check_length(proxy: Any, name: str) -> None:
        file = Path(str(proxy.file_like))
        if file.suffix.lower() == ".gz":
            return
        wanted = proxy.offset + math.prod(proxy.shape) * np.dtype(proxy.dtype).itemsize
        if file.stat().st_size < wanted:
            raise InputError(f"{name} is cut short: it ends before its last slice; copy it again.")


def _unscaled(proxy: Any, *, keep_open: bool) -> Any:
    """The same pixels as they are stored, by a proxy that keeps a compressed file open."""
    return type(proxy)(
        proxy.file_like, (proxy.shape, proxy.dtype, proxy.offset), keep_file_open=keep_open
    )


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind not in "iu":
        return 0, 0
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _sizes(header: Any, affine: Any, axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Size and unit by letter; those in space are the steps of the affine."""
    # Numbers are stored in single precision: six digits are certain.
    zooms = [float(f"{abs(float(value)):.6g}") for value in header.get_zooms()]
    if affine is not None:
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        zooms[:3] = [float(f"{step:.6g}") for step in steps[: len(zooms)]]
    space, time = header.get_xyzt_units() if hasattr(header, "get_xyzt_units") else ("mm", "")
    placed = not hasattr(header, "get_xyzt_units") or _says_its_place(header)
    length = _UNITS.get(space, "mm" if placed else PIXEL)
    units = dict.fromkeys("XYZ", length) | {"T": _UNITS.get(time, PIXEL)}
    sizes = dict(zip(_AXES[:4], zooms, strict=False))
    return (
        {letter: size for letter, size in sizes.items() if letter in axes},
        {letter: unit for letter, unit in units.items() if letter in axes},
    )


def _says_its_place(header: Any) -> bool:
    """Whether one of the two forms of NIfTI is in use; Analyze has none."""
    return hasattr(header, "get_xyzt_units") and any(
        int(header[code]) > 0 for code in ("qform_code", "sform_code")
    )


def _texts(header: Any) -> tuple[dict[int, str], dict[int, Color]]:
    """Names and colours of labels, as our masks have them in a comment of the header."""
    for extension in getattr(header, "extensions", ()):
        if extension.get_code() == _COMMENT:
            content = extension.get_content()
            text = content.decode(errors="replace") if isinstance(content, bytes) else str(content)
            names, colors = label_text.from_info(text.rstrip("\0"))
            if names or colors:
                return names, colors
    return {}, {}


def _in_mm(affine: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """An affine in millimetres; lengths without a unit are taken as such."""
    factor = convert(1.0, unit, "mm") or 1.0
    scaled = np.array(affine, np.float64)
    scaled[:3] *= factor
    return scaled
