"""The dock widget: the panel, joined to a viewer and an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from napari_salt.control.controller import Controller
from napari_salt.viewer_link import ViewerLink
from napari_salt.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

    from napari_salt.engine.requests import JobRunner
    from napari_salt.views import CoverageState


class Dock(Panel):
    """What ``napari -w napari-salt`` opens.

    The engine ends when the dock is taken out of the window, when the window closes, or when the
    application quits, whichever comes first.
    """

    def __init__(
        self,
        napari_viewer: Viewer,
        runner: JobRunner | None = None,
        assist_runner: Callable[[], JobRunner] | None = None,
    ) -> None:
        super().__init__()
        self.controller = Controller(
            self,
            ViewerLink(napari_viewer),
            runner or _engine(),
            assist_runner=assist_runner or _engine,
        )
        self._clock = QTimer(self)
        self._clock.timeout.connect(self.controller.tick)
        self._clock.timeout.connect(self.strip.keepUp)
        self._clock.start(1000)
        self._was_docked = False
        self._viewer: Viewer | None = napari_viewer
        self._strip_placed = False
        close = self.controller.close
        self.destroyed.connect(lambda: close())
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._close_controller)

    def set_coverage(self, state: CoverageState) -> None:
        """Show what is known of each slice; a closing window takes the strip away first."""
        if not _gone(self.strip):
            super().set_coverage(state)

    def reset_choices(self, event: object = None) -> None:
        """Follow the viewer's layer list; napari calls this."""
        self.controller.images_changed()

    def event(self, event: QEvent | None) -> bool:
        """Notice that the dock was taken out of the window."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is None and self._was_docked:
                self._close_controller()
                self._remove_strip()
                self.deleteLater()
            self._was_docked = self.parentWidget() is not None
            if self._was_docked:
                self._place_strip()
        return super().event(event)

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

    def _close_controller(self) -> None:
        self._clock.stop()
        self.controller.close()


def _gone(widget: QWidget) -> bool:
    """Whether Qt has deleted a widget, as it does when a window closes."""
    return not isalive(widget)  # type: ignore[no-untyped-call]


def _engine() -> JobRunner:
    from napari_salt.engine.worker import EngineRunner

    return EngineRunner()
