"""The dock widget: the panel, joined to a viewer and an engine."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from napari_salt.control.controller import Controller
from napari_salt.viewer_link import ViewerLink
from napari_salt.widgets.garbage import GarbageInPauses
from napari_salt.widgets.last_moment import close_at_exit
from napari_salt.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

    from napari_salt.engine.requests import JobRunner
    from napari_salt.views import CoverageState


ELSEWHERE = "Another dock of this window has the work: labels, paint and rounds are there. This one can be closed."

_working: WeakSet[Dock] = WeakSet()
"""Docks that have joined a viewer."""


class Dock(Panel):
    """What ``napari -w napari-salt`` opens.

    The engine ends when the dock is taken out of the window, when the window closes, when the
    application quits, or when Python ends, whichever comes first. Of several docks in one window the first has the
    work, and the others say so: two would not know of each other's rounds, and could not save into one folder.
    """

    def __init__(
        self,
        napari_viewer: Viewer,
        runner: JobRunner | None = None,
        assist_runner: Callable[[], JobRunner] | None = None,
    ) -> None:
        super().__init__()
        self._viewer: Viewer | None = napari_viewer
        self._make_runner: Callable[[], JobRunner] = lambda: runner or _engine()
        self._assist_runner = assist_runner or _engine
        self._was_docked = self._strip_placed = False
        self._works = False
        """Whether the work is here, and not in another dock of this viewer."""
        if _dock_of(napari_viewer) is None:
            self._begin(napari_viewer)
        else:
            self.standAside(ELSEWHERE, "Show that dock", self._show_the_other)

    def _begin(self, viewer: Viewer) -> None:
        """Join the viewer, and an engine."""
        self._works = True
        self._link = ViewerLink(viewer)
        self.controller = Controller(
            self, self._link, self._make_runner(), assist_runner=self._assist_runner
        )
        _working.add(self)
        self._clock = QTimer(self)
        self._clock.timeout.connect(self.controller.tick)
        self._clock.timeout.connect(self.strip.keepUp)
        self._clock.timeout.connect(self._look_for_garbage)
        self._clock.start(1000)
        close = self.controller.close
        self.destroyed.connect(lambda: close())
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._close_controller)
        close_at_exit(self.controller)
        garbage = self._garbage = GarbageInPauses()
        self.destroyed.connect(lambda: garbage.close())

    def set_coverage(self, state: CoverageState) -> None:
        """Show what is known of each slice; a closing window takes the strip away first."""
        if not _gone(self.strip):
            super().set_coverage(state)

    def reset_choices(self, event: object = None) -> None:
        """Follow the viewer's layer list; napari calls this."""
        if self._works:
            self.controller.images_changed()

    def comeForward(self) -> None:
        """Bring the dock before whatever hides it."""
        docked = self.parentWidget()
        shown = docked if isinstance(docked, QDockWidget) else self
        shown.show()
        shown.raise_()

    def _show_the_other(self) -> None:
        """Bring the dock forward that has the work; where it has gone meanwhile, the work is taken up here."""
        viewer = self._viewer
        other = None if viewer is None else _dock_of(viewer)
        if other is not None:
            other.comeForward()
        elif viewer is not None:
            self.standIn(self._show_the_other)
            self._begin(viewer)
            if self._was_docked:
                self._place_strip()

    def event(self, event: QEvent | None) -> bool:
        """Notice that the dock was taken out of the window."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is None and self._was_docked:
                self._close_controller()
                self._remove_strip()
                self.deleteLater()
            self._was_docked = self.parentWidget() is not None
            if self._was_docked and self._works:
                self._place_strip()
        elif event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._let_shrink()
        return super().event(event)

    def _let_shrink(self) -> None:
        """Let the dock become narrower again: Qt holds on to the largest least width that it ever had."""
        docked = self.parentWidget()
        least = self.minimumSizeHint().width()
        if isinstance(docked, QDockWidget) and docked.minimumWidth() > least:
            docked.setMinimumWidth(0)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Hear when the window is about to close, as soon as there is one."""
        super().showEvent(event)
        window = _main_window(self)
        if window is not None:
            window.installEventFilter(self)  # a second time is like once

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the window open as long as there is work in it that is neither saved nor given up."""
        closing = self._works and event is not None and event.type() == QEvent.Type.Close
        if closing and isinstance(watched, QMainWindow) and not self.controller.may_close():
            assert event is not None
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _place_strip(self) -> None:
        """Put the strip of slices right under the viewer's slider; without a window it stays here."""
        window = getattr(self._viewer, "window", None)
        if window is None or self._strip_placed:
            return
        self._strip_placed = True
        window.add_dock_widget(self.strip, name="napari-salt slices", area="bottom")
        docked = self.strip.parentWidget()
        if isinstance(docked, QDockWidget):
            docked.setTitleBarWidget(QWidget(docked))
            docked.setMinimumHeight(0)
        self.strip.show()

    def _remove_strip(self) -> None:
        """Take the strip out of the window together with the dock."""
        viewer, self._viewer = self._viewer, None
        if not self._strip_placed or viewer is None or _gone(self.strip):
            return
        if isinstance(self.strip.parentWidget(), QDockWidget):
            viewer.window.remove_dock_widget(self.strip)
        self.strip.deleteLater()

    def _look_for_garbage(self) -> None:
        if self._viewer is not None:
            self._garbage.tick(self._viewer)

    def _close_controller(self) -> None:
        if not self._works:
            return
        _working.discard(self)
        self._clock.stop()
        self._garbage.close()
        self.controller.close()


def _dock_of(viewer: Viewer) -> Dock | None:
    """The dock that has the work of a viewer; None where there is none."""
    return next((one for one in _working if not _gone(one) and one._link.serves(viewer)), None)


def _main_window(widget: QWidget | None) -> QMainWindow | None:
    """The window that a widget is docked in, or floats before."""
    while widget is not None and not isinstance(widget, QMainWindow):
        widget = widget.parentWidget()
    return widget


def _gone(widget: QWidget) -> bool:
    """Whether Qt has deleted a widget, as it does when a window closes."""
    return not isalive(widget)  # type: ignore[no-untyped-call]


def _engine() -> JobRunner:
    from napari_salt.engine.worker import EngineRunner

    return EngineRunner()
