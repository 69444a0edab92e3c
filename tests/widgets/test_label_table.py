from __future__ import annotations

import pytest
from napari._qt.qt_resources import get_stylesheet
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QColorDialog, QLineEdit, QStyleOptionViewItem, QTableView

from napari_salt.records import BACKGROUND
from napari_salt.views import BACKGROUND_COLOR, LabelRow
from napari_salt.widgets.label_model import (
    COLOR,
    KEY,
    NAME,
    REMOVE,
    SLICES,
    LabelModel,
    slices_text,
)
from napari_salt.widgets.label_table import LabelTable
from napari_salt.widgets.plain import plain_text
from napari_salt.widgets.quiet import LEAST_CONTRAST, contrast

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)
ROWS = (
    LabelRow(1, "gray matter", RED, 12, "Alt+1"),
    LabelRow(2, "white matter", BLUE, 1, "Alt+2"),
    LabelRow(BACKGROUND, "background", BACKGROUND_COLOR, 0, "Alt+0"),
)


@pytest.fixture
def table(qtbot):
    widget = LabelTable()
    qtbot.addWidget(widget)
    widget.setRows(ROWS)
    return widget


@pytest.mark.parametrize(("count", "text"), [(0, "–"), (1, "1 slice"), (12, "12 slices")])
def test_slices_in_words(count, text):
    assert slices_text(count) == text


def test_cells_show_the_rows(table):
    model = table.model()
    text = [model.index(0, column).data() for column in (NAME, SLICES, KEY, REMOVE)]
    assert text == ["gray matter", "12 slices", "Alt+1", "×"]
    color = model.index(1, COLOR).data(Qt.ItemDataRole.DecorationRole)
    assert color.getRgb() == (0, 0, 255, 255)
    assert model.index(2, REMOVE).data() == ""


def test_a_name_that_is_cut_off_is_read_in_its_tooltip(table):
    name = "left superior temporal gyrus, <b>posterior</b> part"
    table.setRows((LabelRow(1, name, RED),))
    tip = table.model().index(0, NAME).data(Qt.ItemDataRole.ToolTipRole)
    assert tip.splitlines()[0] == plain_text(name)
    assert "rename" in tip.splitlines()[1]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_that_steps_back_can_be_read(table, theme):
    table.setStyleSheet(get_stylesheet(theme))
    table.show()
    view = table.findChild(QTableView)
    below = view.palette().color(QPalette.ColorRole.Base)
    assert below.name() == QColor(get_theme(theme).foreground.as_hex()).name()
    for column in (SLICES, KEY, REMOVE):
        option = QStyleOptionViewItem()
        option.palette = view.palette()
        view.itemDelegateForColumn(column).initStyleOption(option, table.model().index(0, column))
        text = option.palette.color(QPalette.ColorRole.Text)
        loud = view.palette().color(QPalette.ColorRole.Text)
        assert LEAST_CONTRAST <= contrast(text, below) < contrast(loud, below)


def test_contrast_is_that_of_the_guidelines():
    black, white, grey = QColor("#000000"), QColor("#ffffff"), QColor("#767676")
    assert contrast(black, white) == contrast(white, black) == pytest.approx(21)
    assert contrast(grey, white) == pytest.approx(4.54, abs=0.01)  # the lightest grey that does


def test_only_names_of_labels_are_editable(table):
    model = table.model()
    editable = [
        (row, column)
        for row in range(3)
        for column in range(5)
        if model.flags(model.index(row, column)) & Qt.ItemFlag.ItemIsEditable
    ]
    assert editable == [(0, NAME), (1, NAME)]


def test_selecting_a_row_tells_its_id(table, qtbot):
    view = table.findChild(QTableView)
    with qtbot.waitSignal(table.valueChanged) as told:
        view.selectRow(1)
    assert told.args == [2]
    assert table.value() == 2


def test_set_value_tells_nobody(table, qtbot):
    with qtbot.assertNotEmitted(table.valueChanged):
        table.setValue(BACKGROUND)
    assert table.value() == BACKGROUND


def test_new_rows_keep_the_selection(table):
    table.setValue(2)
    table.setRows((ROWS[1], ROWS[2]))
    assert table.value() == 2


def test_name_and_enter_ask_for_a_label(table, qtbot):
    line = table.findChild(QLineEdit)
    qtbot.keyClicks(line, "  nucleus ")
    with qtbot.waitSignal(table.addRequested) as asked:
        qtbot.keyClick(line, Qt.Key.Key_Return)
    assert asked.args == ["nucleus"]


def test_empty_name_asks_for_nothing(table, qtbot):
    with qtbot.assertNotEmitted(table.addRequested):
        qtbot.keyClick(table.findChild(QLineEdit), Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("typed", "asked"), [("grey matter", True), ("gray matter", False), ("", False)]
)
def test_rename_is_asked_not_done(qtbot, typed, asked):
    model = LabelModel()
    model.setRows(ROWS)
    told = []
    model.renameRequested.connect(lambda *args: told.append(args))
    assert model.setData(model.index(0, NAME), typed) is asked
    assert told == ([(1, "grey matter")] if asked else [])
    assert model.index(0, NAME).data() == "gray matter"


def cell_click(table, qtbot, row, column):
    view = table.findChild(QTableView)
    place = view.visualRect(table.model().index(row, column)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_click_on_the_cross_asks_to_remove(table, qtbot):
    table.show()
    with qtbot.waitSignal(table.removeRequested) as asked:
        cell_click(table, qtbot, 1, REMOVE)
    assert asked.args == [2]


def test_click_on_the_colour_asks_for_another(table, qtbot, monkeypatch):
    from qtpy.QtGui import QColor

    monkeypatch.setattr(QColorDialog, "getColor", lambda *args: QColor("#00ff00"))
    table.show()
    with qtbot.waitSignal(table.recolourRequested) as asked:
        cell_click(table, qtbot, 0, COLOR)
    assert asked.args == [1, (0.0, 1.0, 0.0, 1.0)]


def test_background_cannot_be_recoloured_or_removed(table, qtbot):
    table.show()
    with (
        qtbot.assertNotEmitted(table.removeRequested),
        qtbot.assertNotEmitted(table.recolourRequested),
    ):
        cell_click(table, qtbot, 2, COLOR)
        cell_click(table, qtbot, 2, REMOVE)


def test_delete_key_asks_to_remove(table, qtbot):
    table.setValue(1)
    with qtbot.waitSignal(table.removeRequested) as asked:
        qtbot.keyClick(table.findChild(QTableView), Qt.Key.Key_Delete)
    assert asked.args == [1]


def test_a_label_that_is_selected_can_be_seen(table, qtbot):
    many = tuple(LabelRow(number + 1, f"label {number}", RED) for number in range(60))
    with qtbot.waitExposed(table):
        table.show()
    view = table.findChild(QTableView)

    def is_seen(row):
        return view.viewport().rect().contains(view.visualRect(table.model().index(row, NAME)))

    table.setRows((*many, ROWS[-1]))
    table.setValue(60)
    assert is_seen(59)
    view.scrollToTop()
    table.setRows((LabelRow(1, "label 0", RED, 3), *many[1:], ROWS[-1]))
    assert is_seen(0), "who has scrolled away stays there while counts change"
    assert table.value() == 60
