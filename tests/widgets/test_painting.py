"""Painters end with the drawing, whoever still looks at the frame that made them."""

from __future__ import annotations

import sys

import pytest

from napari_salt.views import CoverageState, CurveState, LabelCurve
from napari_salt.widgets.coverage_strip import CoverageStrip
from napari_salt.widgets.dice_curve import DiceCurve
from napari_salt.widgets.rule import Rule
from napari_salt.widgets.sparkline import Sparkline

CURVE = LabelCurve("liver", (1.0, 0.0, 0.0, 1.0), ((1, 0.8), (2, 0.9)))


def strip():
    widget = CoverageStrip()
    widget.setValue(CoverageState(bytes(48), 3))
    return widget


def curves():
    widget = DiceCurve()
    widget.setValue((CURVE,))
    return widget


def sparkline():
    widget = Sparkline()
    widget.setValue(CurveState(((0, 1.0), (1, 0.5)), ((1, 0.8),), 2))
    return widget


@pytest.mark.parametrize("make", [strip, curves, sparkline, Sparkline, Rule])
def test_qt_has_nothing_to_complain_of_when_frames_outlive_the_drawing(make, qtbot, qtlog):
    widget = make()
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()
    frames = []

    def keep(frame, event, _):
        if event == "call" and frame.f_code.co_name in ("paintEvent", "_draw"):
            frames.append(frame)

    sys.setprofile(keep)
    widget.repaint()
    sys.setprofile(None)
    assert frames
    assert [record.message for record in qtlog.records] == []
    frames.clear()
