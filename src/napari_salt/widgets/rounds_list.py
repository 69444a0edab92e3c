"""The rounds so far; any of them can be restored, any two compared."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.plain import PlainLabel, plain_text
from napari_salt.widgets.text_font import row_height

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_salt.views import ComparisonState, RoundRow

_NUMBER = Qt.ItemDataRole.UserRole
_MOST_ROWS = 5
_ACTIVE = "●"
_HEADERS = ("", "Round", "Slices", "Dice", "Time", "Size")
_DICE = _HEADERS.index("Dice")


class _Rows(QTreeWidget):
    """Rows with as many columns as there is room for; what the tooltips say as well goes first."""

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Another width."""
        super().resizeEvent(event)
        self.fitWidth()

    def fitWidth(self) -> None:
        """Leave out the last columns where they would be cut off."""
        header, room = self.header(), self.viewport()
        assert header is not None
        assert room is not None
        needed = 0
        for column in range(len(_HEADERS)):
            needed += max(self.sizeHintForColumn(column), header.sectionSizeHint(column))
            self.setColumnHidden(column, column > _DICE and needed > room.width())


class RoundsList(QWidget):
    """Table of rounds; ``value`` is the number of the selected one, None unless it is just one."""

    restoreRequested = Signal(int)
    compareRequested = Signal(int, int)
    comparisonEndRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = _Rows(self)
        self._list.setHeaderLabels(list(_HEADERS))
        self._list.setRootIsDecorated(False)
        self._list.setUniformRowHeights(True)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setAccessibleName("rounds")
        self._list.setToolTip("Double-click a round to restore it; Ctrl+click to select two")
        header = self._list.header()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(16)
        header.sectionResized.connect(self._list.fitWidth)
        header.setStyleSheet("QHeaderView::section { background: transparent; border: 0px; }")
        self._list.itemDoubleClicked.connect(self._restore)
        self._list.itemSelectionChanged.connect(self._update_button)
        self._restore_button = ActionButton(
            "Restore", "Use the adapter of the selected round to segment and to go on adapting"
        )
        self._restore_button.clicked.connect(self._restore)
        self._compare_button = ActionButton(
            "Compare",
            "Show two rounds against each other on the slice on screen:\n"
            "the selected round against the one in use (●), or the two that are selected",
        )
        self._compare_button.clicked.connect(self._compare)
        self._end_button = ActionButton("Clear", "Remove the layers of the comparison")
        self._end_button.clicked.connect(self.comparisonEndRequested)
        self._end_button.hide()
        self._comparison = PlainLabel(self)
        self._comparison.setWordWrap(True)
        self._comparison.hide()
        self._why_not = ""
        self._why_not_compare = ""
        self._active: int | None = None
        self._lay_out()
        self._update_button()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self._restore_button, 2)
        buttons.addWidget(self._compare_button, 2)
        buttons.addWidget(self._end_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._list)
        layout.addLayout(buttons)
        layout.addWidget(self._comparison)

    def value(self) -> int | None:
        """Number of the selected round, or None."""
        numbers = self.selected()
        return numbers[0] if len(numbers) == 1 else None

    def selected(self) -> tuple[int, ...]:
        """Numbers of all selected rounds; rising."""
        return tuple(sorted(int(item.data(0, _NUMBER)) for item in self._list.selectedItems()))

    def setComparison(self, state: ComparisonState) -> None:
        """Show in words what is compared."""
        self._comparison.setText(state.text)
        self._comparison.setVisible(bool(state.text))
        self._end_button.setVisible(bool(state.text))

    def setRows(self, rows: tuple[RoundRow, ...]) -> None:
        """Show these rounds, the newest first, and keep the selection."""
        selected = self.selected()
        was_blocked = self._list.blockSignals(True)
        self._list.clear()
        self._active = next((row.number for row in rows if row.active), None)
        for row in reversed(rows):
            mark = _ACTIVE if row.active else ""
            texts = [mark, str(row.number), str(row.slices), row.dice, row.time, row.size]
            item = QTreeWidgetItem(texts)
            item.setData(0, _NUMBER, row.number)
            for column in range(len(texts)):
                item.setToolTip(column, plain_text(f"{row.detail}\nadapter of {row.size}"))
            self._list.addTopLevelItem(item)
            item.setSelected(row.number in selected)
        self._list.blockSignals(was_blocked)
        self._fit_height()
        self._update_button()

    def changeEvent(self, event: QEvent | None) -> None:
        """Make the rows as high as another font wants them."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._fit_height()

    def _fit_height(self) -> None:
        height, wide = row_height(self), self.fontMetrics().horizontalAdvance(_ACTIVE) + 8
        for place in range(self.count()):
            item = self._list.topLevelItem(place)
            assert item is not None
            item.setSizeHint(0, QSize(wide, height))
        shown = min(max(self.count(), 1), _MOST_ROWS)
        self._list.setFixedHeight((shown + 1) * height + 6)

    def count(self) -> int:
        """Number of rounds shown."""
        return self._list.topLevelItemCount()

    def setAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Allow restoring, or say why not."""
        self._why_not = "" if enabled else why_not or "A job is running."
        self._update_button()

    def setCompareAvailable(self, enabled: bool, why_not: str = "") -> None:
        """Allow comparing, or say why not."""
        self._why_not_compare = "" if enabled else why_not or "A job is running."
        self._update_button()

    def _update_button(self) -> None:
        why_not = self._why_not or ("" if self.value() else "Select one round first.")
        self._restore_button.setAvailable(not why_not, why_not)
        why_not = self._why_not_compare
        if not why_not and self._pair() is None:
            why_not = "Select two rounds (Ctrl+click), or one that is not in use."
        self._compare_button.setAvailable(not why_not, why_not)

    def _pair(self) -> tuple[int, int] | None:
        """The two rounds to compare; None when the selection does not say which."""
        numbers = self.selected()
        if len(numbers) == 1 and self._active is not None:
            numbers = tuple(sorted({*numbers, self._active}))
        return (numbers[0], numbers[1]) if len(numbers) == 2 else None

    def _compare(self) -> None:
        pair = self._pair()
        if pair is not None:
            self.compareRequested.emit(*pair)

    def _restore(self) -> None:
        number = self.value()
        if number is not None and not self._why_not:
            self.restoreRequested.emit(number)
