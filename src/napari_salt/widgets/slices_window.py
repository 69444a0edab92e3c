"""The table of slices in a window of its own."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QModelIndex, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.plain import PlainLabel
from napari_salt.widgets.slices_model import SlicesModel
from napari_salt.widgets.text_font import follow_text, row_height

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_salt.session.slice_table import SliceTable

_INTERVAL = 500
"""Milliseconds between looks at what has changed."""


class SlicesWindow(QWidget):
    """One row a slice, sortable; the row of the slice on screen is selected.

    While it is shown it asks for news twice a second; hidden it costs nothing.
    """

    goRequested = Signal(int)
    exportRequested = Signal()
    newsRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Slices")
        self._current: int | None = None
        self._model = SlicesModel(self)
        self._rows = QTableView(self)
        self._build_rows()
        self._count = PlainLabel(self)
        follow_text(self, self._count)
        self._export = ActionButton("Save as CSV…", "Write this table to a file for spreadsheets")
        self._export.clicked.connect(self.exportRequested)
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL)
        self._timer.timeout.connect(self.newsRequested)
        line = QHBoxLayout()
        line.addWidget(self._count, 1)
        line.addWidget(self._export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self._rows, 1)
        layout.addLayout(line)
        self.setTable(None)

    def sizeHint(self) -> QSize:
        """Room for a few labels and many slices."""
        return QSize(560, 480)

    def changeEvent(self, event: QEvent | None) -> None:
        """Make rows and columns as large as another font wants them."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            side = self._rows.verticalHeader()
            assert side is not None
            side.setDefaultSectionSize(row_height(self))
            self._fit_columns()

    def model(self) -> SlicesModel:
        """The item model behind the rows."""
        return self._model

    def setTable(self, table: SliceTable | None) -> None:
        """Show another table; order and selection stay."""
        columns = self._model.columnCount()
        was_blocked = self._block(True)
        self._model.setTable(table)
        self._block(was_blocked)
        if self._model.columnCount() != columns:
            self._fit_columns()
        count = len(self._model.table())
        self._count.setText(
            f"{count} slices; click a row to go there" if count else "Open an image first."
        )
        self._export.setAvailable(count > 0, "Open an image first.")
        self._select()

    def setCurrent(self, index: int | None) -> None:
        """Mark the row of the slice on screen without telling anyone."""
        if index != self._current:
            self._current = index
            if self.isVisible():
                self._select()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for the table and go on asking."""
        super().showEvent(event)
        self._select()
        self._timer.start()
        self.newsRequested.emit()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Ask no more."""
        self._timer.stop()
        super().hideEvent(event)

    def _build_rows(self) -> None:
        view = self._rows
        view.setModel(self._model)
        view.setSortingEnabled(True)
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setTabKeyNavigation(False)
        view.setShowGrid(False)
        view.setAlternatingRowColors(False)
        view.setWordWrap(False)
        view.setAccessibleName("table of slices")
        view.setToolTip("Click a row to go to its slice, a title to sort by it")
        header, side, selection = (
            view.horizontalHeader(),
            view.verticalHeader(),
            view.selectionModel(),
        )
        assert header is not None
        assert side is not None
        assert selection is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setHighlightSections(False)
        header.sortIndicatorChanged.connect(self._select)
        side.hide()
        side.setDefaultSectionSize(row_height(self))
        side.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        selection.currentRowChanged.connect(self._on_row)
        view.clicked.connect(self._on_row)

    def _fit_columns(self) -> None:
        """Wide enough for the titles; the cells are never measured, there may be thousands."""
        metrics = self._rows.fontMetrics()
        for column in range(self._model.columnCount()):
            title = str(self._model.headerData(column, Qt.Orientation.Horizontal))
            wanted = metrics.horizontalAdvance(title) + 34
            self._rows.setColumnWidth(column, max(wanted, metrics.horizontalAdvance("0" * 10)))

    def _select(self) -> None:
        row = -1 if self._current is None else self._model.rowOf(self._current)
        was_blocked = self._block(True)
        if row < 0:
            self._rows.clearSelection()
            self._rows.setCurrentIndex(QModelIndex())
        else:
            self._rows.selectRow(row)
        self._block(was_blocked)
        viewport = self._rows.viewport()
        assert viewport is not None
        viewport.update()

    def _block(self, blocked: bool) -> bool:
        selection = self._rows.selectionModel()
        assert selection is not None
        return selection.blockSignals(blocked)

    def _on_row(self, current: QModelIndex, previous: QModelIndex | None = None) -> None:
        if current.isValid():
            index = self._model.sliceAt(current.row())
            if index != self._current:
                self.goRequested.emit(index)
