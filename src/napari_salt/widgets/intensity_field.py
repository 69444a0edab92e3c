"""Which intensities the network is shown as black and white."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import QLocale, Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_salt.intensity import AUTO, WINDOWS, name_of
from napari_salt.records import IntensityChoice
from napari_salt.views import IntensityState
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.no_wheel import NoWheel
from napari_salt.widgets.plain import PlainLabel

OWN_WINDOW, OWN_PERCENTILES = "own window", "own percentiles"
NAMES = ("auto", *WINDOWS, OWN_WINDOW, OWN_PERCENTILES)
_TIPS = {
    "auto": "The middle 99 % of the intensities of each stack (default)",
    OWN_WINDOW: "Two intensities, the same on every stack",
    OWN_PERCENTILES: "Two percentiles, measured on each stack",
}
FIRST_PERCENTILES = IntensityChoice("percentile", 2.0, 98.0)
"""Where one's own percentiles start."""
LARGEST = 1e12
SMALLEST_STEP = 1e-6


class _Number(QDoubleSpinBox):
    """A number without trailing zeros, shown as it is read: with the decimal sign of the user's language."""

    def textFromValue(self, value: float) -> str:
        """``-1350``, ``0.25`` or ``0,25``; a sign between thousands could be taken for a decimal one."""
        locale = self.locale()
        locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
        return locale.toString(value, "g", 10)


class IntensityField(QWidget):
    """Choice by name or by two numbers; ``value`` is an `IntensityChoice`.

    ``name`` has no place in here: who shows the field puts it beside a caption, and the numbers below both.
    """

    valueChanged = Signal(object)
    showRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value, self._state = AUTO, IntensityState()
        self.name = QComboBox(self)
        self.name.addItems(NAMES)
        self.name.setAccessibleName("Intensity")
        self.name.setToolTip("Which intensities the network sees as black and white")
        for place, name in enumerate(NAMES):
            tip = _TIPS.get(name, f"Window of CT in Hounsfield units: {name}")
            self.name.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        self._low = self._number("black from", "At and below this the network sees black")
        self._high = self._number("white from", "At and above this the network sees white")
        self._numbers = PlainLabel(self)
        self._numbers.setWordWrap(True)
        self._show = ActionButton(
            "Show like this", "Set the contrast limits of the image layer to these intensities"
        )
        self._lay_out()
        self._listen()
        self.setState(self._state)
        self._fill()

    def value(self) -> IntensityChoice:
        """The choice."""
        return self._value

    def setValue(self, choice: IntensityChoice) -> None:
        """Show another choice without telling anyone."""
        self._value = choice
        self._fill()

    def setState(self, state: IntensityState) -> None:
        """Show what the choice means on this stack."""
        self._state = state
        self._numbers.setText("\n".join(x for x in (state.text, state.proposal) if x))
        self._show.setAvailable(state.shown is not None, state.why_not)

    def _number(self, name: str, tip: str) -> QDoubleSpinBox:
        number = _Number(self)
        number.setDecimals(6)
        number.setKeyboardTracking(False)
        number.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        number.setAccessibleName(name)
        number.setToolTip(tip)
        number.setMinimumWidth(60)
        return number

    def _lay_out(self) -> None:
        range_ = QHBoxLayout()
        range_.setSpacing(4)
        range_.addWidget(self._low, 1)
        range_.addWidget(self._high, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(range_)
        column.addWidget(self._numbers)
        column.addWidget(self._show)

    def _listen(self) -> None:
        NoWheel(self).guard(self.name, self._low, self._high)
        self.name.activated.connect(self._on_name)
        self._low.valueChanged.connect(self._on_low)
        self._high.valueChanged.connect(self._on_high)
        self._show.clicked.connect(self.showRequested)

    def _on_name(self, place: int) -> None:
        name = NAMES[place]
        if name == OWN_WINDOW:
            low, high = self._state.measured or (self._value.low, self._value.high)
            self._choose(IntensityChoice("window", low, high))
        elif name == OWN_PERCENTILES:
            self._choose(FIRST_PERCENTILES)
        else:
            self._choose(WINDOWS.get(name, AUTO))

    def _on_low(self, low: float) -> None:
        """Take another lower end; the upper one gives way."""
        if self._value.method == "percentile":
            low = min(low, 100 - SMALLEST_STEP)
        high = self._value.high if low < self._value.high else low + self._give(low)
        self._choose(replace(self._value, low=low, high=high))

    def _on_high(self, high: float) -> None:
        """Take another upper end; the lower one gives way."""
        if self._value.method == "percentile":
            high = max(high, SMALLEST_STEP)
        low = self._value.low if high > self._value.low else high - self._give(-high)
        self._choose(replace(self._value, low=low, high=high))

    def _give(self, other: float) -> float:
        """How far the other end lies from one that was moved beyond it."""
        if self._value.method == "window":
            return 1.0
        room = 100 - other if other >= 0 else -other
        return min(1.0, room)

    def _choose(self, choice: IntensityChoice) -> None:
        changed = choice != self._value
        self._value = choice
        self._fill()
        if changed:
            self.valueChanged.emit(choice)

    def _fill(self) -> None:
        """Bring name and numbers in line with the value."""
        choice = self._value
        percentile = choice.method == "percentile"
        name = name_of(choice) or (OWN_PERCENTILES if percentile else OWN_WINDOW)
        self.name.setCurrentIndex(NAMES.index(name))
        for number, value in ((self._low, choice.low), (self._high, choice.high)):
            was_blocked = number.blockSignals(True)
            number.setRange(*((0.0, 100.0) if percentile else (-LARGEST, LARGEST)))
            number.setSuffix("%" if percentile else "")
            number.setValue(value)
            number.blockSignals(was_blocked)
