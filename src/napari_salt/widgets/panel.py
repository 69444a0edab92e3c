"""All panels in one column: the view that the controller talks to. Knows no viewer."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_salt.views import StatusState, Wishes
from napari_salt.widgets.adapt_panel import AdaptPanel
from napari_salt.widgets.assist_panel import AssistPanel
from napari_salt.widgets.caption import Caption
from napari_salt.widgets.coverage_strip import CoverageStrip
from napari_salt.widgets.export_panel import ExportPanel
from napari_salt.widgets.fold import Fold
from napari_salt.widgets.image_choice import ImageChoice
from napari_salt.widgets.keys_overlay import KeysOverlay
from napari_salt.widgets.label_table import LabelTable
from napari_salt.widgets.next_panel import NextPanel
from napari_salt.widgets.objects_window import ObjectsWindow
from napari_salt.widgets.plain import PlainLabel, plain_text
from napari_salt.widgets.progress_line import ProgressLine
from napari_salt.widgets.reserve import reserve_lines
from napari_salt.widgets.rule import Rule
from napari_salt.widgets.scrolled_column import ScrolledColumn
from napari_salt.widgets.segment_panel import SegmentPanel
from napari_salt.widgets.settings_panel import SettingsPanel
from napari_salt.widgets.slice_panel import SlicePanel
from napari_salt.widgets.slices_window import SlicesWindow
from napari_salt.widgets.status_line import StatusLine
from napari_salt.widgets.tab_order import follow_layout
from napari_salt.widgets.text_font import follow_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_salt.key_table import KeysState
    from napari_salt.records import FitSettings
    from napari_salt.session.readiness import Readiness
    from napari_salt.session.slice_table import SliceTable
    from napari_salt.views import (
        AssistState,
        ComparisonState,
        CoverageState,
        CurveState,
        DisplayState,
        ImageState,
        IntensityState,
        LabelRow,
        NoticeLevel,
        ProgressState,
        RoundRow,
        SliceState,
        SuggestionState,
    )


class Panel(QWidget):
    """The dock's content; implements `napari_salt.views.DockView`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.wishes = Wishes()
        self.hint = PlainLabel(self)
        self.hint.setWordWrap(True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.hint.setAccessibleName("what to do next")
        reserve_lines(self.hint, 2)
        self.help = QToolButton(self)
        self.help.setText("?")
        self.help.setAccessibleName("keys")
        self.help.setToolTip("List the keys")
        self.help.clicked.connect(self.show_keys)
        self.keys = KeysOverlay(self)
        self.image = ImageChoice(self)
        self.labels = LabelTable(self)
        self.slice = SlicePanel(self)
        self.assist = AssistPanel(self)
        self.slice.fill.addButton(self.assist.switch)
        self.adapt = AdaptPanel(self)
        self.segment = SegmentPanel(self)
        self.next = NextPanel(self)
        self.export = ExportPanel(self)
        self.settings = SettingsPanel(self)
        self.advanced = Fold("Advanced", self.settings, self)
        self.strip = CoverageStrip(self)
        self.slices = SlicesWindow(self)
        self.objects = ObjectsWindow(self)
        self.progress = ProgressLine(self)
        self.status = StatusLine(self)
        self._lay_out()
        self._listen()

    def sizeHint(self) -> QSize:
        """Wide enough for every caption."""
        return super().sizeHint() if self.area.isHidden() else QSize(360, 720)

    # ---- DockView

    def set_image(self, state: ImageState) -> None:
        """Show the images to choose from and the facts of the chosen one."""
        self.image.setValue(state)
        self.export.setCoarse(state.level > 0)

    def set_labels(self, rows: tuple[LabelRow, ...]) -> None:
        """Show the label table; a label that has come empties the line of the new name."""
        if len(rows) > len(self.labels.rows()):
            self.labels.clearName()
        self.labels.setRows(rows)

    def set_selected_label(self, label_id: int | None) -> None:
        """Mark the row of the label that the brush paints."""
        self.labels.setValue(label_id)

    def set_slice(self, state: SliceState) -> None:
        """Show where the viewer is, and whether that slice is complete."""
        self.slice.setValue(state)
        self.slices.setCurrent(state.index)

    def set_readiness(self, readiness: Readiness) -> None:
        """Enable what can work now; the rest says why not."""
        self.labels.setAvailable(readiness.add_label.enabled, readiness.add_label.why_not)
        panels = (self.slice, self.adapt, self.segment, self.next, self.export, self.objects)
        for panel in panels:
            panel.setReadiness(readiness)
        self.hint.setText(readiness.hint)

    def set_progress(self, state: ProgressState) -> None:
        """Show the progress of the running job."""
        self.progress.setState(state)

    def set_curve(self, state: CurveState) -> None:
        """Show the curve of the running or last fit."""
        self.adapt.setCurve(state)

    def set_score(self, text: str) -> None:
        """Show the held-out score of the active round in words."""
        self.adapt.setScore(text)

    def set_rounds(self, rows: tuple[RoundRow, ...]) -> None:
        """Show the rounds."""
        self.adapt.setRounds(rows)

    def set_display(self, state: DisplayState) -> None:
        """Show how the prediction is shown."""
        self.segment.setValue(state)

    def set_suggestion(self, state: SuggestionState) -> None:
        """Show the slice to correct next."""
        self.next.setValue(state)

    def set_status(self, state: StatusState) -> None:
        """Show the status line."""
        self.status.setValue(state)

    def set_assist(self, state: AssistState) -> None:
        """Show the box tool."""
        self.assist.setValue(state)

    def set_settings(self, settings: FitSettings) -> None:
        """Show the settings of the next fit."""
        self.settings.setValue(settings)

    def set_intensity(self, state: IntensityState) -> None:
        """Show what the choice of intensities means on the open stack."""
        self.settings.intensity.setState(state)

    def set_keys(self, state: KeysState) -> None:
        """Name the keys in tooltips and in the list of keys."""
        for panel in (self.slice, self.assist, self.adapt, self.segment, self.next):
            panel.setKeys(state)
        self.keys.setValue(state)
        self.help.setToolTip(f"List the keys [{state.key('show_keys')}]".removesuffix(" []"))

    def show_keys(self) -> None:
        """Show the list of keys; it stays open beside the work until Esc."""
        self.keys.show()
        self.keys.raise_()
        self.keys.activateWindow()

    def standAside(self, sentence: str, way_out: str, go: Callable[[], None]) -> None:
        """Show a sentence and a button for the way out, and nothing else."""
        for part in (self.help, self.area, self.strip, self.progress):
            part.hide()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.hint.setText(sentence)
        self.status.setValue(StatusState("", "plain", way_out))
        self.status.offerTaken.connect(go)

    def standIn(self, go: Callable[[], None]) -> None:
        """Show everything after all, and let go of the way out."""
        self.status.offerTaken.disconnect(go)
        self.status.setValue(StatusState())
        for part in (self.help, self.area, self.strip):
            part.show()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def set_coverage(self, state: CoverageState) -> None:
        """Show what is known of each slice, and where the viewer is."""
        self.strip.setValue(state)

    def set_slices(self, table: SliceTable | None) -> None:
        """Show the table of slices that was asked for; None where no stack is open."""
        self.slices.setTable(table)

    def set_comparison(self, state: ComparisonState) -> None:
        """Show which rounds are compared."""
        self.adapt.setComparison(state)

    def ask_save(self, title: str, suggested: str, pattern: str) -> Path | None:
        """Ask for a file to write; None when the user thinks better of it."""
        name, _ = QFileDialog.getSaveFileName(self, title, suggested, pattern)
        return Path(name) if name else None

    def ask_save_as(
        self, title: str, suggested: str, patterns: Sequence[str]
    ) -> tuple[Path, int] | None:
        """Ask for a file to write and for one of several patterns; None when the user thinks better of it."""
        name, chosen = QFileDialog.getSaveFileName(self, title, suggested, ";;".join(patterns))
        if not name:
            return None
        return Path(name), patterns.index(chosen) if chosen in patterns else 0

    def ask_open(self, title: str, pattern: str) -> Path | None:
        """Ask for a file to read; None when the user thinks better of it."""
        name, _ = QFileDialog.getOpenFileName(self, title, "", pattern)
        return Path(name) if name else None

    def ask_folder(self, title: str) -> Path | None:
        """Ask for a folder to read; None when the user thinks better of it."""
        name = QFileDialog.getExistingDirectory(self, title)
        return Path(name) if name else None

    def confirm(self, question: str, yes: str) -> bool:
        """Ask before something that loses work; ``yes`` names the action."""
        box = QMessageBox(QMessageBox.Icon.Question, "napari-salt", question, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.exec()
        agreed = box.clickedButton() is agree
        box.deleteLater()
        return agreed

    def notify(self, sentence: str, level: NoticeLevel) -> None:
        """Say a sentence through napari's notifications."""
        from napari.utils import notifications

        show = {"error": notifications.show_error, "warning": notifications.show_warning}
        show.get(level, notifications.show_info)(plain_text(sentence))

    def announce(self, sentence: str) -> None:
        """Show a sentence until it has been read."""
        box = QMessageBox(QMessageBox.Icon.Warning, "napari-salt", sentence, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.exec()
        box.deleteLater()

    # ---- building

    def _lay_out(self) -> None:
        labels = Caption("Labels")
        follow_text(self, labels)
        column = QWidget(self)
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.setSpacing(5)
        for part in (
            self.image,
            labels,
            self.labels,
            self.slice,
            self.assist,
            self.strip,
            Rule(),
            self.adapt,
            Rule(),
            self.segment,
            self.next,
            Rule(),
            self.export,
            self.advanced,
        ):
            layout.addWidget(part)
        layout.addStretch(1)
        self.area = ScrolledColumn(column, self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 4, 4, 6)
        outer.setSpacing(5)
        top = QHBoxLayout()
        top.addWidget(self.hint, 1)
        top.addWidget(self.help, 0, Qt.AlignmentFlag.AlignTop)
        outer.addLayout(top)
        outer.addWidget(self.area, 1)
        outer.addWidget(self.progress)
        outer.addWidget(self.status)
        follow_layout(self)

    def _listen(self) -> None:
        wishes = self.wishes
        for signal, wish in (
            (self.image.valueChanged, wishes.image_chosen),
            (self.image.axisChanged, wishes.axis_chosen),
            (self.image.levelChanged, wishes.level_chosen),
            (self.image.offerTaken, wishes.image_offer_taken),
            (self.labels.addRequested, wishes.label_added),
            (self.labels.renameRequested, wishes.label_renamed),
            (self.labels.recolourRequested, wishes.label_recoloured),
            (self.labels.removeRequested, wishes.label_removed),
            (self.labels.valueChanged, wishes.label_selected),
            (self.slice.valueChanged, wishes.complete_set),
            (self.slice.acceptRequested, wishes.accept),
            (self.slice.acceptLabelRequested, wishes.accept_label),
            (self.slice.fill.copyRequested, wishes.propagate),
            (self.slice.fill.interpolateRequested, wishes.interpolate),
            (self.slice.undoRequested, wishes.undo_accept),
            (self.assist.valueChanged, wishes.assist_set),
            (self.assist.takeRequested, wishes.assist_take),
            (self.assist.dropRequested, wishes.assist_drop),
            (self.adapt.adaptRequested, wishes.adapt),
            (self.adapt.stopRequested, wishes.stop),
            (self.adapt.thenSegmentChanged, wishes.then_segment_set),
            (self.adapt.restoreRequested, wishes.restore_round),
            (self.segment.sliceRequested, wishes.segment_slice),
            (self.segment.allRequested, wishes.segment_all),
            (self.segment.predictionToggled, wishes.prediction_shown),
            (self.segment.opacityChanged, wishes.prediction_opacity),
            (self.segment.uncertaintyToggled, wishes.uncertainty_shown),
            (self.next.nextRequested, wishes.next_slice),
            (self.next.skipRequested, wishes.skip_slice),
            (self.export.fullResolutionChanged, wishes.full_resolution_set),
            (self.export.masksRequested, wishes.export_masks),
            (self.objects.masksRequested, wishes.export_objects),
            (self.objects.tableRequested, wishes.export_table),
            (self.export.adapterRequested, wishes.export_adapter),
            (self.export.loadRequested, wishes.load_adapter),
            (self.export.saveSessionRequested, wishes.save_session),
            (self.export.openSessionRequested, wishes.open_session),
            (self.settings.valueChanged, wishes.settings_changed),
            (self.settings.lookingAheadChanged, wishes.looking_ahead_set),
            (self.settings.intensity.showRequested, wishes.show_like_this),
            (self.status.offerTaken, wishes.offer_taken),
            (self.strip.goRequested, wishes.go_to_slice),
            (self.slices.goRequested, wishes.go_to_slice),
            (self.slices.newsRequested, wishes.slices_wanted),
            (self.slices.exportRequested, wishes.export_slices),
            (self.segment.outlineToggled, wishes.prediction_outlined),
            (self.adapt.compareRequested, wishes.compare_rounds),
            (self.adapt.comparisonEndRequested, wishes.comparison_ended),
        ):
            signal.connect(wish.emit)
        self.next.tableRequested.connect(lambda: _show(self.slices))
        self.export.objectsRequested.connect(lambda: _show(self.objects))


def _show(window: QWidget) -> None:
    """Bring a window before the others."""
    window.show()
    window.raise_()
    window.activateWindow()
