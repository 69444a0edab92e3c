"""Python's look for garbage in pauses, so that it does not come in the middle of a stroke.

A window of napari is some 300,000 Python objects. To go through all of them in search of cycles that nobody refers to
takes a fifth of a second and longer while the engine computes, and Python does it when it likes: the longest stalls of
somebody who paints were just that (measured, `benchmarks/latency.py`). Frozen objects are passed over, so what is there
is frozen, and looked through in pauses only.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

PAUSE = 3.0
"""Seconds in which the mouse rests and the same slice is shown."""
FREEZE_EVERY = 60.0
"""Seconds after which what is new since is looked through and frozen as well, in the next pause: some milliseconds."""
ALL_EVERY = 600.0
"""Seconds after which everything is looked through, in the next pause; sooner where a layer has gone, whose memory is
wanted back."""


class GarbageInPauses:
    """Freezes what there is, and thaws it to look for garbage while nobody does anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doing: object = None
        self._layers: set[int] = set()
        self._gone = False
        self._quiet_since = self._frozen_at = self._all_at = clock()
        gc.freeze()

    def tick(self, viewer: Viewer) -> None:
        """Once a second or so."""
        now = self._clock()
        layers = {id(layer) for layer in viewer.layers}
        self._gone |= not self._layers <= layers
        self._layers = layers
        if self._stirs(viewer):
            self._quiet_since = now
        if now - self._quiet_since < PAUSE:
            return
        everything = self._gone or now - self._all_at >= ALL_EVERY
        if everything:
            gc.unfreeze()
            self._gone, self._all_at = False, now
        if everything or now - self._frozen_at >= FREEZE_EVERY:
            gc.collect()
            gc.freeze()
            self._frozen_at = now

    def close(self) -> None:
        """Leave everything to Python again."""
        gc.unfreeze()

    def _stirs(self, viewer: Viewer) -> bool:
        """Whether somebody has done something since the last time, or is still at it."""
        place = QCursor.pos()
        doing = place.x(), place.y(), viewer.dims.current_step
        stirs = doing != self._doing or QApplication.mouseButtons() != Qt.MouseButton.NoButton
        self._doing = doing
        return stirs
