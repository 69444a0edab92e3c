"""The strip of slices: where a click or a key goes, and what it draws."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QColor, QHelpEvent, QPalette
from qtpy.QtWidgets import QApplication, QToolTip

from napari_salt.session.coverage import COMPLETE, OUTDATED, PAINTED, PREDICTED, SUGGESTED
from napari_salt.views import CoverageState
from napari_salt.widgets.coverage_strip import CoverageStrip

FLAGS = bytes([0, PAINTED, 0, 0, PREDICTED, 0, PAINTED | COMPLETE, SUGGESTED, 0, 0])


@pytest.fixture
def strip(qtbot):
    strip = CoverageStrip()
    qtbot.addWidget(strip)
    strip.resize(210, 24)
    strip.setValue(CoverageState(FLAGS, 4))
    return strip


@pytest.mark.parametrize(("x", "index"), [(0, 0), (5, 0), (26, 1), (104, 4), (204, 9), (300, 9)])
def test_positions_are_slices(strip, x, index):
    assert strip.sliceAt(x) == index


def test_a_click_and_a_drag_ask_to_go_there(strip, qtbot):
    asked = []
    strip.goRequested.connect(asked.append)
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(145, 10))
    assert asked == [7]
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(95, 10))
    assert asked == [7], "the slice on screen is not asked for again"
    qtbot.mouseClick(strip, Qt.MouseButton.RightButton, pos=QPoint(10, 10))
    assert asked == [7]


@pytest.mark.parametrize(
    ("flags", "why_not"),
    [
        (b"", "Open an image first."),
        (bytes(1), "There is only one slice to go to."),
        (bytes(2), ""),
    ],
)
def test_a_strip_that_leads_nowhere_says_why(strip, flags, why_not):
    strip.setValue(CoverageState(flags, None))
    assert strip.isEnabled() == (not why_not)
    assert strip.toolTip().startswith(why_not or "Above the line")


CTRL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier


@pytest.mark.parametrize(
    ("key", "modifier", "target"),
    [
        (Qt.Key.Key_Left, NONE, 3),
        (Qt.Key.Key_Right, NONE, 5),
        (Qt.Key.Key_Home, NONE, 0),
        (Qt.Key.Key_End, NONE, 9),
        (Qt.Key.Key_PageDown, NONE, 9),
        (Qt.Key.Key_Left, CTRL, 1),
        (Qt.Key.Key_Right, CTRL, 6),
    ],
)
def test_keys_go(strip, qtbot, key, modifier, target):
    with qtbot.waitSignal(strip.goRequested) as asked:
        qtbot.keyClick(strip, key, modifier)
    assert asked.args == [target]


def test_showing_tells_nobody_and_is_said_to_screen_readers(strip, qtbot):
    with qtbot.assertNotEmitted(strip.goRequested):
        strip.setValue(CoverageState(FLAGS, 6))
    assert strip.accessibleDescription() == "slice 6: painted, complete, on screen"
    strip.setValue(CoverageState())
    assert not strip.isEnabled()
    assert strip.sliceAt(20) is None
    strip.grab()


def test_the_tooltip_tells_the_slice_under_the_pointer(strip, monkeypatch):
    said = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, text, widget: said.append(text))
    event = QHelpEvent(QEvent.Type.ToolTip, QPoint(145, 10), QPoint(145, 10))
    QApplication.sendEvent(strip, event)
    assert said[0].startswith("slice 7: suggested next")


@pytest.mark.parametrize("bits", [PAINTED, COMPLETE, PREDICTED, PREDICTED | OUTDATED, SUGGESTED])
def test_each_state_looks_different_also_without_colour(strip, bits):
    def gray(flags):
        strip.setValue(CoverageState(bytes([0, 0, flags, 0]), 0))
        return (
            strip.grab().toImage().convertToFormat(strip.grab().toImage().Format.Format_Grayscale8)
        )

    others = {PAINTED, COMPLETE, PREDICTED, PREDICTED | OUTDATED, SUGGESTED, 0} - {bits}
    assert all(gray(bits) != gray(other) for other in others)


def test_the_position_is_drawn_in_the_colour_of_the_text(strip):
    for name in ("black", "white"):
        palette = QPalette()
        palette.setColor(strip.foregroundRole(), QColor(name))
        strip.setPalette(palette)
        image = strip.grab().toImage()
        x = round(5 + 4.5 * 20)
        drawn = [image.pixelColor(x, y).lightness() for y in range(1, 5)]
        assert min(drawn) < 60 if name == "black" else max(drawn) > 200


def test_ten_thousand_slices_are_few_marks(strip):
    strip.setValue(CoverageState(bytes([PREDICTED]) * 10_000, 9_999))
    assert not strip.grab().isNull()
    assert strip.sliceAt(205) == 9_999
