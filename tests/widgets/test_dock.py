"""The dock in a real window, with an engine that only plays its part."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QScrollBar, QTableView

from napari_salt.engine.requests import SegmentRequest
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.widgets.dock import Dock


class Runner:
    """An engine that answers at once."""

    def __init__(self):
        self.requests, self.closed = [], 0

    @property
    def running(self):
        return False

    def submit(self, request, planes, *, on_report, on_done, on_failed, on_stopped):
        self.requests.append(request)
        if isinstance(request, SegmentRequest):
            for index in request.slices:
                plane = planes.plane(index)
                labels = (plane > 0.5).astype(np.uint16)
                uncertain = np.abs(plane - 0.5).astype(np.float16)
                on_report(SlicePrediction(index, labels, uncertain, SliceSummary(index, 0.2)))
        on_done(None)
        return len(self.requests)

    def stop(self):
        pass

    def close(self):
        self.closed += 1


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def dock(viewer):
    widget = Dock(viewer, Runner())
    viewer.window.add_dock_widget(widget, name="Few-shot segmentation")
    return widget


def add_image(viewer, name="t1"):
    return viewer.add_image(np.random.default_rng(0).random((5, 16, 16)), name=name)


def test_an_empty_dock_says_what_to_do(dock):
    assert dock.hint.text() == "Open an image, or pick one that is open."
    assert not dock.adapt._adapt.isEnabled()
    assert "image" in dock.adapt._adapt.toolTip()


def test_the_first_image_opens_by_itself(viewer, dock):
    add_image(viewer)
    assert dock.image.facts() == "5 slices · 16 × 16"
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 paint"]
    assert "label" in dock.hint.text()
    viewer.layers["t1"].name = "brain"
    assert dock.image.value() == dock.controller.desk.place.key
    dock.reset_choices()
    assert len(viewer.layers) == 2


def test_the_strip_lines_up_with_the_slider(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    dock = Dock(viewer, Runner())
    viewer.window.add_dock_widget(dock, name="Few-shot segmentation")
    add_image(viewer)
    bars = viewer.window.dock_widgets["Few-shot segmentation"].window().findChildren(QScrollBar)
    (slider,) = [bar for bar in bars if bar.maximum() == 4 and bar.isVisible()]

    def lies_below(share):
        place = QPoint(round(slider.width() * share), 0)
        return dock.strip.sliceAt(dock.strip.mapFromGlobal(slider.mapToGlobal(place)).x())

    def lined_up():
        return [lies_below((index + 0.5) / 5) for index in range(5)] == [0, 1, 2, 3, 4]

    qtbot.waitUntil(lined_up, timeout=20_000)
    assert dock.strip.span()[0] > 100, "the panels on the left have no slices"
    viewer.window.resize(900, 600)
    qtbot.waitUntil(lined_up, timeout=20_000)
    qtbot.waitUntil(lambda: dock.strip._drawn == dock.strip.span(), timeout=20_000)
    slider.setVisible(False)
    assert dock.strip.span()[0] < 10, "without a slider it has the whole width"
    qtbot.waitUntil(lambda: dock.strip._drawn == dock.strip.span(), timeout=20_000)


def test_painting_is_counted(viewer, dock):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    assert viewer.layers["t1 paint"].mode == "paint"
    viewer.layers["t1 paint"].paint((2, 8, 8), 1)
    assert dock.labels.rows()[0].slices == 1
    viewer.layers["t1 paint"].undo()
    assert dock.labels.rows()[0].slices == 0


def test_the_table_and_the_brush_agree(viewer, dock):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    dock.labels.addRequested.emit("nucleus")
    assert viewer.layers["t1 paint"].selected_label == 2
    dock.labels.findChild(QTableView).selectRow(0)
    assert viewer.layers["t1 paint"].selected_label == 1
    viewer.layers["t1 paint"].selected_label = 2
    assert dock.labels.value() == 2


def test_predictions_fill_a_layer_of_their_own(viewer, dock, tmp_path):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    dock.controller.desk.session.use_adapter(tmp_path / "a")
    viewer.dims.set_current_step(0, 3)
    dock.segment.allRequested.emit()
    assert viewer.layers["t1 prediction"].data.any(axis=(1, 2)).all()
    assert dock.status.value().text == "5 slices segmented"
    dock.segment.uncertaintyToggled.emit(True)
    assert viewer.layers["t1 uncertainty"].visible
    dock.slice.acceptRequested.emit()
    paint = viewer.layers["t1 paint"]
    np.testing.assert_array_equal(paint.data[3], viewer.layers["t1 prediction"].data[3])
    viewer.dims.set_current_step(0, 0)
    dock.slice.undoRequested.emit()
    assert not paint.data.any()
    assert viewer.dims.current_step[0] == 3


def test_a_removed_paint_layer_comes_back(viewer, dock):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    viewer.layers["t1 paint"].paint((2, 8, 8), 1)
    viewer.layers.remove("t1 paint")
    assert dock.status.value().offer
    dock.status.offerTaken.emit()
    assert viewer.layers["t1 paint"].data[2, 8, 8] == 1


def test_a_removed_image_is_said_and_the_next_one_opens(viewer, dock):
    add_image(viewer, "a")
    add_image(viewer, "b")
    viewer.layers.remove("a")
    assert "a" in dock.status.value().text
    assert dock.image.facts()
    assert viewer.layers["b paint"].visible


def test_taking_the_dock_out_ends_the_engine_and_leaves_the_paint(viewer, dock, qtbot):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    viewer.layers["t1 paint"].paint((2, 8, 8), 1)
    runner = dock.controller.jobs._runner
    viewer.window.remove_dock_widget(dock)
    assert runner.closed == 1
    again = Dock(viewer, Runner())
    viewer.window.add_dock_widget(again, name="again")
    assert [row.name for row in again.labels.rows()] == ["cell", "background"]
    assert again.labels.rows()[0].slices == 1
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 paint"]


def docked_at_the_bottom(viewer):
    return [name for name in viewer.window.dock_widgets if name == "napari-salt slices"]


def test_the_strip_comes_and_goes_with_the_dock(viewer, dock, qtbot):
    add_image(viewer)
    assert docked_at_the_bottom(viewer)
    assert viewer.window.dock_widgets["napari-salt slices"] is dock.strip
    assert len(dock.strip.value().flags) == 5
    dock.strip.goRequested.emit(4)
    assert viewer.dims.current_step[0] == 4
    assert dock.strip.value().current == 4
    viewer.window.remove_dock_widget(dock)
    assert not docked_at_the_bottom(viewer)


def test_without_a_window_of_its_own_the_strip_stays_in_the_column(viewer, qtbot):
    dock = Dock(viewer, Runner())
    qtbot.addWidget(dock)
    assert dock.isAncestorOf(dock.strip)
    dock.controller.close()


def test_all_docks_can_be_taken_out_at_once(viewer, dock):
    viewer.window.remove_dock_widget("all")
    assert not docked_at_the_bottom(viewer)
    assert dock.controller.jobs._runner.closed == 1


def test_the_table_of_slices_follows_the_viewer(viewer, dock, tmp_path):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    dock.controller.desk.session.use_adapter(tmp_path / "a")
    dock.segment.allRequested.emit()
    dock.next.tableRequested.emit()
    assert dock.slices.isVisible()
    dock.slices.newsRequested.emit()
    table = dock.slices.model().table()
    assert len(table) == 5
    assert (table.uncertainty == 0.2).all()
    dock.slices._rows.selectRow(3)
    assert viewer.dims.current_step[0] == 3
    viewer.dims.set_current_step(0, 1)
    assert dock.slices._rows.currentIndex().row() == 1
    dock.slices.close()


def test_what_is_drawn_follows_the_theme(viewer, dock, qtbot):
    add_image(viewer)
    drawn = (dock.strip, dock.adapt._curve, dock.adapt._dice)
    for theme, dark_text in (("dark", False), ("light", True), ("dark", False)):
        viewer.theme = theme
        for widget in drawn:
            widget.ensurePolished()
            text = widget.palette().color(widget.foregroundRole())
            assert (text.lightness() < 128) == dark_text


def test_nothing_keeps_a_closed_dock_alive(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = Dock(viewer, Runner())
    viewer.window.add_dock_widget(dock, name="short-lived")
    add_image(viewer)
    controller = weakref.ref(dock.controller)
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(lambda: gc.collect() >= 0 and controller() is None)


def test_two_viewers_do_not_mix(make_napari_viewer):
    first, second = make_napari_viewer(), make_napari_viewer()
    docks = [Dock(viewer, Runner()) for viewer in (first, second)]
    for viewer, dock in zip((first, second), docks, strict=True):
        viewer.window.add_dock_widget(dock)
    add_image(first)
    assert docks[0].image.facts()
    assert not docks[1].image.facts()


def test_napari_opens_the_dock_by_name(make_napari_viewer):
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-salt")
    assert isinstance(dock, Dock)


def test_a_second_dock_of_a_viewer_leads_to_the_first(viewer, dock, qtbot):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    dock.parentWidget().hide()
    second = Dock(viewer, Runner())
    viewer.window.add_dock_widget(second, name="again")
    assert "Another dock of this window has the work" in second.hint.text()
    assert second.area.isHidden(), "there is nothing to press but the way out"
    assert docked_at_the_bottom(viewer) == ["napari-salt slices"]
    second.reset_choices()
    second.status.offerTaken.emit()
    assert not dock.parentWidget().isHidden()
    viewer.window.remove_dock_widget(second)
    assert dock.controller.jobs._runner.closed == 0
    assert [row.name for row in dock.labels.rows()] == ["cell", "background"]


def test_a_second_dock_takes_up_the_work_once_the_first_has_gone(viewer, dock):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    second = Dock(viewer, Runner())
    viewer.window.add_dock_widget(second, name="again")
    viewer.window.remove_dock_widget(dock)
    second.status.offerTaken.emit()
    assert not second.area.isHidden()
    assert [row.name for row in second.labels.rows()] == ["cell", "background"]
    assert docked_at_the_bottom(viewer) == ["napari-salt slices"]
    second.status.offerTaken.emit()
    assert second.controller.desk.session is not None
    viewer.window.remove_dock_widget(second)
    assert second.controller.jobs._runner.closed == 1


def test_labels_that_a_script_writes_into_the_paint_count(viewer, dock):
    add_image(viewer)
    dock.labels.addRequested.emit("cell")
    paint, session = viewer.layers["t1 paint"], dock.controller.desk.session
    paint.data[1:4, 2:9] = 1
    paint.refresh()
    assert session.annotations.painted_slices(1) == (1, 2, 3)
    assert dock.labels.rows()[0].slices == 3
    paint.data[0, 2:9] = 1
    assert [one.index for one in session.snapshot()] == [0, 1, 2, 3]
    assert session.annotations.painted_slices(1) == (0, 1, 2, 3)
