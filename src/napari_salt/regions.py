"""Parts of slices that are too large to be held whole: who can hand them out, and for whom it is done."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from napari_salt.records import Planes, StackInfo

LARGE = 2048 * 2048
"""Values of a slice (pixels times channels) above which it is read, segmented and kept part by part."""


@runtime_checkable
class RegionPlanes(Planes, Protocol):
    """Planes of which a part can be read without the rest."""

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Pixels of slice ``index`` inside ``rows`` and ``columns``: (h, w) or (h, w, C), in the stack's dtype."""
        ...


def is_large(info: StackInfo) -> bool:
    """Whether the slices of a stack are worked on part by part."""
    _, height, width = info.shape
    return height * width * info.channels > LARGE


def with_regions(planes: Planes) -> RegionPlanes:
    """``planes`` themselves where they read parts, else something that cuts the parts out of whole planes."""
    return planes if isinstance(planes, RegionPlanes) else CutPlanes(planes)


class CutPlanes:
    """Cuts regions out of planes that come whole; the last plane that was cut is kept."""

    def __init__(self, planes: Planes) -> None:
        self._planes = planes
        self._last: tuple[int, NDArray[Any]] | None = None

    @property
    def info(self) -> StackInfo:
        """Geometry of the stack."""
        return self._planes.info

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)``."""
        return self._planes.plane(index)

    def region(self, index: int, rows: slice, columns: slice) -> NDArray[Any]:
        """A view of a part of slice ``index``."""
        last = self._last
        if last is None or last[0] != index:
            last = self._last = (index, self.plane(index))
        return last[1][rows, columns]
