"""Adapt and Stop, the live curve, the held-out score, and the rounds so far."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_salt.views import CurveState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.dice_curve import DiceCurve
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.plain import PlainLabel
from napari_salt.widgets.rounds_list import RoundsList
from napari_salt.widgets.sparkline import Sparkline

if TYPE_CHECKING:
    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness
    from napari_salt.views import ComparisonState, RoundRow


class AdaptPanel(QWidget):
    """Starts and stops fits and shows how they go."""

    adaptRequested = Signal()
    stopRequested = Signal()
    thenSegmentChanged = Signal(bool)
    restoreRequested = Signal(int)
    compareRequested = Signal(int, int)
    comparisonEndRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._adapt = ActionButton(
            "Adapt", "Learn from every painted slice; painting can go on meanwhile"
        )
        self._stop = ActionButton("Stop", "Stop the running job; what it has so far is kept")
        self._then_segment = QCheckBox("then segment all", self)
        self._then_segment.setToolTip("After Adapt, segment all slices of the stack at once")
        self._then_segment.setChecked(True)
        self._curve = Sparkline(self)
        self._dice = DiceCurve(self)
        self._score = PlainLabel(self)
        self._score.setWordWrap(True)
        self._score.setToolTip("Measured on painted slices that were left out of the fit")
        self._rounds = RoundsList(self)
        self._fold = Fold("Rounds", self._rounds, self)
        self._adapt.clicked.connect(self.adaptRequested)
        self._stop.clicked.connect(self.stopRequested)
        self._then_segment.toggled.connect(self.thenSegmentChanged)
        self._rounds.restoreRequested.connect(self.restoreRequested)
        self._rounds.compareRequested.connect(self.compareRequested)
        self._rounds.comparisonEndRequested.connect(self.comparisonEndRequested)
        self._lay_out()
        self.setCurve(CurveState())
        self.setScore("")
        self.setRounds(())

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self._adapt, 1)
        buttons.addWidget(self._then_segment)
        buttons.addWidget(self._stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self._curve)
        layout.addWidget(self._dice)
        layout.addWidget(self._score)
        layout.addWidget(self._fold)

    def setKeys(self, keys: KeysState) -> None:
        """Name the keys in the tooltips."""
        self._adapt.setKey(keys.key("adapt"))

    def setReadiness(self, readiness: Readiness) -> None:
        """Enable what can work now."""
        self._adapt.setAvailable(readiness.adapt.enabled, readiness.adapt.why_not)
        self._stop.setAvailable(readiness.stop.enabled, readiness.stop.why_not)
        self._rounds.setAvailable(readiness.restore.enabled, readiness.restore.why_not)
        self._rounds.setCompareAvailable(readiness.compare.enabled, readiness.compare.why_not)

    def setCurve(self, state: CurveState) -> None:
        """Show another curve; there is none before the first fit, nor of a fit without steps."""
        self._curve.setValue(state)
        self._curve.setVisible(bool(state.losses or state.dice))
        self._dice.setValue(state.labels)
        self._dice.setVisible(bool(state.labels))

    def setScore(self, text: str) -> None:
        """Show the held-out score in words."""
        self._score.setText(text)
        self._score.setVisible(bool(text))

    def setComparison(self, state: ComparisonState) -> None:
        """Show in words which rounds are compared."""
        self._rounds.setComparison(state)

    def setRounds(self, rows: tuple[RoundRow, ...]) -> None:
        """Show the rounds; the fold is hidden until there is one."""
        self._rounds.setRows(rows)
        self._fold.setTitle(f"Rounds ({len(rows)})")
        self._fold.setVisible(bool(rows))
