"""The table of slices: order, going there, news only while it is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_salt.session.coverage import COMPLETE, OUTDATED, PAINTED, PREDICTED
from napari_salt.session.slice_table import NO_AREA, SliceTable
from napari_salt.widgets.slices_model import (
    FIRST_LABEL,
    PAINT,
    PREDICTION,
    SLICE,
    UNCERTAINTY,
    SlicesModel,
)
from napari_salt.widgets.slices_window import SlicesWindow

UP, DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


def table(unit="mm"):
    return SliceTable(
        ("cell",),
        np.array([[30], [NO_AREA], [8], [100]]),
        np.array([0.2, np.nan, 0.4, 0.1]),
        bytes([PAINTED, 0, PREDICTED | OUTDATED, PREDICTED | PAINTED | COMPLETE]),
        0.5,
        unit,
    )


@pytest.mark.parametrize(
    ("column", "order", "slices"),
    [
        (SLICE, UP, [0, 1, 2, 3]),
        (SLICE, DOWN, [3, 2, 1, 0]),
        (UNCERTAINTY, UP, [3, 0, 2, 1]),
        (UNCERTAINTY, DOWN, [2, 0, 3, 1]),
        (FIRST_LABEL, DOWN, [3, 0, 2, 1]),
        (PAINT, DOWN, [3, 0, 1, 2]),
        (PREDICTION, DOWN, [3, 2, 0, 1]),
    ],
)
def test_sorting_puts_the_unknown_last(qapp, column, order, slices):
    model = SlicesModel()
    model.setTable(table())
    model.sort(column, order)
    assert [model.sliceAt(row) for row in range(4)] == slices
    assert [model.sliceAt(model.rowOf(index)) for index in range(4)] == [0, 1, 2, 3]


def cells(model, row):
    return [model.data(model.index(row, column)) for column in range(model.columnCount())]


def test_cells_in_words_and_units(qapp):
    model = SlicesModel()
    model.setTable(table())
    assert model.headerData(FIRST_LABEL, Qt.Orientation.Horizontal) == "cell (mm²)"
    assert cells(model, 0) == ["0", "painted", "", "0.200", "15"]
    assert cells(model, 1) == ["1", "", "", "", ""]
    assert cells(model, 2) == ["2", "", "out of date", "0.400", "4"]
    assert cells(model, 3) == ["3", "complete", "predicted", "0.100", "50"]
    model.setTable(table(unit=""))
    assert model.headerData(FIRST_LABEL, Qt.Orientation.Horizontal) == "cell (pixels)"
    assert cells(model, 0)[-1] == "30"


@pytest.mark.parametrize(
    ("area", "said"),
    [(0.123456, "0.1235"), (999.96, "1000"), (12943.5, "12944"), (2.5e6, "2500000")],
)
def test_areas_are_never_told_as_powers_of_ten(qapp, area, said):
    model = SlicesModel()
    one = table()
    model.setTable(replace(one, areas=np.array([[1]] * 4), pixel_area=area))
    assert cells(model, 0)[-1] == said


def test_the_order_outlives_news(qapp):
    model = SlicesModel()
    model.setTable(table())
    model.sort(UNCERTAINTY, DOWN)
    news = table()
    news.uncertainty[3] = 0.9
    model.setTable(news)
    assert model.sliceAt(0) == 3
    model.setTable(None)
    assert (model.rowCount(), model.rowOf(0)) == (0, -1)


@pytest.fixture
def window(qtbot):
    window = SlicesWindow()
    qtbot.addWidget(window)
    window.setTable(table())
    return window


def test_a_row_asks_to_go_to_its_slice(window, qtbot):
    window._rows.sortByColumn(UNCERTAINTY, DOWN)
    with qtbot.waitSignal(window.goRequested) as asked:
        window._rows.selectRow(0)
    assert asked.args == [2]


def test_the_slice_on_screen_is_marked_without_telling(window, qtbot):
    with qtbot.assertNotEmitted(window.goRequested):
        window.setCurrent(2)
        window._rows.sortByColumn(UNCERTAINTY, UP)
    assert window.model().sliceAt(window._rows.currentIndex().row()) == 2
    news = table()
    news.uncertainty[2] = 0.0
    window.setTable(news)
    assert window._rows.currentIndex().row() == 0


def test_a_hidden_table_marks_the_slice_on_screen_as_soon_as_it_is_shown(window):
    window.setCurrent(2)
    assert not window._rows.currentIndex().isValid()
    window.show()
    assert window.model().sliceAt(window._rows.currentIndex().row()) == 2


def test_news_are_asked_for_only_while_shown(window, qtbot):
    assert not window._timer.isActive()
    with qtbot.waitSignal(window.newsRequested):
        window.show()
    assert window._timer.isActive()
    assert window._timer.interval() >= 500
    window.hide()
    assert not window._timer.isActive()


def test_nothing_can_be_saved_of_nothing(window):
    button = window.findChild(QPushButton)
    assert button.isEnabled()
    window.setTable(None)
    assert not button.isEnabled()
    assert "Open an image" in button.toolTip()


def test_only_what_is_seen_is_asked_of_ten_thousand_rows(window, qtbot, monkeypatch):
    count = 10_000
    rng = np.random.default_rng(0)
    large = SliceTable(
        ("a", "b"), rng.integers(0, 99, (count, 2)), rng.random(count), bytes([PREDICTED]) * count
    )
    window.show()
    asked = set()
    data = window.model().data
    monkeypatch.setattr(
        window.model(), "data", lambda index, role=0: (asked.add(index.row()), data(index, role))[1]
    )
    window.setTable(large)
    window._rows.sortByColumn(UNCERTAINTY, DOWN)
    window.grab()
    assert window.model().sliceAt(0) == int(large.uncertainty.argmax())
    assert len(asked) < 500
