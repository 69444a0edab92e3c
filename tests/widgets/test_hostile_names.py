"""Names from files are shown as they are: nothing in them becomes a picture, a link or bold."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QLabel, QMessageBox, QTreeWidget, QWidget

import napari_salt.widgets
from napari_salt.engine.requests import AdaptRequest, AdaptResult, SegmentRequest
from napari_salt.records import FitRecord, SlicePrediction, SliceSummary
from napari_salt.widgets.dock import Dock
from napari_salt.widgets.panel import Panel
from napari_salt.widgets.plain import PlainLabel, plain_text

NAME = '<img src="x" onerror="alert(1)"><b>x</b>/../../etc'
ROLES = (
    Qt.ItemDataRole.ToolTipRole,
    Qt.ItemDataRole.StatusTipRole,
    Qt.ItemDataRole.WhatsThisRole,
)
"""Texts of items that Qt shows as HTML where they look like it; what stands in the cell is never HTML."""


class Runner:
    """An engine that answers at once, with a round of hostile words."""

    running = False

    def submit(self, request, planes, *, on_report, on_done, on_failed, on_stopped):
        if isinstance(request, SegmentRequest):
            for index in request.slices:
                labels = np.ones(planes.info.shape[1:], np.uint16)
                uncertain = np.zeros(labels.shape, np.float16)
                summary = SliceSummary(index, 0.2, {1: labels.size}, {1: 0.9})
                on_report(SlicePrediction(index, labels, uncertain, summary))
        if isinstance(request, AdaptRequest):
            record = replace(RECORD, slices=tuple(one.index for one in request.annotated))
            request.out.write_bytes(b"")
            on_done(AdaptResult(record, request.out, 3))
        else:
            on_done(None)
        return 1

    def stop(self):
        pass

    def close(self):
        pass


RECORD = FitRecord(
    *("salt", NAME, (0,), 3, 1.0, 10, "adapted", 0.8, 0.9, ((NAME, 0.9),)), score_note=NAME
)


def texts_as_html(root: QWidget) -> list[str]:
    """Every text in a tree of widgets that Qt would take for HTML."""
    shown = []
    for widget in (root, *root.findChildren(QWidget)):
        shown += [widget.toolTip(), widget.statusTip(), widget.whatsThis()]
        if isinstance(widget, QLabel) and widget.textFormat() != Qt.TextFormat.PlainText:
            shown.append(widget.text())
        if isinstance(widget, QAbstractItemView | QComboBox) and widget.model() is not None:
            shown += item_texts(widget.model())
        if isinstance(widget, QTreeWidget):
            items = [widget.topLevelItem(row) for row in range(widget.topLevelItemCount())]
            shown += [item.toolTip(column) for item in items for column in range(10)]
    return [text for text in shown if Qt.mightBeRichText(text)]


def item_texts(model) -> list[str]:
    cells = [
        model.index(row, column)
        for row in range(min(model.rowCount(), 20))
        for column in range(model.columnCount())
    ]
    found = [model.data(cell, role) for cell in cells for role in ROLES]
    columns = range(model.columnCount())
    across = Qt.Orientation.Horizontal
    found += [model.headerData(column, across, role) for column in columns for role in ROLES]
    return [text for text in found if isinstance(text, str)]


def all_texts(root: QWidget) -> str:
    """What stands anywhere in a tree of widgets, to see that the name has got there at all."""
    found = []
    for widget in root.findChildren(QWidget):
        found += [widget.toolTip(), getattr(widget, "text", str)()]
    return "\n".join(found)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def dock(viewer):
    widget = Dock(viewer, Runner())
    viewer.window.add_dock_widget(widget, name="Few-shot segmentation")
    return widget


def test_the_whole_loop_shows_a_hostile_name_as_text(viewer, dock):
    viewer.add_image(np.random.default_rng(0).random((5, 16, 16)), name=NAME)
    assert texts_as_html(dock) == []
    dock.labels.addRequested.emit(NAME)
    dock.labels.addRequested.emit(NAME)  # refused with a sentence that holds the name
    assert NAME in dock.status.value().text
    assert texts_as_html(dock) == []
    session = dock.controller.desk.session
    session.annotations.paint[0] = 1
    session.annotations.touched(0)
    dock.slice.valueChanged.emit(True)
    for press in (dock.wishes.adapt, dock.wishes.segment_all, dock.wishes.next_slice):
        press.emit()
        assert texts_as_html(dock) == []
    dock.slices.newsRequested.emit()
    assert texts_as_html(dock.slices) == []
    assert plain_text(NAME) in all_texts(dock)
    assert len(session.rounds) == 1


def test_questions_and_notices_are_text(qtbot, monkeypatch):
    panel = Panel()
    qtbot.addWidget(panel)
    asked, said = [], []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: asked.append(box.textFormat()))
    panel.confirm(f"Delete {NAME}?", "Delete")
    assert asked == [Qt.TextFormat.PlainText]
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    panel.notify(f"{NAME} is there already.", "error")
    assert not Qt.mightBeRichText(said[0])
    assert said[0].replace("\u200b", "") == f"{NAME} is there already."


def test_a_plain_label_shows_tags(qtbot):
    label, same = PlainLabel("<b>x</b>"), QLabel("x")
    qtbot.addWidget(label)
    qtbot.addWidget(same)
    assert label.sizeHint().width() > same.sizeHint().width() * 3
    assert Qt.mightBeRichText("<b>x</b>")
    assert not Qt.mightBeRichText(plain_text("<b>x</b><?xml version='1'?><!-- x -->"))


def test_every_label_of_ours_is_plain():
    folder = Path(napari_salt.widgets.__file__).parent
    made = [
        f"{file.name}:{node.lineno}"
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "QLabel"
    ]
    assert not made, f"make these PlainLabel: {made}"


@pytest.mark.parametrize(
    "name", ["a_very_long_name_of_a_file_2024-05-06_position_7.ome.tif", "x" * 90]
)
def test_lines_end_within_long_words(qtbot, name):
    label = PlainLabel()
    qtbot.addWidget(label)
    label.setWordWrap(True)
    text = f"masks saved to {name}; short words stay whole"
    label.setText(text)
    assert label.text() == text
    whole = label.fontMetrics().horizontalAdvance(name)
    assert label.minimumSizeHint().width() < whole / 2
    label.setText("short words stay whole")
    assert "\u200b" not in QLabel.text(label)
