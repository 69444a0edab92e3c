"""The choice of intensities: by name, by numbers, and what it means on the stack."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QPushButton

from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.records import FitSettings, IntensityChoice
from napari_salt.views import IntensityState
from napari_salt.widgets.intensity_field import NAMES, IntensityField
from napari_salt.widgets.panel import Panel


@pytest.fixture
def field(qtbot):
    widget = IntensityField()
    qtbot.addWidget(widget)
    return widget


def choose(field, name):
    combo = field.name
    combo.setCurrentIndex(NAMES.index(name))
    combo.activated.emit(NAMES.index(name))


def numbers(field):
    return field.findChildren(QDoubleSpinBox)


def name(field):
    return field.name.currentText()


def test_a_named_window_brings_its_numbers(field, qtbot):
    with qtbot.waitSignal(field.valueChanged) as told:
        choose(field, "lung")
    assert told.args == [WINDOWS["lung"]] == [field.value()]
    assert [number.text() for number in numbers(field)] == ["-1350", "150"]
    choose(field, "auto")
    assert field.value() == AUTO
    assert [number.text() for number in numbers(field)] == ["0.5%", "99.5%"]


def test_a_changed_number_makes_it_ones_own(field, qtbot):
    choose(field, "brain")
    with qtbot.waitSignal(field.valueChanged) as told:
        numbers(field)[1].setValue(100)
    assert told.args == [IntensityChoice("window", 0.0, 100.0)]
    assert name(field) == "own window"
    numbers(field)[1].setValue(80)
    assert name(field) == "brain"


def test_ones_own_window_starts_from_what_was_measured(field):
    field.setState(IntensityState("…", measured=(12.0, 3044.0)))
    choose(field, "own window")
    assert field.value() == IntensityChoice("window", 12.0, 3044.0)
    choose(field, "own percentiles")
    assert field.value() == IntensityChoice("percentile", 2.0, 98.0)


@pytest.mark.parametrize("start", ["brain", "own percentiles"])
def test_the_ends_never_cross(field, start):
    for place, value in ((0, 99.5), (1, 0.0), (0, 100.0), (1, 30.0), (0, 60.0)):
        choose(field, start)
        numbers(field)[place].setValue(value)
        low, high = field.value().low, field.value().high
        assert low < high
        assert start == "brain" or 0 <= low < high <= 100


def test_what_it_means_is_said_and_can_be_shown(field, qtbot):
    button = field.findChild(QPushButton)
    assert not button.isEnabled()
    assert "Open or choose an image first." in button.toolTip()
    field.setState(IntensityState("0.5 % .. 99.5 % = 12 .. 3044", "Looks like CT.", (12, 3044)))
    assert field.findChild(QLabel).text() == "0.5 % .. 99.5 % = 12 .. 3044\nLooks like CT."
    with qtbot.waitSignal(field.showRequested):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_it_is_part_of_the_settings(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    wanted = []
    panel.wishes.settings_changed.connect(wanted.append)
    choose(panel.settings.intensity, "bone")
    assert wanted == [FitSettings(intensity=WINDOWS["bone"])]
    asked = []
    panel.wishes.show_like_this.connect(lambda: asked.append(True))
    panel.set_intensity(IntensityState("…", shown=(0, 1)))
    qtbot.mouseClick(panel.settings.intensity.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert asked == [True]


@pytest.mark.parametrize("language", ["de_DE", "tr_TR", "fr_FR", "en_US", "C"])
def test_numbers_are_read_as_they_are_shown(qtbot, language):
    before = QLocale()
    QLocale.setDefault(QLocale(language))
    try:
        field = IntensityField()
        qtbot.addWidget(field)
        field.setValue(IntensityChoice("window", -1234.5, 0.25))
        low, high = numbers(field)
        point = QLocale(language).decimalPoint()
        assert [low.text().replace("\u2212", "-"), high.text()] == [f"-1234{point}5", f"0{point}25"]
        for number in (low, high):
            number.lineEdit().setText(number.text())
            number.interpretText()
        assert (low.value(), high.value()) == (-1234.5, 0.25)
        assert field.value() == IntensityChoice("window", -1234.5, 0.25)
    finally:
        QLocale.setDefault(before)
