"""Nothing is cut off in a small window, in either theme."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QLabel,
    QLineEdit,
    QScrollArea,
    QTableView,
    QToolButton,
    QTreeWidget,
    QWidget,
)

from napari_salt.key_table import resolve
from napari_salt.session.readiness import Action, Readiness
from napari_salt.views import (
    CurveState,
    ImageEntry,
    ImageState,
    LabelCurve,
    LabelRow,
    RoundRow,
    SliceState,
    StatusState,
    SuggestionState,
)
from napari_salt.widgets.dice_curve import DiceCurve
from napari_salt.widgets.dock import Dock
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.keys_overlay import KeysOverlay
from napari_salt.widgets.panel import Panel
from napari_salt.widgets.sparkline import Sparkline


def fill(panel):
    """As much as an afternoon brings about, in long words."""
    actions = {name: Action() for name in Readiness.__dataclass_fields__ if name != "hint"}
    facts = "1520 slices · 1024 × 1024 · 0.325 × 0.325 × 1.2 µm"
    hint = "Press Next slice to correct where it helps most, or export the masks."
    reason = "gray matter and white matter uncertain, unlike your 12 slices"
    colors = ((1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0))
    names = ("gray matter", "left superior temporal gyrus")
    rows = zip((1, 2), names, colors, strict=True)
    panel.set_image(ImageState((ImageEntry("a", "MNI brain T1 of a patient"),), "a", facts))
    panel.set_labels(tuple(LabelRow(i, name, rgb, 12, f"Alt+{i}") for i, name, rgb in rows))
    panel.set_slice(SliceState(1234, 1520, all_shown=True))
    panel.set_rounds((RoundRow(12, 30, "0.88", "1 min 41 s", "1.2 MB", "detail", active=True),))
    panel.set_score("held-out Dice 0.91 (round 11: 0.88)")
    panel.set_suggestion(SuggestionState(1234, reason))
    panel.set_readiness(Readiness(**actions, hint=hint))
    panel.set_status(StatusState("The paint layer was removed.", "warning", "Bring it back"))
    for fold in panel.findChildren(Fold):
        fold.setValue(True)


def cut_off(panel):
    """Texts of the labels and buttons that have less room than they need."""
    found = []
    for widget in [*panel.findChildren(QLabel), *panel.findChildren(QAbstractButton)]:
        if not widget.isVisibleTo(panel) or not widget.text():
            continue
        needed = widget.sizeHint()
        if isinstance(widget, QLabel) and widget.wordWrap():
            enough = widget.heightForWidth(widget.width()) <= widget.height()
        else:
            enough = needed.width() <= widget.width() and needed.height() <= widget.height()
        left = widget.mapTo(panel, QPoint(0, 0)).x()
        if not enough or left < 0 or left + widget.width() > panel.width():
            found.append(f"{widget.text()}: {widget.size()}, needs {needed}")
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_at_1280_by_800(make_napari_viewer, qtbot, theme):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    panel = Panel()
    viewer.window.add_dock_widget(panel, name="Few-shot segmentation")
    viewer.window.resize(1280, 800)
    fill(panel)
    with contextlib.suppress(TimeoutError):  # layouts settle one after the other
        qtbot.waitUntil(lambda: not cut_off(panel), timeout=5000)
    assert cut_off(panel) == []
    assert panel.height() <= 800
    scale = os.environ.get("SCALE_OF_LOOKS")
    assert scale is None or panel.devicePixelRatioF() == float(scale)
    assert panel.width() <= 420, "room is left for the image"
    area = panel.findChild(QScrollArea)
    assert area.widget().width() <= area.viewport().width(), "nothing lies beyond the edge"


class NoEngine:
    """An engine that is never asked for anything."""

    running = False

    def close(self):
        pass


def beyond_the_edge(dock):
    """Pixels that the Next button and the first line of its reason lack in the visible part."""
    area = dock.findChild(QScrollArea)
    button, reason = dock.next._next, dock.next._reason
    line = reason.mapTo(area.viewport(), QPoint(0, reason.fontMetrics().lineSpacing())).y()
    last = button.mapTo(area.viewport(), QPoint(0, button.height())).y()
    assert button.isVisible()
    assert last < line, "they are laid out, the reason below the button"
    return line - area.viewport().height()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_dock_can_be_narrow(make_napari_viewer, qtbot, theme):
    """About 300 pixels beside the image of a laptop, also when something wide has been folded away."""
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    dock = Dock(viewer, NoEngine(), NoEngine)
    docked = viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    viewer.window.resize(1280, 800)
    fill(dock)
    wide = QWidget(dock)
    wide.setMinimumWidth(500)
    dock.layout().addWidget(wide)
    qtbot.waitUntil(lambda: docked.width() > 500, timeout=5000)
    wide.hide()

    def narrow():
        dock.window().resizeDocks([docked], [300], Qt.Orientation.Horizontal)
        return docked.width() <= 320 and not cut_off(dock)

    with contextlib.suppress(TimeoutError):
        qtbot.waitUntil(narrow, timeout=5000)
    assert docked.width() <= 320
    assert cut_off(dock) == []
    area = dock.findChild(QScrollArea)
    assert area.widget().width() <= area.viewport().width(), "nothing lies beyond the edge"
    dock.controller.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_loop_is_seen_without_scrolling_at_1280_by_800(make_napari_viewer, qtbot, theme):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    dock = Dock(viewer, NoEngine(), NoEngine)
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    viewer.window.resize(1280, 800)
    fill(dock)
    dock.set_status(StatusState("slice 1234 of 1520"))
    curves = tuple(LabelCurve(row.name, row.color, ((1, 0.9),)) for row in dock.labels.rows())
    dock.set_curve(CurveState(labels=curves))
    for fold in dock.findChildren(Fold):
        fold.setValue(False)
    with contextlib.suppress(AssertionError, TimeoutError):  # layouts settle one after the other
        qtbot.waitUntil(lambda: beyond_the_edge(dock) <= 0, timeout=5000)
    assert beyond_the_edge(dock) <= 0
    dock.controller.close()


def test_nothing_is_cut_off_at_the_scale_of_a_4k_screen():
    """Two pixels of the screen for each of ours, which only a process of its own can have."""
    command = [sys.executable, "-m", "pytest", __file__, "-q", "-k", "cut_off_at_1280_by_800"]
    command += ["-p", "no:cacheprovider", "-o", "xvfb_width=3840", "-o", "xvfb_height=2160"]
    environment = {**os.environ, "QT_SCALE_FACTOR": "2", "SCALE_OF_LOOKS": "2"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "2 passed" in run.stdout, run.stdout[-4000:]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_list_of_keys_is_seen_as_a_whole(make_napari_viewer, qtbot, theme):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    panel = Panel()
    viewer.window.add_dock_widget(panel, name="Few-shot segmentation")
    panel.set_keys(resolve({}, {}, str))
    panel.show_keys()
    overlay = panel.findChild(KeysOverlay)
    with contextlib.suppress(TimeoutError):
        qtbot.waitUntil(lambda: not cut_off(overlay), timeout=5000)
    assert cut_off(overlay) == []
    assert overlay.height() <= 760


def test_all_text_is_as_large_as_napari_is_told_to_show_it(make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer(show=True)
    panel = Panel()
    viewer.window.add_dock_widget(panel, name="Few-shot segmentation")
    fill(panel)
    panel.slices.show()
    kinds = (QLineEdit, QAbstractItemView, QToolButton, DiceCurve, Sparkline)
    inside = [one for window in (panel, panel.slices) for one in window.findChildren(kinds)]
    appearance = get_settings().appearance
    monkeypatch.setattr(appearance, "font_size", 20)

    def too_small():
        return [one for one in inside if one.font().pointSizeF() < 20]

    assert {kind for kind in kinds if any(isinstance(one, kind) for one in inside)} == set(kinds)
    qtbot.waitUntil(lambda: not too_small(), timeout=5000)
    line = panel.labels.findChild(QLineEdit)
    qtbot.waitUntil(lambda: line.height() >= line.sizeHint().height(), timeout=5000)
    for table in (*panel.findChildren(QTableView), *panel.slices.findChildren(QTableView)):
        assert table.verticalHeader().defaultSectionSize() >= table.fontMetrics().height()
    (rounds,) = panel.findChildren(QTreeWidget)

    def row_fits():
        row = rounds.visualItemRect(rounds.topLevelItem(0))
        return row.height() >= rounds.fontMetrics().height()

    qtbot.waitUntil(row_fits, timeout=5000)  # it has no place while its columns are laid out
    shown = panel.labels.findChild(QTableView)
    assert shown.height() >= 3 * shown.rowHeight(0)


def test_the_check_can_fail(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.show()
    button = panel.adapt._adapt
    button.setFixedWidth(button.sizeHint().width() - 4)
    QApplication.processEvents()
    assert any(text.startswith("Adapt") for text in cut_off(panel))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_longer_words_move_nothing(make_napari_viewer, qtbot, theme):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    panel = Panel()
    viewer.window.add_dock_widget(panel, name="Few-shot segmentation")
    viewer.window.resize(1280, 800)
    fill(panel)
    for fold in panel.findChildren(Fold):
        fold.setValue(False)
    watched = (panel.image, panel.adapt._adapt, panel.export._masks)

    def places(words):
        panel.hint.setText(words)
        panel.next.setValue(SuggestionState(None, words))
        panel.status.setValue(StatusState(words))
        seen = [[]]

        def settled():
            seen.append([widget.mapTo(panel, QPoint(0, 0)).y() for widget in watched])
            return len(seen) > 20 and len({tuple(one) for one in seen[-20:]}) == 1

        qtbot.waitUntil(settled, timeout=20_000)
        return seen[-1]

    places("idle")
    assert places("Press Adapt.") == places(
        "Adapting; paint on meanwhile, it counts in the next one."
    )
