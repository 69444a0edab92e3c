"""Large pages of a TIFF as an array that reads only the tiles or strips that it is asked for."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, check_room, one_line
from napari_salt.io.lazy_array import LazyArray
from napari_salt.regions import LARGE

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries


class Tiles(LazyArray):
    """Array over a series, by tifffile's own view of its tiles as chunks.

    The file stays open as long as the object lives. Reading is safe from several threads.
    """

    def __init__(self, tif: TiffFile, series: TiffPageSeries, name: str) -> None:
        super().__init__(series.shape, series.dtype)
        self._name = name
        weakref.finalize(self, tif.close)
        tif.filehandle.set_lock(True)
        self._array = zarr.open_array(series.aszarr(level=0), mode="r")
        check_room(math.prod(self._array.chunks) * self.dtype.itemsize, f"A tile of {name}")

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Basic indexing; only the tiles that are touched are read."""
        try:
            return np.asarray(self._array[key])
        except UNREADABLE as error:
            raise InputError(
                f"A part of {self._name} cannot be read ({one_line(error)}); the file may be cut short."
            ) from error


def worth_tiles(series: TiffPageSeries) -> bool:
    """Whether pages are large and lie in one file, in parts that can be read by themselves."""
    page = series.keyframe
    parts = len(page.dataoffsets)
    if math.prod(page.shape) <= LARGE or parts <= 1 or parts != math.prod(page.chunked):
        return False
    return all(one is not None and one.parent is page.parent for one in series.pages)
