"""The label table: add, rename, recolour, delete in place; the brush paints the selected row."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QEvent, QModelIndex, QPoint, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_salt.views import LabelRow
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.label_model import COLOR, KEY, NAME, REMOVE, SLICES, LabelModel
from napari_salt.widgets.plain import plain_text
from napari_salt.widgets.quiet import QuietDelegate
from napari_salt.widgets.swatch import SwatchDelegate
from napari_salt.widgets.text_font import row_height

_LEAST_ROWS, _MOST_ROWS = 3, 7

_NAME_TIP = "Name a label and press Enter; the name is also its prompt"


class _Rows(QTableView):
    """The rows; keys ask to remove the current label or to choose its colour."""

    deletePressed = Signal()
    colourPressed = Signal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Delete and Backspace remove, Space asks for a colour, F2 renames; the rest is Qt's."""
        if event is not None and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.deletePressed.emit()
            return
        if event is not None and event.key() == Qt.Key.Key_Space:
            self.colourPressed.emit()
            return
        if event is not None and event.key() == Qt.Key.Key_F2:
            name = self.currentIndex().siblingAtColumn(NAME)
            if name.flags() & Qt.ItemFlag.ItemIsEditable:
                self.edit(name)
            return
        super().keyPressEvent(event)


class LabelTable(QWidget):
    """Labels and background; ``value`` is the id of the selected label.

    Signals ask; nothing changes here until ``setRows`` brings the new rows.
    """

    valueChanged = Signal(int)
    addRequested = Signal(str)
    renameRequested = Signal(int, str)
    recolourRequested = Signal(int, object)
    removeRequested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = LabelModel(self)
        self._model.renameRequested.connect(self.renameRequested)
        self._rows = self._build_rows()
        self._name = QLineEdit(self)
        self._name.setPlaceholderText("new label, e.g. nucleus")
        self._name.setToolTip(_NAME_TIP)
        self._name.setAccessibleName("name of a new label")
        self._name.setMaxLength(120)
        self._name.returnPressed.connect(self._add)
        self._add_button = ActionButton("Add", "Add a label of this name")
        self._add_button.clicked.connect(self._add)
        line = QHBoxLayout()
        line.setSpacing(4)
        line.addWidget(self._name, 1)
        line.addWidget(self._add_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._rows)
        layout.addLayout(line)
        self._fit_height()

    def changeEvent(self, event: QEvent | None) -> None:
        """Make the rows as high as another font wants them."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._fit_height()

    def value(self) -> int | None:
        """Id of the selected label; None when nothing is selected."""
        index = self._rows.currentIndex()
        rows = self._model.rows()
        return rows[index.row()].label_id if index.isValid() else None

    def setValue(self, label_id: int | None) -> None:
        """Select a label without telling anyone; one that was not selected is scrolled to."""
        is_new = label_id != self.value()
        selection = self._rows.selectionModel()
        assert selection is not None
        was_blocked = selection.blockSignals(True)
        place = self._model.place(label_id)
        if place < 0:
            self._rows.setCurrentIndex(QModelIndex())
            self._rows.clearSelection()
        else:
            self._rows.selectRow(place)
            if is_new:  # nobody has told the view
                self._rows.scrollTo(self._model.index(place, NAME))
        selection.blockSignals(was_blocked)
        self._rows.update()

    def rows(self) -> tuple[LabelRow, ...]:
        """The rows shown."""
        return self._model.rows()

    def setRows(self, rows: tuple[LabelRow, ...]) -> None:
        """Show other rows and keep the selected label selected."""
        selected = self.value()
        self._model.setRows(rows)
        self.setValue(selected)
        self._fit_height()

    def setAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Allow adding labels, or say why not."""
        self._name.setEnabled(enabled)
        self._name.setToolTip(plain_text(_NAME_TIP if enabled else f"{why_not}\n({_NAME_TIP})"))
        self._add_button.setAvailable(enabled, why_not)

    def model(self) -> LabelModel:
        """The item model behind the rows."""
        return self._model

    def _build_rows(self) -> _Rows:
        view = _Rows(self)
        view.setModel(self._model)
        view.setItemDelegateForColumn(COLOR, SwatchDelegate(view))
        for column in (SLICES, KEY, REMOVE):
            view.setItemDelegateForColumn(column, QuietDelegate(view))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        view.setShowGrid(False)
        view.setTabKeyNavigation(False)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._show_menu)
        view.setAccessibleName("labels")
        view.setToolTip("The brush paints the selected label; double-click a name to rename it")
        header, side, selection = (
            view.horizontalHeader(),
            view.verticalHeader(),
            view.selectionModel(),
        )
        assert header is not None
        assert side is not None
        assert selection is not None
        header.hide()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((COLOR, 26), (REMOVE, 24)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        for column in (SLICES, KEY):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        side.hide()
        selection.currentRowChanged.connect(self._on_row)
        view.clicked.connect(self._on_clicked)
        view.deletePressed.connect(self._remove_current)
        view.colourPressed.connect(self._recolour_current)
        return view

    def _fit_height(self) -> None:
        rows = min(max(self._model.rowCount(), _LEAST_ROWS), _MOST_ROWS)
        side, height = self._rows.verticalHeader(), row_height(self)
        assert side is not None
        side.setDefaultSectionSize(height)
        self._rows.setFixedHeight(rows * height + 2 * self._rows.frameWidth() + 4)

    def _add(self) -> None:
        name = self._name.text().strip()
        if name:
            self.addRequested.emit(name)

    def clearName(self) -> None:
        """Empty the line of the new name, after the label has been added."""
        self._name.clear()

    def _on_row(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid():
            self.valueChanged.emit(self._model.rows()[current.row()].label_id)

    def _on_clicked(self, index: QModelIndex) -> None:
        row = self._model.rows()[index.row()]
        if row.fixed:
            return
        if index.column() == COLOR:
            self._choose_colour(row)
        elif index.column() == REMOVE:
            self.removeRequested.emit(row.label_id)

    def _choose_colour(self, row: LabelRow) -> None:
        chosen = QColorDialog.getColor(QColor.fromRgbF(*row.color), self, f"Colour of {row.name}")
        if chosen.isValid():
            color = (chosen.redF(), chosen.greenF(), chosen.blueF(), 1.0)
            self.recolourRequested.emit(row.label_id, color)

    def _recolour_current(self) -> None:
        index = self._rows.currentIndex()
        if index.isValid() and not self._model.rows()[index.row()].fixed:
            self._choose_colour(self._model.rows()[index.row()])

    def _remove_current(self) -> None:
        index = self._rows.currentIndex()
        if index.isValid() and not self._model.rows()[index.row()].fixed:
            self.removeRequested.emit(self._model.rows()[index.row()].label_id)

    def _show_menu(self, position: QPoint) -> None:
        index = self._rows.indexAt(position)
        if not index.isValid() or self._model.rows()[index.row()].fixed:
            return
        row = self._model.rows()[index.row()]
        menu = QMenu(self)
        menu.addAction("Rename", lambda: self._rows.edit(self._model.index(index.row(), NAME)))
        menu.addAction("Colour…", lambda: self._choose_colour(row))
        menu.addAction("Delete", lambda: self.removeRequested.emit(row.label_id))
        menu.exec(self._rows.mapToGlobal(position))
        menu.deleteLater()
