"""Parts of a TIFF page unpacked by Pillow and numcodecs, for compressions that tifffile leaves to imagecodecs."""

from __future__ import annotations

import copy
import io
import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tifffile
from numcodecs import zstd
from PIL import Image

from napari_salt.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREDICTORS = (1, 2)
_WIDTHS = (1, 8, 16, 32, 64)
"""Values of the tag Predictor (none, differences) and bits of a sample that tifffile unpacks without imagecodecs."""


def unpacked_by(page: tifffile.TiffPage) -> str:
    """Package that unpacks the parts of a page: ``"tifffile"``, ``"imagecodecs"``, or ``""``, which is this module."""
    try:
        unpack = tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        return ""
    package = str(getattr(unpack, "__module__", "")).partition(".")[0]
    # What tifffile has of its own for Zstandard needs Python 3.14.
    return "" if package == "tifffile" and _kind(page) == "ZSTD" else package


def check_unpacked(page: tifffile.TiffPage, name: str) -> None:
    """``MissingExtra`` where the pixels of a page can be unpacked by imagecodecs only, and it is not there."""
    package, kind = unpacked_by(page), _kind(page)
    if package == "imagecodecs":
        return
    what = "" if package or kind in _UNPACK else f"is compressed with {kind}"
    if not what and kind != "JPEG":
        bits = page.bitspersample
        if page.predictor not in _PREDICTORS or bits not in _WIDTHS:
            what = f"keeps its pixels, of {bits} bits, in a way that few programs use"
    if what:
        raise MissingExtra(
            f"{name} {what}; install the package imagecodecs, or save the file without compression."
        )


def unpack_here(page: tifffile.TiffPage) -> None:
    """Have the parts of a page unpacked by this module, where nothing else does.

    ``TiffPage.decode`` becomes one that unpacks a part, and leaves types, predictor and place of what comes out to
    that of the same page without compression.
    """
    kind = _kind(page)
    if kind not in _UNPACK or "decode" in vars(page) or unpacked_by(page):
        return
    bare, unpack = copy.copy(page), _UNPACK[kind]
    vars(bare).pop("hash", None)
    bare.compression, bare.subsampling = tifffile.COMPRESSION.NONE, (1, 1)
    place = bare.decode

    def decode(
        data: bytes | None, index: int, /, **options: Any
    ) -> tuple[NDArray[Any] | None, tuple[int, int, int, int, int], tuple[int, int, int, int]]:
        if data is not None:
            _, _, (depth, rows, columns, samples) = place(None, index)
            row = math.ceil(columns * samples * page.bitspersample / 8)
            data = unpack(page, data, depth * rows * row, options)
        return place(data, index, **options)

    page.decode = decode


def _kind(page: tifffile.TiffPage) -> str:
    """Name of a compression, as tifffile calls it."""
    return str(getattr(page.compression, "name", page.compression))


def _by_libtiff(page: tifffile.TiffPage, data: bytes, size: int, options: dict[str, Any]) -> bytes:
    """LZW: to Pillow's libtiff the part is a TIFF of its own, of one row of ``size`` bytes."""
    del page, options
    # ImageWidth, ImageLength, BitsPerSample, Compression, Photometric, offset, samples, rows, length
    tags = {256: size, 257: 1, 258: 8, 259: 5, 262: 1, 273: 0, 277: 1, 278: 1, 279: len(data)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    with Image.open(io.BytesIO(head + data), formats=["TIFF"]) as picture:
        return picture.tobytes()


def _by_libjpeg(page: tifffile.TiffPage, data: bytes, size: int, options: dict[str, Any]) -> bytes:
    """JPEG: what parts share is put before each; whether three samples are red, green and blue, the page tells."""
    del size
    shared, head = options.get("jpegtables"), options.get("jpegheader")
    if head:
        data = head + data + b"\xff\xd9"
    elif shared:
        data = shared[:-2] + data[2:]
    coded = page.photometric == tifffile.PHOTOMETRIC.YCBCR
    told = b"\xff\xee\x00\x0eAdobe\x00\x64" + bytes(4) + bytes([coded])
    with Image.open(io.BytesIO(data[:2] + told + data[2:]), formats=["JPEG"]) as picture:
        if picture.mode not in ("L", "RGB"):
            raise ValueError(f"a JPEG of the mode {picture.mode}")
        return picture.tobytes()


def _by_zstd(page: tifffile.TiffPage, data: bytes, size: int, options: dict[str, Any]) -> bytes:
    """Zstandard, to no more than ``size`` bytes."""
    del page, options
    return bytes(zstd.decompress(data, bytearray(size)))


_UNPACK: dict[str, Callable[[tifffile.TiffPage, bytes, int, dict[str, Any]], bytes]] = {
    "LZW": _by_libtiff,
    "JPEG": _by_libjpeg,
    "ZSTD": _by_zstd,
}
