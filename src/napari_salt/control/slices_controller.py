"""The slices as a strip of marks and as a table: what is known of each, going there, CSV. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt.io.slice_csv import write_slices
from napari_salt.session.coverage import coverage
from napari_salt.session.slice_table import PaintedAreas, slice_table
from napari_salt.views import CoverageState

if TYPE_CHECKING:
    from psygnal import SignalInstance

    from napari_salt.control.desk import Desk
    from napari_salt.records import StackInfo
    from napari_salt.session.session import Session


class SlicesController:
    """Follows one session and tells the view about its slices."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._session: Session | None = None
        self._areas: PaintedAreas | None = None
        self._stale = True
        """Whether the table has changed since it was shown last."""
        self._info: StackInfo | None = None
        """Facts of the stack that the table shows: its unit is that of the areas."""
        self._flags: tuple[tuple[int, ...], bytes] | None = None
        """Suggested slices and the marks of the strip worked out with them; None after a change."""

    def hear(self, session: Session) -> None:
        """Another session is open; follow that one."""
        self.forget()
        self._session, self._areas = session, PaintedAreas(session)
        for signal in self._signals(session):
            signal.connect(self._changed)

    def forget(self) -> None:
        """Let go of the session."""
        if self._session is None or self._areas is None:
            return
        for signal in self._signals(self._session):
            signal.disconnect(self._changed)
        self._areas.close()
        self._session = self._areas = None
        self._changed()

    def coverage(self, index: int | None, suggested: tuple[int, ...]) -> CoverageState:
        """State of the strip; to work out the marks of a long stack takes a while, so they are kept."""
        if self._session is None:
            return CoverageState()
        if self._flags is None or self._flags[0] != suggested:
            self._flags = suggested, coverage(self._session, suggested)
        return CoverageState(self._flags[1], index)

    def go_to(self, index: int) -> None:
        """Show a slice."""
        if self._session is not None and 0 <= index < len(self._session.stack):
            self._desk.link.go_to(index)

    def show_table(self) -> None:
        """Bring the table up to date, if anything has changed."""
        info = None if self._session is None else self._session.stack.info
        if not self._stale and info == self._info:
            return
        self._stale, self._info = False, info
        if self._session is None or self._areas is None:
            self._desk.view.set_slices(None)
        else:
            self._desk.view.set_slices(slice_table(self._session, self._areas))

    def export(self) -> None:
        """Write the table as CSV."""
        if self._session is None or self._areas is None:
            return
        name = f"{self._desk.file_name()}_slices.csv"
        path = self._desk.view.ask_save("Save the table of slices", name, "CSV (*.csv)")
        if path is None:
            return
        path = path if path.suffix else path.with_suffix(".csv")
        write_slices(path, slice_table(self._session, self._areas))
        self._desk.say(f"table of slices saved to {path.name}", "good")

    def _changed(self) -> None:
        self._stale, self._flags = True, None

    @staticmethod
    def _signals(session: Session) -> tuple[SignalInstance, ...]:
        annotations = session.annotations
        return (
            session.labels.changed,
            session.predicted,
            session.predictions_outdated,
            session.skipped_changed,
            annotations.changed,
            annotations.completed,
        )
