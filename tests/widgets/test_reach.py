"""Everything can be done without a mouse, in the order that the eye reads."""

from __future__ import annotations

import itertools

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QWidget

from napari_salt.session.readiness import Action, Readiness
from napari_salt.views import (
    AxisEntry,
    ImageEntry,
    ImageState,
    LabelRow,
    RoundRow,
    SliceState,
    StatusState,
)
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.panel import Panel

COMPOSITES = QAbstractSpinBox, QComboBox
"""What is inside these is theirs."""
RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


def everything_shown(panel):
    """The panel with everything enabled, unfolded and filled."""
    actions = {name: Action() for name in Readiness.__dataclass_fields__ if name != "hint"}
    axes = (AxisEntry(0, "t"), AxisEntry(1, "z"))
    panel.set_image(ImageState((ImageEntry("a", "t1"),), "a", "3 slices", axes, 1))
    panel.set_labels((LabelRow(1, "cell", RED, 2, "Alt+1"), LabelRow(2, "nucleus", BLUE)))
    panel.set_selected_label(1)
    panel.set_slice(SliceState(1, 3))
    panel.set_rounds((RoundRow(1, 3, "0.88", "41 s", "1.2 MB", "first"),))
    panel.set_readiness(Readiness(**actions))
    panel.set_status(StatusState("The paint layer was removed.", "warning", "Bring it back"))
    for fold in panel.findChildren(Fold):
        fold.setValue(True)


@pytest.fixture
def panel(qtbot):
    widget = Panel()
    qtbot.addWidget(widget)
    everything_shown(widget)
    widget.resize(360, 1400)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def chain(panel):
    """Widgets that Tab goes to, in its order, from the topmost on."""
    found, widget = [], panel.nextInFocusChain()
    while widget is not panel:
        takes = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
        inside = widget.focusProxy() is not None or isinstance(widget.parent(), COMPOSITES)
        if takes and not inside and widget.isVisibleTo(panel) and widget.isEnabled():
            found.append(widget)
        widget = widget.nextInFocusChain()
    return found


def test_tab_goes_from_top_to_bottom_and_from_left_to_right(panel):
    places = [widget.mapTo(panel, widget.rect().center()) for widget in chain(panel)]
    assert len(places) > 20
    for earlier, later in itertools.pairwise(places):
        same_row = abs(later.y() - earlier.y()) < 8
        assert later.x() > earlier.x() if same_row else later.y() > earlier.y()


def test_every_button_is_reached_by_tab(panel):
    reached = set(chain(panel))
    for button in panel.findChildren(QAbstractButton):
        if button.isVisibleTo(panel) and button.isEnabled() and not internal(button):
            assert button in reached, button.text()


def internal(button: QWidget) -> bool:
    """Whether Qt made it itself: the corner of a table, an arrow of a scroll bar."""
    return button.metaObject().className() in ("QTableCornerButton",)


def test_what_has_no_words_has_an_accessible_name(panel):
    for widget in chain(panel):
        said = widget.accessibleName() or widget.toolTip() or getattr(widget, "text", str)()
        assert said, widget


def test_a_label_is_renamed_recoloured_and_removed_by_keys(panel, qtbot, monkeypatch):
    rows = panel.labels._rows
    rows.setFocus()
    recoloured, removed = [], []
    monkeypatch.setattr(panel.labels, "_choose_colour", recoloured.append)
    panel.wishes.label_removed.connect(removed.append)
    QTest.keyClick(rows, Qt.Key.Key_Space)
    assert [row.label_id for row in recoloured] == [1]
    QTest.keyClick(rows, Qt.Key.Key_Delete)
    assert removed == [1]
    QTest.keyClick(rows, Qt.Key.Key_F2)
    QApplication.processEvents()
    assert rows.state() == rows.State.EditingState
