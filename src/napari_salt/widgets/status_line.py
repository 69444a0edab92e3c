"""One line that says what goes on, with a button where there is a way out."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_salt.views import StatusState
from napari_salt.widgets.plain import PlainLabel, plain_text
from napari_salt.widgets.reserve import reserve_lines

_TINTS = {"good": "#3fa66b", "warning": "#c9861a", "error": "#d9534f"}


class StatusLine(QWidget):
    """Shows a `StatusState`; tells when its offer is taken."""

    offerTaken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = PlainLabel(self)
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._text.setAccessibleName("status")
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        reserve_lines(self._text, 2)
        self._offer = QPushButton(self)
        self._offer.clicked.connect(self.offerTaken)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._text)
        layout.addWidget(self._offer)
        self._state = StatusState()
        self._edge = ""
        self.setValue(self._state)

    def value(self) -> StatusState:
        """The status shown."""
        return self._state

    def setValue(self, state: StatusState) -> None:
        """Show another status; warnings and errors get a coloured edge."""
        self._state = state
        self._text.setText(state.text)
        self._text.setToolTip(plain_text(state.text))
        tint = _TINTS.get(state.level)
        edge = f"border-left: 3px solid {QColor(tint).name()}; padding-left: 5px;" if tint else ""
        if edge != self._edge:  # to style a widget takes longer than all the rest
            self._edge = edge
            self._text.setStyleSheet(f"QLabel {{ {edge} }}" if edge else "")
        self._offer.setText(state.offer)
        self._offer.setToolTip(
            plain_text(f"{state.text}\nPress to put it right.") if state.offer else ""
        )
        self._offer.setVisible(bool(state.offer))
