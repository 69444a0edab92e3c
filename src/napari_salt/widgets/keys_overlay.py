"""The list of keys, in a small window of its own that stays open beside the work."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_salt.key_table import KeysState
from napari_salt.widgets.plain import PlainLabel

_NO_KEY = "–"


class KeysOverlay(QDialog):
    """Shows a `KeysState`; Esc closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Keys of Few-shot segmentation")
        self.setModal(False)
        self._table = QWidget(self)
        self._problems = PlainLabel(self)
        self._problems.setWordWrap(True)
        note = PlainLabel(
            "They work on the image.\nChange them in Preferences ▸ napari-salt.", self
        )
        note.setWordWrap(True)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(14, 12, 14, 12)
        self._layout.setSpacing(8)
        self._layout.addWidget(self._table)
        self._layout.addWidget(self._problems)
        self._layout.addWidget(note)
        self._state = KeysState()

    def value(self) -> KeysState:
        """The keys listed."""
        return self._state

    def setValue(self, state: KeysState) -> None:
        """List other keys."""
        self._state = state
        table = _table(state, self)
        self._layout.replaceWidget(self._table, table)
        self._table.deleteLater()
        self._table = table
        self._problems.setText("\n".join(state.problems))
        self._problems.setVisible(bool(state.problems))


def _table(state: KeysState, parent: QWidget) -> QWidget:
    """A line for each key, under the caption of its group."""
    table = QWidget(parent)
    grid = QGridLayout(table)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(0)
    grid.setColumnStretch(1, 1)
    groups = dict.fromkeys(row.group for row in state.rows)
    for place, group in enumerate(groups):
        line = grid.rowCount()
        caption = _bold(group, table)
        caption.setContentsMargins(0, 12 if place else 0, 0, 4)
        grid.addWidget(caption, line, 0, 1, 2)
        for row in (row for row in state.rows if row.group == group):
            line = grid.rowCount()
            grid.addWidget(PlainLabel(row.key or _NO_KEY, table), line, 0)
            grid.addWidget(PlainLabel(row.title, table), line, 1)
    return table


def _bold(text: str, parent: QWidget) -> QLabel:
    label = PlainLabel(text, parent)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label
