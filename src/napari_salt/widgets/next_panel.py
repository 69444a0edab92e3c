"""The slice where a correction helps most, with the reason in words."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_salt.views import SuggestionState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.plain import PlainLabel
from napari_salt.widgets.reserve import reserve_lines

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness


_PLACEHOLDER = "Goes where a correction helps most, and says why."


class NextPanel(QWidget):
    """Next slice and Skip; the reason stands below."""

    nextRequested = Signal()
    skipRequested = Signal()
    tableRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._next = ActionButton("Next slice ▸", "Go where a correction helps most")
        self._skip = ActionButton(
            "Skip", "Keep this slice out of the suggestions until the next round, and go to another"
        )
        self._table = ActionButton(
            "Table…", "Every slice in a table: areas, uncertainty, what is done; click to go there"
        )
        self._reason = PlainLabel(self)
        self._reason.setWordWrap(True)
        self._reason.setAlignment(Qt.AlignmentFlag.AlignTop)
        reserve_lines(self._reason, 2)
        self._next.clicked.connect(self.nextRequested)
        self._skip.clicked.connect(self.skipRequested)
        self._table.clicked.connect(self.tableRequested)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self._next, 3)
        buttons.addWidget(self._skip, 1)
        buttons.addWidget(self._table, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self._reason)
        self.setValue(SuggestionState())

    def setValue(self, state: SuggestionState) -> None:
        """Show another suggestion."""
        text = state.reason if state.index is None else f"slice {state.index}: {state.reason}"
        self._reason.setText(text or _PLACEHOLDER)

    def reason(self) -> str:
        """The reason shown."""
        return self._reason.text()

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self._next.setKey(keys.key("next_slice"))
        self._skip.setKey(keys.key("skip_slice"))

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._next.setAvailable(readiness.next_slice.enabled, readiness.next_slice.why_not)
        self._skip.setAvailable(readiness.skip_slice.enabled, readiness.skip_slice.why_not)
        self._table.setAvailable(readiness.show_table.enabled, readiness.show_table.why_not)
