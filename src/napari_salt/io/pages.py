"""Pages of a TIFF as an array that reads a page when it is asked for it."""

from __future__ import annotations

import math
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE, check_room, one_line
from napari_salt.io.planewise import PlanewiseArray

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries


class Pages(PlanewiseArray):
    """Array over the pages of a series; integers on the leading axes pick pages.

    The file stays open as long as the object lives. Reading is safe from several threads.
    """

    def __init__(self, tif: TiffFile, series: TiffPageSeries, name: str) -> None:
        self._series, self._name = series, name
        weakref.finalize(self, tif.close)
        self._lock = threading.Lock()
        shape = tuple(int(length) for length in series.shape)
        super().__init__(shape, series.dtype, _leading_axes(shape, len(series.pages)))

    def _page(self, at: int) -> NDArray[Any]:
        """One page; pages that a file leaves out are zeros."""
        inner = self.shape[self._leading :]
        check_room(math.prod(inner) * self.dtype.itemsize, f"Page {at} of {self._name}")
        try:
            page = self._series.pages[at]
            if page is None:
                return np.zeros(inner, self.dtype)
            with self._lock:
                pixels = self._decode(page)
            if pixels.size != math.prod(inner):
                raise ValueError(f"{pixels.size} pixels")
        except UNREADABLE as error:
            raise InputError(
                f"Page {at} of {self._name} cannot be read ({one_line(error)}); the file may be cut short."
            ) from error
        return pixels

    def _decode(self, page: Any) -> NDArray[Any]:
        """Pixels of a page; the other files of an OME set are opened only for as long as that takes."""
        file = page.parent.filehandle
        if not file.closed:
            return np.asarray(page.asarray())
        file.open()
        try:
            return np.asarray(page.asarray())
        finally:
            file.close()


def _leading_axes(shape: tuple[int, ...], pages: int) -> int:
    """How many leading axes count pages: as many as multiply up to them, without trailing ones."""
    for leading in range(len(shape) - 1):
        if math.prod(shape[:leading]) == pages:
            return leading
    raise InputError(
        f"The TIFF holds {pages} pages for an array of shape {shape}; save it again as a plain stack."
    )
