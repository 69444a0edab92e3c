"""What the controller and the views say to each other: frozen states down, wishes up.

No Qt, no napari. The controller never reads a widget. It hands the view frozen states, and the view
emits what the user *wants* through `Wishes`; whether it happens is for the controller to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from psygnal import Signal

from napari_salt.records import BACKGROUND, Color, FitSettings
from napari_salt.session.objects import ObjectsChoice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_salt.key_table import KeysState
    from napari_salt.session.readiness import Readiness
    from napari_salt.session.slice_table import SliceTable

BACKGROUND_COLOR: Color = (0.55, 0.55, 0.55, 0.6)
"""Colour of background paint: neutral, and weaker than any label."""


@dataclass(frozen=True)
class ImageEntry:
    """One image that can be chosen: a key that survives renaming, and the name to show."""

    key: str
    name: str


@dataclass(frozen=True)
class AxisEntry:
    """One axis of an image that can be the slice axis."""

    axis: int
    name: str


@dataclass(frozen=True)
class LevelEntry:
    """One level of a pyramid that can be worked at; 0 is the finest."""

    level: int
    name: str


@dataclass(frozen=True)
class ImageNote:
    """A line below the facts of the image; ``offer`` is the text of its button, empty for none."""

    text: str = ""
    offer: str = ""


@dataclass(frozen=True)
class ImageState:
    """What the image line shows; ``axes`` and ``levels`` are empty when there is nothing to choose."""

    entries: tuple[ImageEntry, ...] = ()
    key: str | None = None
    facts: str = ""
    axes: tuple[AxisEntry, ...] = ()
    axis: int = 0
    note: ImageNote = ImageNote()
    levels: tuple[LevelEntry, ...] = ()
    level: int = 0


@dataclass(frozen=True)
class LabelRow:
    """One row of the label table; ``slices`` counts the slices that carry this label in paint."""

    label_id: int
    name: str
    color: Color
    slices: int = 0
    key: str = ""

    @property
    def fixed(self) -> bool:
        """Whether the row is the background, which cannot be renamed, recoloured or removed."""
        return self.label_id == BACKGROUND


@dataclass(frozen=True)
class SliceState:
    """Where the viewer is; ``index`` is None when the position lies outside the stack.

    ``all_shown``: the viewer shows the volume, or cuts it along other axes, so that all slices are on screen.
    """

    index: int | None = None
    count: int = 0
    complete: bool = False
    all_shown: bool = False


@dataclass(frozen=True)
class CoverageState:
    """What is known of each slice (`session.coverage`, one byte a slice), and where the viewer is."""

    flags: bytes = b""
    current: int | None = None


@dataclass(frozen=True)
class ProgressState:
    """Progress of the running job; ``total`` 0 means: busy, no count yet."""

    busy: bool = False
    text: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class LabelCurve:
    """Held-out Dice (round, value) of one label, in its colour."""

    name: str
    color: Color
    points: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class CurveState:
    """Loss of each step and held-out Dice (step, value) of the running or last fit.

    ``live`` is the running fit's latest held-out Dice by label name; ``labels`` are the curves of
    the labels over the rounds.
    """

    losses: tuple[tuple[int, float], ...] = ()
    dice: tuple[tuple[int, float], ...] = ()
    total: int = 0
    live: tuple[tuple[str, float], ...] = ()
    labels: tuple[LabelCurve, ...] = ()


@dataclass(frozen=True)
class RoundRow:
    """One line of the rounds list, in words and numbers ready to show."""

    number: int
    slices: int
    dice: str
    time: str
    size: str
    detail: str
    active: bool = False


@dataclass(frozen=True)
class DisplayState:
    """How the prediction is shown; ``opacity`` 0..1."""

    prediction: bool = True
    opacity: float = 0.5
    uncertainty: bool = False
    outline: bool = False


@dataclass(frozen=True)
class ComparisonState:
    """Two rounds shown against each other, in words; empty when none are."""

    text: str = ""


@dataclass(frozen=True)
class IntensityState:
    """What the choice of intensities means on the open stack.

    ``shown`` are the contrast limits that show an image so, None where ``why_not`` says why there are none;
    ``measured`` are the percentiles of a grey image, to start one's own window from.
    """

    text: str = ""
    proposal: str = ""
    shown: tuple[float, float] | None = None
    measured: tuple[float, float] | None = None
    why_not: str = "Open or choose an image first."


@dataclass(frozen=True)
class SuggestionState:
    """The slice to correct next; where ``index`` is None, ``reason`` says why there is none."""

    index: int | None = None
    reason: str = ""
    later: tuple[int, ...] = ()
    """What would be suggested after that one, best first."""

    @property
    def slices(self) -> tuple[int, ...]:
        """All suggested slices, best first."""
        return self.later if self.index is None else (self.index, *self.later)


@dataclass(frozen=True)
class AssistState:
    """The box tool: whether it is on and may be, what it is doing, and whether a mask waits."""

    on: bool = False
    enabled: bool = False
    why_not: str = ""
    text: str = ""
    can_take: bool = False


NoticeLevel = Literal["plain", "good", "warning", "error"]


@dataclass(frozen=True)
class StatusState:
    """One line that never lies: idle, loading weights, adapting 84/150, stopped, failed: why."""

    text: str = ""
    level: NoticeLevel = "plain"
    offer: str = ""
    """Text of a button that repairs what the line reports; empty for none."""


class Wishes:
    """What the user wants; the view emits, the controller listens."""

    image_chosen = Signal(str)
    axis_chosen = Signal(int)
    level_chosen = Signal(int)
    image_offer_taken = Signal()
    label_added = Signal(str)
    label_renamed = Signal(int, str)
    label_recoloured = Signal(int, object)
    label_removed = Signal(int)
    label_selected = Signal(int)
    complete_set = Signal(bool)
    accept = Signal()
    accept_label = Signal()
    propagate = Signal()
    interpolate = Signal()
    undo_accept = Signal()
    adapt = Signal()
    stop = Signal()
    then_segment_set = Signal(bool)
    looking_ahead_set = Signal(bool)
    restore_round = Signal(int)
    segment_slice = Signal()
    segment_all = Signal()
    prediction_shown = Signal(bool)
    prediction_opacity = Signal(float)
    uncertainty_shown = Signal(bool)
    next_slice = Signal()
    skip_slice = Signal()
    full_resolution_set = Signal(bool)
    """Whether masks of a coarser level are exported on the grid of the finest."""
    export_masks = Signal()
    export_objects = Signal(ObjectsChoice)
    export_table = Signal(ObjectsChoice)
    export_adapter = Signal()
    load_adapter = Signal()
    save_session = Signal()
    open_session = Signal()
    settings_changed = Signal(FitSettings)
    show_like_this = Signal()
    """The image layer as the network sees it."""
    offer_taken = Signal()
    assist_set = Signal(bool)
    assist_take = Signal()
    assist_drop = Signal()
    go_to_slice = Signal(int)
    slices_wanted = Signal()
    """The table of slices is on screen and wants what has changed; at most twice a second."""
    export_slices = Signal()
    prediction_outlined = Signal(bool)
    compare_rounds = Signal(int, int)
    comparison_ended = Signal()


class DockView(Protocol):
    """Everything that the controller asks of a dock. Setters never emit wishes."""

    wishes: Wishes

    def set_image(self, state: ImageState) -> None:
        """Show the images to choose from and the facts of the chosen one."""

    def set_labels(self, rows: tuple[LabelRow, ...]) -> None:
        """Show the label table."""

    def set_selected_label(self, label_id: int | None) -> None:
        """Mark the row of the label that the brush paints."""

    def set_slice(self, state: SliceState) -> None:
        """Show where the viewer is, and whether that slice is complete."""

    def set_readiness(self, readiness: Readiness) -> None:
        """Enable what can work now; the rest says why not."""

    def set_progress(self, state: ProgressState) -> None:
        """Show the progress of the running job."""

    def set_curve(self, state: CurveState) -> None:
        """Show the curve of the running or last fit."""

    def set_score(self, text: str) -> None:
        """Show the held-out score of the active round in words."""

    def set_rounds(self, rows: tuple[RoundRow, ...]) -> None:
        """Show the rounds."""

    def set_display(self, state: DisplayState) -> None:
        """Show how the prediction is shown."""

    def set_suggestion(self, state: SuggestionState) -> None:
        """Show the slice to correct next."""

    def set_status(self, state: StatusState) -> None:
        """Show the status line."""

    def set_assist(self, state: AssistState) -> None:
        """Show the box tool."""

    def set_settings(self, settings: FitSettings) -> None:
        """Show the settings of the next fit."""

    def set_intensity(self, state: IntensityState) -> None:
        """Show what the choice of intensities means on the open stack."""

    def set_keys(self, state: KeysState) -> None:
        """Name the keys in tooltips and in the list of keys."""

    def show_keys(self) -> None:
        """Show the list of keys."""

    def set_coverage(self, state: CoverageState) -> None:
        """Show what is known of each slice, and where the viewer is."""

    def set_slices(self, table: SliceTable | None) -> None:
        """Show the table of slices that was asked for; None where no stack is open."""

    def set_comparison(self, state: ComparisonState) -> None:
        """Show which rounds are compared."""

    def ask_save(self, title: str, suggested: str, pattern: str) -> Path | None:
        """Ask for a file to write; None when the user thinks better of it."""

    def ask_save_as(
        self, title: str, suggested: str, patterns: Sequence[str]
    ) -> tuple[Path, int] | None:
        """Ask for a file to write and for one of several patterns; None when the user thinks better of it."""

    def ask_open(self, title: str, pattern: str) -> Path | None:
        """Ask for a file to read; None when the user thinks better of it."""

    def ask_folder(self, title: str) -> Path | None:
        """Ask for a folder to read; None when the user thinks better of it."""

    def confirm(self, question: str, yes: str) -> bool:
        """Ask before something that loses work; ``yes`` names the action."""

    def notify(self, sentence: str, level: NoticeLevel) -> None:
        """Say a sentence through the host's own notifications."""

    def announce(self, sentence: str) -> None:
        """Say a sentence that must be read before the window goes."""


def pick_rows(rows: Sequence[LabelRow], place: int) -> int | None:
    """Label id that a key selects: the row at ``place``, background for -1, None for no row."""
    if place < 0:
        return BACKGROUND
    named = [row for row in rows if not row.fixed]
    return named[place].label_id if place < len(named) else None
