"""Pages of a TIFF decoded by Pillow, for compressions that tifffile leaves to imagecodecs."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, one_line
from napari_salt.io.pages import Pages

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

DECODES = ("LZW", "JPEG")
"""Names of the compressions, as tifffile calls them."""


class PillowPages(Pages):
    """As ``Pages``; Pillow's libtiff turns each page into pixels."""

    def __init__(self, tif: TiffFile, series: TiffPageSeries, name: str, path: Path) -> None:
        super().__init__(tif, series, name)
        try:
            self._frames = Image.open(path)
        except UNREADABLE as error:
            raise InputError(
                f"{name} cannot be decoded ({one_line(error)}); save it without compression."
            ) from error
        weakref.finalize(self, self._frames.close)

    def _decode(self, page: Any) -> NDArray[Any]:
        self._frames.seek(int(page.index))
        if self._frames.size != tuple(page.shape[1::-1]):
            raise ValueError(f"a frame of {self._frames.size} pixels")
        pixels = np.asarray(self._frames)
        if pixels.shape != tuple(page.shape) or pixels.dtype.newbyteorder("=") != self.dtype:
            raise ValueError(f"decoded as {pixels.dtype} of shape {pixels.shape}")
        return pixels
