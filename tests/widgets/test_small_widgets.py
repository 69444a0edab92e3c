from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPalette, QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QSpinBox,
    QToolButton,
)

from napari_salt.records import FitSettings, IntensityChoice
from napari_salt.views import (
    AxisEntry,
    ComparisonState,
    CurveState,
    DisplayState,
    ImageEntry,
    ImageNote,
    ImageState,
    LabelCurve,
    LevelEntry,
    ProgressState,
    RoundRow,
    StatusState,
    SuggestionState,
)
from napari_salt.widgets.action_button import ActionButton
from napari_salt.widgets.adapt_panel import AdaptPanel
from napari_salt.widgets.dice_curve import DiceCurve
from napari_salt.widgets.export_panel import ExportPanel
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.image_choice import ImageChoice
from napari_salt.widgets.next_panel import NextPanel
from napari_salt.widgets.progress_line import ProgressLine
from napari_salt.widgets.rounds_list import RoundsList
from napari_salt.widgets.segment_panel import SegmentPanel
from napari_salt.widgets.settings_panel import SettingsPanel
from napari_salt.widgets.sparkline import Sparkline, scaled, span
from napari_salt.widgets.status_line import StatusLine


def test_disabled_button_says_why(qtbot):
    button = ActionButton("Adapt", "Learn from paint")
    qtbot.addWidget(button)
    button.setAvailable(False, "Paint a slice first.")
    assert not button.isEnabled()
    assert button.toolTip().startswith("Paint a slice first.")
    button.setAvailable(True, "")
    assert button.isEnabled()
    assert button.toolTip() == "Learn from paint"


def test_fold_shows_and_hides(qtbot):
    content = QLabel("inside")
    fold = Fold("Advanced", content)
    qtbot.addWidget(fold)
    fold.show()
    assert not content.isVisible()
    with qtbot.waitSignal(fold.valueChanged) as told:
        qtbot.mouseClick(fold.findChild(QToolButton), Qt.MouseButton.LeftButton)
    assert told.args == [True]
    assert content.isVisible()
    assert fold.value()


def test_image_choice_follows_the_state(qtbot):
    choice = ImageChoice()
    qtbot.addWidget(choice)
    assert choice.value() is None
    entries = (ImageEntry("a", "t1"), ImageEntry("b", "t2"))
    with qtbot.assertNotEmitted(choice.valueChanged):
        choice.setValue(ImageState(entries, "b", "152 slices"))
    assert choice.value() == "b"
    assert choice.facts() == "152 slices"
    combo = choice.findChildren(QComboBox)[0]
    with qtbot.waitSignal(choice.valueChanged) as told:
        combo.setCurrentIndex(0)
        combo.activated.emit(0)
    assert told.args == ["a"]


def test_slice_axis_is_offered_only_where_there_is_a_choice(qtbot):
    choice = ImageChoice()
    qtbot.addWidget(choice)
    choice.show()
    axis = choice.findChildren(QComboBox)[1]
    choice.setValue(ImageState((ImageEntry("a", "t1"),), "a", "facts"))
    assert not axis.isVisible()
    axes = (AxisEntry(0, "t"), AxisEntry(1, "z"))
    choice.setValue(ImageState((ImageEntry("a", "t1"),), "a", "facts", axes, 1))
    assert axis.isVisible()
    assert axis.currentText() == "z"
    with qtbot.waitSignal(choice.axisChanged) as told:
        axis.activated.emit(0)
    assert told.args == [0]


def test_settings_round_trip(qtbot):
    panel = SettingsPanel()
    qtbot.addWidget(panel)
    assert panel.value() == FitSettings()
    wanted = FitSettings(
        kind="lora",
        backbone="/some/sam_vit_b.pth",
        rank=16,
        low_rank=0,
        steps=40,
        time_budget=90.0,
        seed=7,
        device="cuda:1",
        text_model="other",
        intensity=IntensityChoice("window", -0.1234567890123, 150.0),
    )
    with qtbot.assertNotEmitted(panel.valueChanged):
        panel.setValue(wanted)
    assert panel.value() == wanted


def test_a_changed_setting_is_told_once(qtbot):
    panel = SettingsPanel()
    qtbot.addWidget(panel)
    told = []
    panel.valueChanged.connect(told.append)
    panel.findChildren(QSpinBox)[2].setValue(30)
    assert [settings.steps for settings in told] == [30]


def checkbox(panel, name):
    return next(one for one in panel.findChildren(QCheckBox) if one.accessibleName() == name)


def test_other_stacks_are_prepared_for_until_that_is_turned_off(qtbot):
    panel = SettingsPanel()
    qtbot.addWidget(panel)
    assert panel.value().other_stacks
    with qtbot.waitSignal(panel.valueChanged) as told:
        checkbox(panel, "Other stacks").click()
    assert told.args == [FitSettings(other_stacks=False)]
    panel.setValue(FitSettings())
    assert checkbox(panel, "Other stacks").isChecked()


def test_looking_ahead_is_on_until_it_is_turned_off(qtbot):
    panel = SettingsPanel()
    qtbot.addWidget(panel)
    box = checkbox(panel, "Look ahead")
    assert box.isChecked()
    told = []
    panel.lookingAheadChanged.connect(told.append)
    with qtbot.assertNotEmitted(panel.valueChanged):
        box.click()
    assert told == [False]


def test_the_wheel_changes_nothing_without_focus(qtbot):
    panel = SettingsPanel()
    qtbot.addWidget(panel)
    panel.show()
    spin = panel.findChildren(QSpinBox)[2]
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(0, 120),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(spin, event)
    assert panel.value() == FitSettings()


def test_status_shows_its_offer(qtbot):
    line = StatusLine()
    qtbot.addWidget(line)
    line.show()
    button = line.findChild(QPushButton)
    line.setValue(StatusState("idle"))
    assert not button.isVisible()
    line.setValue(StatusState("The paint layer was removed.", "warning", "Bring it back"))
    assert button.isVisible()
    with qtbot.waitSignal(line.offerTaken):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ProgressState(), (0, 1, 0)),
        (ProgressState(True, "loading weights"), (0, 0, -1)),
        (ProgressState(True, "adapting 84/150", 84, 150), (0, 150, 84)),
    ],
)
def test_progress(qtbot, state, shown):
    line = ProgressLine()
    qtbot.addWidget(line)
    line.setState(state)
    low, high, value = shown
    assert (line.minimum(), line.maximum()) == (low, high)
    assert value in (-1, line.value())


def test_rounds_newest_first_and_restore(qtbot):
    rounds = RoundsList()
    qtbot.addWidget(rounds)
    rows = (
        RoundRow(1, 3, "0.88", "41 s", "1.2 MB", "first"),
        RoundRow(2, 5, "0.91", "52 s", "1.2 MB", "second", active=True),
    )
    rounds.setRows(rows)
    tree = rounds.findChild(type(rounds._list))
    assert [tree.topLevelItem(i).text(1) for i in range(2)] == ["2", "1"]
    assert tree.topLevelItem(0).text(0) == "●"
    button = rounds.findChild(ActionButton)
    assert not button.isEnabled()
    tree.topLevelItem(1).setSelected(True)
    assert button.isEnabled()
    with qtbot.waitSignal(rounds.restoreRequested) as asked:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked.args == [1]
    rounds.setAvailable(False, "A job is running.")
    assert not button.isEnabled()
    assert "A job is running." in button.toolTip()


def test_no_column_of_the_rounds_is_cut_off(qtbot):
    rounds = RoundsList()
    qtbot.addWidget(rounds)
    rounds.setRows((RoundRow(12, 30, "0.85 → 0.91", "1 min 41 s", "1.2 MB", "detail"),))
    rounds.show()
    tree, seen = rounds._list, set()
    for width in range(500, 150, -10):
        rounds.resize(width, 200)
        QApplication.processEvents()
        shown = [column for column in range(6) if not tree.isColumnHidden(column)]
        starts = sum(tree.columnWidth(column) for column in shown[:-1])
        fits = starts + tree.sizeHintForColumn(shown[-1]) <= tree.viewport().width()
        assert shown == list(range(len(shown))), "the last ones go first"
        assert fits or len(shown) == 4, width
        seen.add(len(shown))
    assert seen == {4, 5, 6}
    assert "adapter of 1.2 MB" in tree.topLevelItem(0).toolTip(1)


def test_two_rounds_are_compared(qtbot):
    rounds = RoundsList()
    qtbot.addWidget(rounds)
    rows = tuple(
        RoundRow(number, 3, "0.88", "41 s", "1.2 MB", "", active=number == 2)
        for number in (1, 2, 3)
    )
    rounds.setRows(rows)
    rounds.setCompareAvailable(True)
    tree, button = rounds._list, rounds._compare_button

    def select(*numbers):
        tree.clearSelection()
        for place in range(3):
            item = tree.topLevelItem(place)
            item.setSelected(int(item.text(1)) in numbers)

    for numbers, pair in (((1,), (1, 2)), ((3,), (2, 3)), ((1, 3), (1, 3))):
        select(*numbers)
        with qtbot.waitSignal(rounds.compareRequested) as asked:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert tuple(asked.args) == pair
    for numbers in ((), (2,), (1, 2, 3)):
        select(*numbers)
        assert not button.isEnabled(), numbers
        assert "two rounds" in button.toolTip()
    rounds.setRows(rows)
    assert rounds.selected() == (1, 2, 3)
    rounds.setCompareAvailable(False, "Segmenting now.")
    assert "Segmenting now." in button.toolTip()


def test_a_comparison_can_be_cleared(qtbot):
    rounds = RoundsList()
    qtbot.addWidget(rounds)
    rounds.show()
    assert not rounds._end_button.isVisible()
    rounds.setComparison(ComparisonState("round 1 filled, round 2 outlined"))
    with qtbot.waitSignal(rounds.comparisonEndRequested):
        qtbot.mouseClick(rounds._end_button, Qt.MouseButton.LeftButton)
    rounds.setComparison(ComparisonState())
    assert not rounds._end_button.isVisible()


def test_curves_have_a_place_only_where_there_is_something_to_draw(qtbot):
    panel = AdaptPanel()
    qtbot.addWidget(panel)
    panel.show()
    curve, dice = panel.findChild(Sparkline), panel.findChild(DiceCurve)
    assert (curve.isVisible(), dice.isVisible()) == (False, False)
    labels = (
        LabelCurve("gray matter", (1.0, 0.5, 0.0, 1.0), ((1, 0.8), (2, 0.9))),
        LabelCurve("white matter", (0.0, 0.5, 1.0, 1.0), ((2, 0.7),)),
    )
    panel.setCurve(CurveState(labels=labels))
    assert (curve.isVisible(), dice.isVisible()) == (False, True)
    assert "gray matter: round 1: 0.800, round 2: 0.900" in dice.toolTip()
    panel.setCurve(CurveState(((0, 1.0), (9, 0.5)), labels=labels))
    assert (curve.isVisible(), dice.isVisible()) == (True, True)


@pytest.mark.parametrize(("text", "red"), [("black", 182), ("white", 255)])
def test_dice_curves_are_drawn_in_the_colours_of_labels(qtbot, text, red):
    dice = DiceCurve()
    qtbot.addWidget(dice)
    palette = QPalette()
    palette.setColor(dice.foregroundRole(), QColor(text))
    dice.setPalette(palette)
    dice.resize(220, 44)
    dice.setValue((LabelCurve("cell", (1.0, 0.0, 0.0, 1.0), ((1, 0.8), (2, 0.9))),))
    image = dice.grab().toImage()
    pixels = [image.pixelColor(x, y) for x in range(220) for y in range(44)]
    assert any((p.red(), p.green(), p.blue()) == (red, 0, 0) for p in pixels)


@pytest.mark.parametrize(("points", "left"), [(((1, 0.8),), True), (((1, 0.8), (2, 0.9)), False)])
def test_of_one_round_there_is_no_curve_but_a_legend(qtbot, points, left):
    dice = DiceCurve()
    qtbot.addWidget(dice)
    dice.resize(220, 44)
    dice.setValue((LabelCurve("cell", (1.0, 0.0, 0.0, 1.0), points),))
    image = dice.grab().toImage()
    red = QColor(255, 0, 0).darker(140).rgb()
    corner = {image.pixel(x, y) for x in range(12) for y in range(22)}
    assert (red in corner) == left, "the mark of the legend"
    assert len({image.pixel(40, y) for y in range(36, 43)}) == 1 + (not left), "the axis"


def test_suggestion_in_words(qtbot):
    panel = NextPanel()
    qtbot.addWidget(panel)
    panel.setValue(SuggestionState(97, "white matter uncertain"))
    assert panel.reason() == "slice 97: white matter uncertain"
    panel.setValue(SuggestionState(None, "every slice is labelled"))
    assert panel.reason() == "every slice is labelled"


def test_curve_points_fill_the_box():
    box = QRectF(10, 0, 100, 50)
    points = scaled([(0, 1.0), (50, 0.5), (100, 0.0)], 100, 0.0, 1.0, box)
    assert [(p.x(), p.y()) for p in points] == [(10, 0), (60, 25), (110, 50)]


@pytest.mark.parametrize(
    ("values", "least", "low_high"),
    [((), 0.1, (0, 1)), ((0.5,), 0.2, (0.4, 0.6)), ((0.2, 0.8), 0.1, (0.2, 0.8))],
)
def test_curve_spans_what_it_shows(values, least, low_high):
    assert span(values, least) == pytest.approx(low_high)


def test_the_display_is_shown_without_telling(qtbot):
    panel = SegmentPanel()
    qtbot.addWidget(panel)
    state = DisplayState(False, 0.3, True, True)
    told = [panel.predictionToggled, panel.opacityChanged, panel.uncertaintyToggled]
    with (
        qtbot.assertNotEmitted(told[0]),
        qtbot.assertNotEmitted(told[1]),
        qtbot.assertNotEmitted(told[2]),
    ):
        panel.setValue(state)
    assert panel.value() == state


def test_curve_draws_what_it_is_given(qtbot):
    line = Sparkline()
    qtbot.addWidget(line)
    line.resize(200, 44)
    empty = line.grab().toImage()
    line.setValue(CurveState(((0, 1.0), (10, 0.4)), ((10, 0.8),), 20))
    assert line.grab().toImage() != empty
    assert "0.400" in line.toolTip()
    assert "0.800" in line.toolTip()


def test_image_note_and_its_offer(qtbot):
    choice = ImageChoice()
    qtbot.addWidget(choice)
    taken = []
    choice.offerTaken.connect(lambda: taken.append(True))
    choice.setValue(ImageState(note=ImageNote("a.png")))
    assert (choice.note(), choice.offer()) == ("a.png", "")
    assert choice._offer.isHidden()
    choice.setValue(ImageState(note=ImageNote("One of 3 single images.", "Make one stack of 3")))
    assert not choice._offer.isHidden()
    assert not taken
    choice._offer.click()
    assert taken == [True]


def test_levels_are_offered_only_where_there_are_some(qtbot):
    choice = ImageChoice()
    qtbot.addWidget(choice)
    choice.show()
    told = []
    choice.levelChanged.connect(told.append)
    assert not choice._level.isVisible()
    levels = (LevelEntry(0, "64 × 64 (full resolution)"), LevelEntry(1, "32 × 32 (level 1 of 1)"))
    entries = (ImageEntry("a", "t1"),)
    choice.setValue(ImageState(entries, "a", levels=levels, level=1))
    assert choice._level.isVisible()
    assert choice._level.currentText() == "32 × 32 (level 1 of 1)"
    assert told == [], "showing is no wish"
    choice._level.setCurrentIndex(0)
    choice._level.activated.emit(0)
    assert told == [0]
    choice.setValue(ImageState(entries, "a"))
    assert not choice._level.isVisible()


def test_full_resolution_is_offered_for_coarser_levels_only(qtbot):
    panel = ExportPanel()
    qtbot.addWidget(panel)
    panel.show()
    told = []
    panel.fullResolutionChanged.connect(told.append)
    assert not panel._full.isVisible()
    panel.setCoarse(True)
    assert panel._full.isVisible()
    assert panel._full.isChecked()
    panel._full.click()
    assert told == [False]
    panel.setCoarse(False)
    assert not panel._full.isVisible()
