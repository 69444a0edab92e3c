"""The dock widget: the panel, joined to a viewer and an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication

from napari_salt.controller import Controller
from napari_salt.viewer_link import ViewerLink
from napari_salt.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

    from napari_salt.engine.requests import JobRunner


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
        self._clock.start(1000)
        self._was_docked = False
        close = self.controller.close
        self.destroyed.connect(lambda: close())
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._close_controller)

    def reset_choices(self, event: object = None) -> None:
        """Follow the viewer's layer list; napari calls this."""
        self.controller.images_changed()

    def event(self, event: QEvent | None) -> bool:
        """Notice that the dock was taken out of the window."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is None and self._was_docked:
                self._close_controller()
                self.deleteLater()
            self._was_docked = self.parentWidget() is not None
        return super().event(event)

    def _close_controller(self) -> None:
        self._clock.stop()
        self.controller.close()


def _engine() -> JobRunner:
    from napari_salt.engine.worker import EngineRunner

    return EngineRunner()
