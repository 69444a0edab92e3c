"""Every control of the dock says what it does: to the mouse by a tooltip, to a screen reader by a name."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QWidget,
)

from napari_salt.session.facts import Facts
from napari_salt.session.readiness import readiness_of
from napari_salt.views import ComparisonState, ImageNote, ImageState, RoundRow, StatusState
from napari_salt.widgets.coverage_strip import CoverageStrip
from napari_salt.widgets.panel import Panel

CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    CoverageStrip,
)
OWNERS = (QComboBox, QAbstractSpinBox, QAbstractItemView)
"""Widgets whose inner parts (line, list, headers, corner) belong to them."""


@pytest.fixture
def panel(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.set_rounds((RoundRow(1, 3, "0.88", "41 s", "1.2 MB", "first", True),))
    panel.set_comparison(ComparisonState("round 1 and round 2"))
    panel.set_image(ImageState(note=ImageNote("One of 3 single images.", "Make one stack of 3")))
    panel.set_status(StatusState("The paint layer was removed.", "warning", "Bring it back"))
    return panel


def controls(panel: QWidget) -> list[QWidget]:
    found = []
    for widget in panel.findChildren(QWidget):
        inner = any(isinstance(owner, OWNERS) for owner in owners(widget))
        if isinstance(widget, CONTROLS) and not inner:
            found.append(widget)
    return [widget for widget in found if not isinstance(widget, QScrollBar)]


def owners(widget: QWidget):
    parent = widget.parentWidget()
    while parent is not None:
        yield parent
        parent = parent.parentWidget()


def name_of(widget: QWidget) -> str:
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text


def words(widget: QWidget) -> str:
    return f"{type(widget).__name__} “{name_of(widget)}” in {type(widget.parentWidget()).__name__}"


def test_the_walk_meets_the_controls(panel):
    names = {name_of(widget) for widget in controls(panel)}
    assert {"Adapt", "Stop", "complete", "Next slice ▸", "Compare", "Backbone", "labels"} <= names
    assert len(controls(panel)) > 30


@pytest.mark.parametrize("ready", [False, True])
def test_every_control_has_a_tooltip(panel, ready):
    if ready:
        panel.set_readiness(readiness_of(Facts(has_stack=True, slice_count=3, slice_index=1)))
    assert [words(widget) for widget in controls(panel) if not widget.toolTip().strip()] == []


@pytest.mark.parametrize(
    ("facts", "some"),
    [
        (Facts(), {"image", "Adapt", "complete", "name of a new label", "Save masks…"}),
        (Facts(has_stack=True, slice_count=3, slice_index=1), {"Adapt", "Segment all", "Compare"}),
        (Facts(has_stack=True, slice_count=3, job="adapt"), {"Adapt", "Load adapter…", "Restore"}),
    ],
)
def test_a_disabled_control_says_why(panel, facts, some):
    panel.set_readiness(readiness_of(facts))
    disabled = [widget for widget in controls(panel) if not widget.isEnabled()]
    assert some <= {name_of(widget) for widget in disabled}
    silent = [x for x in disabled if not x.toolTip().partition("\n")[0].endswith((".", ")"))]
    assert [words(widget) for widget in silent] == []
    mute = [widget for widget in disabled if "\n(" not in widget.toolTip()]
    assert [words(widget) for widget in mute] == []


def test_every_control_has_a_name(panel):
    assert [words(widget) for widget in controls(panel) if not name_of(widget).strip()] == []
