"""Item model of the label table: frozen rows in, edits out as signals."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QColor

from napari_salt.views import LabelRow
from napari_salt.widgets.plain import plain_text

COLOR, NAME, SLICES, KEY, REMOVE = range(5)
_TIPS = {
    COLOR: "Click to choose another colour, or press Space",
    NAME: "Double-click or press F2 to rename; the name is the prompt that finds the label again",
    SLICES: "Slices that carry paint of this label",
    KEY: "Key that selects this label",
    REMOVE: "Delete this label and its paint (Del)",
}


def slices_text(count: int) -> str:
    """``12 slices`` in words; a dash for none."""
    return "–" if count == 0 else f"{count} slice{'' if count == 1 else 's'}"


class LabelModel(QAbstractTableModel):
    """Rows of the label table; a rename is asked for, never done here."""

    renameRequested = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[LabelRow, ...] = ()

    def rows(self) -> tuple[LabelRow, ...]:
        """The rows shown."""
        return self._rows

    def setRows(self, rows: tuple[LabelRow, ...]) -> None:
        """Show other rows; keeps selection and editors when only the content of rows changes."""
        same = [row.label_id for row in rows] == [row.label_id for row in self._rows]
        if same:
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, REMOVE))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def place(self, label_id: int | None) -> int:
        """Row of a label id; -1 when there is none."""
        return next((i for i, row in enumerate(self._rows) if row.label_id == label_id), -1)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of labels, background included."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Colour, name, slices, key, remove."""
        return 5

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, colour, alignment or tooltip of a cell; that of a name has the name, which may be cut off."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == COLOR:
            return QColor.fromRgbF(*row.color)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (SLICES, KEY, REMOVE):
            side = Qt.AlignmentFlag.AlignCenter if column == REMOVE else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Only the names of labels can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.isValid() and index.column() == NAME and not self._rows[index.row()].fixed:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for a rename; the row changes when the session agrees."""
        row = self._rows[index.row()]
        name = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not name or name == row.name:
            return False
        self.renameRequested.emit(row.label_id, name)
        return True

    @staticmethod
    def _text(row: LabelRow, column: int) -> str:
        texts = {
            NAME: row.name,
            SLICES: slices_text(row.slices),
            KEY: row.key,
            REMOVE: "" if row.fixed else "×",
        }
        return texts.get(column, "")

    @staticmethod
    def _tip(row: LabelRow, column: int) -> str:
        if row.fixed and column in (COLOR, NAME, REMOVE):
            return (
                "Paint what is none of the labels with this.\n"
                "Tick “complete” when everything unpainted on a slice is background."
            )
        return plain_text(f"{row.name}\n{_TIPS[NAME]}") if column == NAME else _TIPS[column]
