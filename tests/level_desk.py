"""A controller on a viewer model with a pyramid, and the same again after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
from napari.components import ViewerModel

from napari_salt.control.controller import Controller
from napari_salt.engine.requests import JobRunner
from napari_salt.io.export import FORMATS
from napari_salt.io.session_store import SessionStore
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes

RANDOM = np.random.default_rng(0)
LEVELS = [RANDOM.integers(0, 255, (4, side, side), np.uint8) for side in (47, 24, 12)]


class Desk:
    """A controller on a viewer model with a pyramid.

    Which of its levels is the handy one `LARGE` of `viewer_link.images` says.
    """

    def __init__(self, folder, levels=LEVELS) -> None:
        self.viewer = ViewerModel()
        if levels is not None:
            self.viewer.add_image(levels, name="cells", multiscale=True, scale=(2, 0.5, 0.5))
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.view.confirm.return_value = True
        self.link = ViewerLink(self.viewer)
        runner = create_autospec(JobRunner, instance=True)
        self.controller = Controller(self.view, self.link, runner, SessionStore(folder))

    @property
    def session(self):
        return self.controller.desk.session

    @property
    def image(self):
        """What the image line shows."""
        return self.view.set_image.call_args.args[0]

    @property
    def status(self) -> str:
        return self.controller.desk.status.text

    def paint(self, index=1, where=np.s_[2:5, 2:5]):
        if not len(self.session.labels):
            self.wishes.label_added.emit("cell")
        self.session.annotations.paint[index][where] = 1
        self.link.signals.painted.emit((index,))

    def tick(self):
        """Let the saving thread finish what it has, and show it."""
        for _ in range(3):
            kept = self.controller.saving._kept
            wait([one for one in (kept.known, kept.writing) if one is not None])
            self.controller.tick()

    def export(self, path) -> str:
        kinds = [one.kind for one in FORMATS]
        self.view.ask_save_as.return_value = path, kinds.index("tiff")
        self.wishes.export_masks.emit()
        exports = self.controller.exports
        wait([exports._export.future])
        self.controller.tick()
        return self.status


@contextmanager
def after_restart(desk: Desk, folder: Path) -> Iterator[Desk]:
    """The next application on the same image, with the kept work that it offers restored."""
    desk.controller.close()
    again = Desk(folder)
    try:
        again.tick()
        again.wishes.offer_taken.emit()
        yield again
    finally:
        again.controller.close()
