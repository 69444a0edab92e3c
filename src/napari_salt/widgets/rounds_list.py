"""The rounds so far; any of them can be restored."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_salt.widgets.action_button import ActionButton

if TYPE_CHECKING:
    from napari_salt.views import RoundRow

_NUMBER = Qt.ItemDataRole.UserRole
_MOST_ROWS, _ROW_HEIGHT = 5, 22
_HEADERS = ("", "Round", "Slices", "Dice", "Time", "Size")


class RoundsList(QWidget):
    """Table of rounds; ``value`` is the number of the selected one."""

    restoreRequested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = QTreeWidget(self)
        self._list.setHeaderLabels(list(_HEADERS))
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setAccessibleName("rounds")
        header = self._list.header()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(16)
        header.setStyleSheet("QHeaderView::section { background: transparent; border: 0px; }")
        self._list.itemDoubleClicked.connect(self._restore)
        self._list.itemSelectionChanged.connect(self._update_button)
        self._restore_button = ActionButton(
            "Restore", "Use the adapter of the selected round to segment and to go on adapting"
        )
        self._restore_button.clicked.connect(self._restore)
        self._why_not = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._list)
        layout.addWidget(self._restore_button)
        self._update_button()

    def value(self) -> int | None:
        """Number of the selected round, or None."""
        items = self._list.selectedItems()
        return int(items[0].data(0, _NUMBER)) if items else None

    def setRows(self, rows: tuple[RoundRow, ...]) -> None:
        """Show these rounds, the newest first, and keep the selection."""
        selected = self.value()
        self._list.clear()
        for row in reversed(rows):
            mark = "●" if row.active else ""
            texts = [mark, str(row.number), str(row.slices), row.dice, row.time, row.size]
            item = QTreeWidgetItem(texts)
            item.setData(0, _NUMBER, row.number)
            for column in range(len(texts)):
                item.setToolTip(column, row.detail)
            self._list.addTopLevelItem(item)
            item.setSelected(row.number == selected)
        shown = min(max(len(rows), 1), _MOST_ROWS)
        self._list.setFixedHeight((shown + 1) * _ROW_HEIGHT + 6)
        self._update_button()

    def count(self) -> int:
        """Number of rounds shown."""
        return self._list.topLevelItemCount()

    def setAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Allow restoring, or say why not."""
        self._why_not = "" if enabled else why_not or "A job is running."
        self._update_button()

    def _update_button(self) -> None:
        why_not = self._why_not or ("" if self.value() else "Select a round first.")
        self._restore_button.setAvailable(not why_not, why_not)

    def _restore(self) -> None:
        number = self.value()
        if number is not None and not self._why_not:
            self.restoreRequested.emit(number)
