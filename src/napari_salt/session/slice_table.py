"""The slices of a session as a table: areas of labels, uncertainty, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.geometry import part_filled
from napari_salt.session.coverage import COMPLETE, coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import StackInfo
    from napari_salt.session.session import Session

NO_AREA = -1
"""Area of a label on a slice that is neither complete nor predicted."""


@dataclass(frozen=True, eq=False)
class SliceTable:
    """One row for each slice.

    Attributes
    ----------
    labels
        Names of the columns of ``areas``.
    areas
        ``(N, K)`` int64 pixels: as painted on complete slices, as predicted on others, else
        ``NO_AREA``.
    uncertainty
        ``(N,)`` float64, mean over the slice, 0 = sure, 1 = undecided; NaN without a prediction.
    flags
        ``(N,)`` bytes as in `coverage`.
    pixel_area, unit
        Area of a pixel in ``unit``²; ``unit`` is empty where the spacing has none.
    """

    labels: tuple[str, ...]
    areas: NDArray[np.int64]
    uncertainty: NDArray[np.float64]
    flags: bytes
    pixel_area: float = 1.0
    unit: str = ""

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.flags)


def pixel_area(info: StackInfo) -> tuple[float, str]:
    """Area of a pixel and its unit of length; ``(1, "")`` where rows and columns share none."""
    rows, columns = info.units[1:]
    if rows != columns or rows == "pixel":
        return 1.0, ""
    return info.spacing[1] * info.spacing[2] * part_filled(info.origin, 2), rows


class PaintedAreas:
    """Areas of the labels painted on slices, counted once and again only after a change."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counts: dict[int, dict[int, int]] = {}
        session.annotations.changed.connect(self._forget)

    def of(self, index: int) -> dict[int, int]:
        """Pixels of each label id painted on a slice."""
        if index not in self._counts:
            plane = self._session.annotations.paint[index]
            ids, counts = np.unique(plane, return_counts=True)
            self._counts[index] = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        return self._counts[index]

    def close(self) -> None:
        """Let go of the session."""
        self._session.annotations.changed.disconnect(self._forget)

    def _forget(self, index: int) -> None:
        self._counts.pop(index, None)


def slice_table(session: Session, painted: PaintedAreas) -> SliceTable:
    """The table of a session as it is now."""
    labels, count = tuple(session.labels), len(session.stack)
    areas = np.full((count, len(labels)), NO_AREA, np.int64)
    uncertainty = np.full(count, np.nan)
    for index, summary in session.summaries.items():
        uncertainty[index] = summary.uncertainty
        areas[index] = [summary.areas.get(label.label_id, 0) for label in labels]
    flags = coverage(session)
    for index in np.flatnonzero(np.frombuffer(flags, np.uint8) & COMPLETE).tolist():
        found = painted.of(index)
        areas[index] = [found.get(label.label_id, 0) for label in labels]
    area, unit = pixel_area(session.stack.info)
    names = tuple(label.name for label in labels)
    return SliceTable(names, areas, uncertainty, flags, area, unit)
