"""What the controllers share: the view, the viewer, the open session and the sentence on screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_salt.io.file_names import safe_file_name
from napari_salt.key_table import LABEL_MODIFIERS, label_key
from napari_salt.records import BACKGROUND, BACKGROUND_NAME
from napari_salt.views import (
    BACKGROUND_COLOR,
    LabelRow,
    NoticeLevel,
    StatusState,
)

if TYPE_CHECKING:
    from napari_salt.geometry import Place
    from napari_salt.session.session import Session
    from napari_salt.viewer_link import ViewerLink
    from napari_salt.views import DockView

IDLE = StatusState("idle")


@dataclass
class Desk:
    """The shared state of the controllers; only `Controller.refresh` shows it."""

    view: DockView
    link: ViewerLink
    session: Session | None = None
    place: Place | None = None
    status: StatusState = IDLE
    refused: StatusState | None = None
    """What was refused last, of the label table or of Undo."""
    offer: Callable[[], None] | None = None
    covered: StatusState = IDLE
    """The warning whose place the sentence with an offer has taken."""
    selected: int | None = None
    then_segment: bool = True
    looking_ahead: bool = True
    """Whether slices are looked at in pauses, before anybody asks."""
    full_resolution: bool = True
    """Whether masks of a coarser level of a pyramid are exported on the grid of the finest."""
    label_modifier: str = LABEL_MODIFIERS[0]
    assisting: bool = False
    """Whether the box tool has the mouse."""

    def position(self) -> tuple[tuple[str, int], ...]:
        """Axes of the image besides those of the open stack, by name, and where the stack lies on them."""
        return () if self.place is None else self.link.images.position(self.place)

    def file_name(self, default: str = "stack") -> str:
        """What files on the open stack are called, without an ending: ``movie_t1`` for one time point of a movie."""
        name = "" if self.session is None else self.session.stack.info.name
        at = [f"{axis}{index}" for axis, index in self.position()]
        return safe_file_name("_".join([safe_file_name(name, default), *at]), default)

    def say(
        self,
        text: str,
        level: NoticeLevel = "plain",
        offer: str = "",
        take: Callable[[], None] | None = None,
    ) -> None:
        """Put a sentence on the status line; ``offer`` names a way out and ``take`` goes there."""
        if not self.status.offer:
            self.covered = self.status if self.status.level == "warning" else IDLE
        self.status = StatusState(text, level, offer)
        self.offer = take

    def withdraw(self) -> None:
        """What is offered is about a session that is left now: no word of it is true any more."""
        if self.status.offer:
            self.status, self.offer = self.covered, None

    def fail(self, sentence: str) -> None:
        """Say what went wrong, on the status line and through the host's notifications."""
        self.say(sentence, "error")
        self.view.notify(sentence, "error")

    def refuse(self, sentence: str) -> None:
        """Say why the label table does not do something; no matter any more once the user has gone on."""
        self.fail(sentence)
        self.refused = self.status

    def went_on(self) -> None:
        """Labels or paint have changed: nothing that was refused before is left to say."""
        if self.status is self.refused:
            self.status = IDLE

    def rows(self) -> tuple[LabelRow, ...]:
        """The label table: every label of the session, then background."""
        if self.session is None:
            return ()
        painted = self.session.annotations.painted_slices
        rows = [
            LabelRow(
                label.label_id,
                label.name,
                label.color,
                len(painted(label.label_id)),
                label_key(place, self.label_modifier),
            )
            for place, label in enumerate(self.session.labels)
        ]
        background = len(painted(BACKGROUND))
        key = label_key(-1, self.label_modifier)
        rows.append(LabelRow(BACKGROUND, BACKGROUND_NAME, BACKGROUND_COLOR, background, key))
        return tuple(rows)
