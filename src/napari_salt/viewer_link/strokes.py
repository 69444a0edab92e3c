"""Watches the paint layer: which slices a stroke, an undo, or somebody else's array has changed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.stroke_step import stroke_step

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_salt.geometry import StackGeometry
    from napari_salt.viewer_link.signals import ViewerSignals


class Position(Protocol):
    """Where the viewer is in the stack."""

    def current_slice(self) -> int | None:
        """Slice on screen; None outside the stack."""
        ...

    def shows_volume(self) -> bool:
        """Whether every slice is seen at once."""
        ...


class Strokes:
    """Listens to one paint layer, whose data is ``paint`` ``(N, Y, X)`` seen along the image's axes."""

    def __init__(
        self,
        layer: Labels,
        paint: NDArray[np.uint16],
        geometry: StackGeometry,
        position: Position,
        signals: ViewerSignals,
    ) -> None:
        self._layer, self._paint, self._geometry = layer, paint, geometry
        self._position, self._signals = position, signals
        self._drawn: tuple[int | None, int] = (None, 0)
        """Slice on screen and checksum of its paint, to tell an undo from a mere redraw."""
        self._many: set[int] = set()
        """Slices that strokes through several slices have reached: an undo may change them."""
        self._quiet = False
        self._listening = Listening()
        self._listening.to(layer.events.paint, self._on_paint)
        self._listening.to(layer.events.set_data, self._on_set_data)
        self._listening.to(layer.events.selected_label, self._on_selected_label)
        layer.bind_key("Control-Z", self._on_undo_key, overwrite=True)
        layer.bind_key("Control-Shift-Z", self._on_redo_key, overwrite=True)
        self.note()

    def close(self) -> None:
        """Let go of the layer."""
        self._listening.stop_all()
        self._layer.bind_key("Control-Z", None, overwrite=True)
        self._layer.bind_key("Control-Shift-Z", None, overwrite=True)

    def note(self) -> None:
        """Take what is painted now as known."""
        self._drawn = self._checksum()

    def redraw(self, *, thumbnail: bool) -> None:
        """Draw the layer, which is no stroke."""
        self._quiet = True
        self._layer.refresh(thumbnail=thumbnail, highlight=False, extent=False)
        self._quiet = False
        self.note()

    def _on_paint(self, event: Any = None) -> None:
        """A stroke with the mouse is told when it is done; a single edit, and some tools, before it is written."""
        atoms = getattr(event, "value", None)
        step = stroke_step(atoms, self._geometry, self._paint.shape) if atoms else None
        slices = self._on_screen()
        if step is not None:
            slices = tuple(part.index for part in step.parts)
            for part in step.parts:
                part.make_again(self._paint[part.index])
            self._signals.stroke_made.emit(step)
        if len(slices) > 1 or self._position.shows_volume():
            self._many.update(slices)
        self.note()
        self._signals.painted.emit(slices)

    def _on_set_data(self, event: Any = None) -> None:
        """Undo and redo of strokes tell only this; so does every change of slice."""
        if self._quiet or self._repair():
            return
        before, self._drawn = self._drawn, self._checksum()
        through = self._position.shows_volume() or self._layer.n_edit_dimensions > 2
        slices = set(self._many) if through else set[int]()
        repainted = self._drawn[0] == before[0] and self._drawn != before
        if self._drawn[0] is not None and repainted:
            slices |= {self._drawn[0], *self._many}
        if slices:
            self._signals.painted.emit(tuple(sorted(slices)))
        if repainted:
            self._signals.repainted.emit()

    def _on_selected_label(self, event: Any = None) -> None:
        self._signals.label_picked.emit(int(self._layer.selected_label))

    def _on_undo_key(self, layer: Labels) -> None:
        """Undo the last brush stroke or accepted prediction."""
        if not self._drop_unfinished():
            self._signals.undo_pressed.emit()

    def _on_redo_key(self, layer: Labels) -> None:
        """Redo the last undone brush stroke or accepted prediction."""
        self._signals.redo_pressed.emit()

    def _drop_unfinished(self) -> bool:
        """Take back an outline that is being drawn with no button held; whether there was one.

        It is no step yet: what came before it would be taken back, and the brush go on.
        """
        if self._layer.mode != "paint":
            return False
        drawn = self._checksum()
        self._layer.mode = "pan_zoom"  # whoever puts the brush down drops it
        self._layer.mode = "paint"
        return self._checksum() != drawn

    def _checksum(self) -> tuple[int | None, int]:
        index = self._position.current_slice()
        if index is None:
            return None, 0
        return index, zlib.crc32(np.ascontiguousarray(self._paint[index]).data)

    def _on_screen(self) -> tuple[int, ...]:
        index = self._position.current_slice()
        return () if index is None else (index,)

    def _repair(self) -> bool:
        """Bring our array back when something has given the layer other data."""
        mine = self._geometry.as_layer(self._paint)
        if np.may_share_memory(self._layer.data, mine):
            return False
        if self._layer.data.shape == mine.shape:
            np.copyto(mine, np.asarray(self._layer.data), casting="unsafe")
        self._layer.data = mine
        self._signals.painted.emit(tuple(range(len(self._paint))))
        return True
