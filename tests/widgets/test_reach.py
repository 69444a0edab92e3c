"""Everything can be done without a mouse, in the order that the eye reads."""

from __future__ import annotations

import itertools

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QWidget

from napari_salt.session.readiness import Action, Readiness
from napari_salt.views import (
    AssistState,
    AxisEntry,
    ComparisonState,
    CoverageState,
    ImageEntry,
    ImageNote,
    ImageState,
    IntensityState,
    LabelRow,
    LevelEntry,
    RoundRow,
    SliceState,
    StatusState,
)
from napari_salt.widgets.dock import Dock
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.panel import Panel

COMPOSITES = QAbstractSpinBox, QComboBox
"""What is inside these is theirs."""
RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


def everything_shown(panel):
    """The panel with everything enabled, unfolded and filled."""
    actions = {name: Action() for name in Readiness.__dataclass_fields__ if name != "hint"}
    axes = (AxisEntry(0, "t"), AxisEntry(1, "z"))
    note = ImageNote("One of 3 single images.", "Make one stack of 3")
    levels = (LevelEntry(0, "full size"), LevelEntry(1, "half"))
    entries = (ImageEntry("a", "t1"),)
    panel.set_image(ImageState(entries, "a", "3 slices", axes, 1, note, levels, 1))
    panel.set_labels((LabelRow(1, "cell", RED, 2, "Alt+1"), LabelRow(2, "nucleus", BLUE)))
    panel.set_selected_label(1)
    panel.set_slice(SliceState(1, 3))
    panel.set_rounds((RoundRow(1, 3, "0.88", "41 s", "1.2 MB", "first"),))
    panel.set_comparison(ComparisonState("round 1 and round 2"))
    panel.set_readiness(Readiness(**actions))
    panel.set_assist(AssistState(on=True, enabled=True, text="press Take", can_take=True))
    panel.set_intensity(IntensityState("0 .. 255", shown=(0, 255), why_not=""))
    panel.set_coverage(CoverageState(bytes(3), 1))
    panel.set_status(StatusState("The paint layer was removed.", "warning", "Bring it back"))
    for fold in panel.findChildren(Fold):
        fold.setValue(True)


@pytest.fixture
def panel(qtbot):
    widget = Panel()
    qtbot.addWidget(widget)
    everything_shown(widget)
    widget.resize(360, 1600)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def stop(widget, top):
    """Whether Tab stops at a widget."""
    takes = widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
    inside = widget.focusProxy() is not None or isinstance(widget.parent(), COMPOSITES)
    return takes and not inside and widget.isVisibleTo(top) and widget.isEnabled()


def chain(top, first=None):
    """Widgets of a window that Tab goes to, in its order; from ``first`` on, or from the topmost."""
    first = top.nextInFocusChain() if first is None else first
    ring = [first]
    while (following := ring[-1].nextInFocusChain()) is not first:
        ring.append(following)
    return [widget for widget in ring if widget is not top and stop(widget, top)]


def check_order(widgets, top):
    """Each stop lies right of the one before in the same row, or below it."""
    places = [widget.mapTo(top, widget.rect().center()) for widget in widgets]
    for place, (earlier, later) in enumerate(itertools.pairwise(places)):
        same_row = abs(later.y() - earlier.y()) < 8
        follows = later.x() > earlier.x() if same_row else later.y() > earlier.y()
        assert follows, (named(widgets[place]), named(widgets[place + 1]))


def named(widget):
    return widget.accessibleName() or getattr(widget, "text", str)()


def test_tab_goes_from_top_to_bottom_and_from_left_to_right(panel):
    stops = chain(panel)
    known = {named(widget) for widget in stops}
    assert {"Take", "Make one stack of 3", "level to work at", "Show like this"} <= known
    assert len(stops) > 50
    check_order(stops, panel)


def test_tab_goes_so_when_little_is_to_be_seen(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    actions = {name: Action() for name in Readiness.__dataclass_fields__ if name != "hint"}
    panel.set_readiness(Readiness(**actions))
    panel.resize(360, 800)
    panel.show()
    qtbot.waitExposed(panel)
    stops = chain(panel)
    assert "Backbone" not in {named(widget) for widget in stops}
    check_order(stops, panel)


@pytest.mark.parametrize("name", ["objects", "slices"])
def test_tab_goes_so_in_the_windows_beside_the_dock(panel, qtbot, name):
    window = getattr(panel, name)
    window.show()
    qtbot.waitExposed(window)
    stops = chain(window)
    assert len(stops) == {"objects": 4, "slices": 1}[name]
    check_order(stops, window)
    assert all(named(widget) for widget in stops)


class NoEngine:
    """An engine that is never asked for anything."""

    running = False

    def close(self):
        pass


def test_in_a_window_tab_goes_from_the_strip_under_the_image_to_the_dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = Dock(viewer, NoEngine(), NoEngine)
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    everything_shown(dock)
    window = dock.window()
    qtbot.waitUntil(lambda: dock.strip.isVisibleTo(window))
    stops = chain(window, dock.strip)
    assert stops[:2] == [dock.strip, dock.help]
    ours = [widget for widget in stops if dock.isAncestorOf(widget)]
    assert stops[1 : len(ours) + 1] == ours, "nothing of napari's lies between"
    assert len(ours) > 50
    dock.controller.close()


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
