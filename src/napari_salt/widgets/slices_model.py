"""Item model of the table of slices; sorts thousands of rows at once, in numpy."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_salt import wording
from napari_salt.session.coverage import COMPLETE, OUTDATED, PAINTED, PREDICTED, SKIPPED, in_words
from napari_salt.session.slice_table import NO_AREA, SliceTable
from napari_salt.widgets.plain import plain_text

SLICE, PAINT, PREDICTION, UNCERTAINTY, FIRST_LABEL = range(5)
_TITLES = ("Slice", "Paint", "Prediction", "Uncertainty")
_TIPS = (
    "Number of the slice; click a row to go there",
    "What you have said about the slice",
    "Whether the slice is predicted by the adapter in use",
    "Mean uncertainty of the prediction: 0 sure, 1 undecided",
)
_EMPTY = SliceTable((), np.zeros((0, 0), np.int64), np.zeros(0), b"")


class SlicesModel(QAbstractTableModel):
    """Rows of a `SliceTable` in any order; unknown values always stand last."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = _EMPTY
        self._order = np.zeros(0, np.intp)
        self._places = np.zeros(0, np.intp)
        self._column, self._direction = SLICE, Qt.SortOrder.AscendingOrder

    def table(self) -> SliceTable:
        """The table shown."""
        return self._table

    def setTable(self, table: SliceTable | None) -> None:
        """Show another table in the order chosen last."""
        table = table or _EMPTY
        before = self._table
        same = (len(table), table.labels, table.unit) == (len(before), before.labels, before.unit)
        if not same:
            self.beginResetModel()
        self._table = table
        self._put_in_order()
        if not same:
            self.endResetModel()
        else:
            self._tell()

    def sliceAt(self, row: int) -> int:
        """Slice of a row."""
        return int(self._order[row])

    def rowOf(self, index: int) -> int:
        """Row of a slice; -1 when there is none."""
        return int(self._places[index]) if 0 <= index < len(self._places) else -1

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self._column, self._direction = column, order
        self._put_in_order()
        self._tell()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of slices."""
        return 0 if parent is not None and parent.isValid() else len(self._table)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Slice, paint, prediction, uncertainty, then the labels."""
        return FIRST_LABEL + len(self._table.labels)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Titles and tooltips of the columns."""
        if orientation != Qt.Orientation.Horizontal or section >= self.columnCount():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._title(section)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(section)
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, alignment or tooltip of a cell."""
        if not index.isValid():
            return None
        place, column = self.sliceAt(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(place, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            words = column in (PAINT, PREDICTION)
            side = Qt.AlignmentFlag.AlignLeft if words else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._cell_tip(place, column)
        return None

    # ---- words

    def _title(self, column: int) -> str:
        if column < FIRST_LABEL:
            return _TITLES[column]
        unit = f"{wording.unit_sign(self._table.unit)}²" if self._table.unit else "pixels"
        return f"{self._table.labels[column - FIRST_LABEL]} ({unit})"

    def _tip(self, column: int) -> str:
        if column < FIRST_LABEL:
            return _TIPS[column]
        name = self._table.labels[column - FIRST_LABEL]
        return plain_text(
            f"Area of “{name}”: as painted on complete slices, as predicted on others"
        )

    def _text(self, place: int, column: int) -> str:
        bits = self._table.flags[place]
        if column == SLICE:
            return str(place)
        if column == PAINT:
            if bits & COMPLETE:
                return "complete"
            return "painted" if bits & PAINTED else "skipped" if bits & SKIPPED else ""
        if column == PREDICTION:
            return "out of date" if bits & OUTDATED else "predicted" if bits & PREDICTED else ""
        if column == UNCERTAINTY:
            value = float(self._table.uncertainty[place])
            return "" if math.isnan(value) else f"{value:.3f}"
        area = int(self._table.areas[place, column - FIRST_LABEL])
        if area == NO_AREA:
            return ""
        return _number(area * self._table.pixel_area) if self._table.unit else str(area)

    def _cell_tip(self, place: int, column: int) -> str:
        if column >= FIRST_LABEL:
            area = int(self._table.areas[place, column - FIRST_LABEL])
            if area != NO_AREA:
                return f"{area} pixels on slice {place}"
        return f"slice {place}: {in_words(self._table.flags[place])}"

    # ---- order

    def _put_in_order(self) -> None:
        keys, unknown = self._keys()
        keys = np.where(unknown, np.inf, keys if self._rising else -keys)
        self._order = np.argsort(keys, kind="stable")
        self._places = np.empty_like(self._order)
        self._places[self._order] = np.arange(len(self._order))

    @property
    def _rising(self) -> bool:
        return self._direction == Qt.SortOrder.AscendingOrder

    def _keys(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """A number for each slice, and which of them are unknown."""
        table, column = self._table, self._column
        known = np.zeros(len(table), bool)
        flags = np.frombuffer(table.flags, np.uint8)
        if column == PAINT:
            said = flags & (PAINTED | COMPLETE)
            return said.astype(float), said == 0
        if column == PREDICTION:
            value = np.where(flags & OUTDATED, 1.0, 2.0)
            return value, (flags & PREDICTED) == 0
        if column == UNCERTAINTY:
            return table.uncertainty, np.isnan(table.uncertainty)
        if FIRST_LABEL <= column < self.columnCount():
            areas = table.areas[:, column - FIRST_LABEL]
            return areas.astype(float), areas == NO_AREA
        return np.arange(len(table), dtype=float), known

    def _tell(self) -> None:
        if len(self._table):
            last = self.index(len(self._table) - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)


def _number(value: float) -> str:
    """Four digits or more, never as a power of ten: areas stand below each other."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
