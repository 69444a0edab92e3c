"""Finds, makes and fills the layers of one image, and tells what happens in the viewer.

Layers that belong to a place are found by their metadata, so renaming them does no harm. The paint
layer's data *is* the annotations' array (seen along the image's axes); predictions and uncertainty
are written behind napari's undo history.
"""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels

from napari_salt.viewer_link.box_tool import BoxTool
from napari_salt.viewer_link.images import META, ViewerImages, layer_key, transforms_of
from napari_salt.viewer_link.keys import ViewerKeys
from napari_salt.viewer_link.layers import Role, dress, new_layer
from napari_salt.views import DisplayState, ViewerSignals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Image, Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session
    from napari_salt.views import LabelRow

_GEOMETRY = ("scale", "translate", "rotate", "shear", "affine", "units")
_LEAST_3D_REFRESH = 1.0
"""Seconds between refreshes while volumes are shown: each one uploads the volume anew."""

_sessions: WeakKeyDictionary[Layer, Session] = WeakKeyDictionary()
"""Sessions outlive the dock: they stay with the paint layer as long as that lives."""
_arrays: WeakKeyDictionary[Layer, NDArray[Any]] = WeakKeyDictionary()
"""The (N, Y, X) array that a layer shows."""


class ViewerLink:
    """Finds, makes and fills the layers of one place; tells what happens in the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.signals = ViewerSignals()
        self.images = ViewerImages(viewer)
        self._viewer = viewer
        self._image: Image | None = None
        self._place: Place | None = None
        self._layers: dict[Role, Layer] = {}
        self._data: dict[Role, NDArray[Any]] = {}
        self._rows: tuple[LabelRow, ...] = ()
        self._drawn: tuple[int | None, int] = (None, 0)
        """Slice on screen and checksum of its paint, to tell an undo from a mere redraw."""
        self._drawing = False
        self._last_refresh = 0.0
        self._opacity = 0.5
        self._shown: dict[Role, bool] = dict.fromkeys(get_args(Role), True)
        self._shown["uncertainty"] = False
        self._connections: list[tuple[Any, Callable[..., None]]] = []
        layers, dims = viewer.layers.events, viewer.dims.events
        self._listen(layers.inserted, self._on_layers)
        self._listen(layers.removed, self._on_removed)
        self._listen(layers.renamed, self._on_layers)
        self._listen(dims.point, self._on_dims)
        self._keys = ViewerKeys(viewer, self.signals.label_key_pressed.emit)
        self._box = BoxTool(viewer, self.images, self.signals)

    @property
    def box(self) -> BoxTool:
        """The tool that turns boxes into masks."""
        return self._box

    # ---- layers of a place

    def session_of(self, place: Place) -> Session | None:
        """The session that an earlier dock has left with the paint layer of a place."""
        paint = self._find(place, "paint")
        return None if paint is None else _sessions.get(paint)

    def attach(self, place: Place, session: Session) -> None:
        """Show the session's paint as a layer on the image; layers of other places are hidden."""
        self.detach()
        self._place, self._image = place, self.images.get(place.key)
        for name in _GEOMETRY:
            self._listen(getattr(self._image.events, name), self._on_geometry)
        self._data["paint"] = session.annotations.paint
        for role in get_args(Role):
            layer = self._find(place, role)
            if layer is not None:
                self._data.setdefault(role, _arrays[layer])
                self._take(role, layer)
        self.show_paint(session)

    def detach(self, *, hide: bool = True) -> None:
        """Let go of the layers of the current place; they stay in the viewer."""
        for role, layer in list(self._layers.items()):
            self._leave(role)
            if hide:
                layer.visible = False
        self._data.clear()
        if self._image is not None:
            for name in _GEOMETRY:
                self._unlisten(getattr(self._image.events, name), self._on_geometry)
        self._place = self._image = None

    def show_paint(self, session: Session) -> None:
        """Show the paint layer, also after it was removed; the paint itself was never lost."""
        self._data["paint"] = session.annotations.paint
        layer = self._layers.get("paint") or self._make("paint")
        layer.visible = True
        self._viewer.layers.selection.active = layer
        _sessions[layer] = session
        self._drawn = self._checksum()

    def has_paint_layer(self) -> bool:
        """Whether the paint of the current place has its layer."""
        return "paint" in self._layers

    def set_labels(self, rows: tuple[LabelRow, ...]) -> None:
        """Names, colours and ids of all layers."""
        self._rows = rows
        for role in self._layers:
            self._dress(role)

    def select_label(self, label_id: int, *, brush: bool) -> None:
        """Give the brush a label; ``brush`` also makes the paint layer active, ready to paint."""
        paint = self._paint()
        if paint is None:
            return
        paint.selected_label = label_id
        if brush:
            self._viewer.layers.selection.active = paint
            if paint.mode not in ("paint", "fill", "polygon"):
                paint.mode = "paint"

    # ---- slices

    def current_slice(self) -> int | None:
        """Index of the slice on screen; None when the position lies outside the stack."""
        if self._image is None or self._place is None:
            return None
        geometry = self._place.geometry
        if geometry.ndim == 2:
            return 0
        point = np.rint(self._image.world_to_data(self._viewer.dims.point)).astype(int)
        if any(point[axis] != index for axis, index in geometry.fixed.items()):
            return None
        index = int(point[geometry.slice_axis])
        return index if 0 <= index < len(self._data["paint"]) else None

    def go_to(self, index: int) -> None:
        """Show a slice of the stack."""
        if self._image is None or self._place is None or self._place.geometry.ndim == 2:
            return
        geometry, dims = self._place.geometry, self._viewer.dims
        point = np.array(self._image.world_to_data(dims.point), dtype=float)
        wanted = {**geometry.fixed, geometry.slice_axis: index}
        for axis, value in wanted.items():
            point[axis] = value
        world = self._image.data_to_world(point)
        offset = dims.ndim - self._image.ndim
        dims.set_point([axis + offset for axis in wanted], [world[axis] for axis in wanted])

    def refresh_paint(self) -> None:
        """Draw paint anew after it was changed from outside."""
        self._refresh("paint", force=True)

    def undo_stroke(self) -> None:
        """Take the viewer's last brush stroke back."""
        paint = self._paint()
        if paint is not None:
            paint.undo()

    def redo_stroke(self) -> None:
        """Make the viewer's last undone brush stroke again."""
        paint = self._paint()
        if paint is not None:
            paint.redo()

    # ---- predictions

    def write_prediction(self, prediction: SlicePrediction) -> None:
        """Fill one slice of the prediction layers; drawn only when it is on screen."""
        if self._image is None:
            return
        self._fill("uncertainty", prediction.index, prediction.uncertainty)
        self._fill("prediction", prediction.index, prediction.labels)

    def predictions(self) -> NDArray[np.uint16] | None:
        """Predicted label ids ``(N, Y, X)``, 0 where none; None before the first prediction."""
        return self._data.get("prediction")

    def uncertainties(self) -> NDArray[np.float16] | None:
        """Uncertainty ``(N, Y, X)``; None before the first prediction."""
        return self._data.get("uncertainty")

    def draw_predictions(self) -> None:
        """Draw the prediction layers anew, at the end of a job."""
        for role in ("uncertainty", "prediction"):
            self._refresh(role, force=True)

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the prediction, 0..1."""
        self._opacity = opacity
        if "prediction" in self._layers:
            self._layers["prediction"].opacity = opacity

    def set_shown(self, role: Role, shown: bool) -> None:
        """Show or hide a layer, now and when it appears."""
        self._shown[role] = shown
        if role in self._data and role not in self._layers and shown:
            self._make(role)
        if role in self._layers:
            self._layers[role].visible = shown

    def display(self) -> DisplayState:
        """How the prediction is shown, or will be once there is one."""
        return DisplayState(self._shown["prediction"], self._opacity, self._shown["uncertainty"])

    def close(self) -> None:
        """Let go of the viewer; layers stay where they are."""
        for role in list(self._layers):
            self._leave(role)
        for emitter, slot in list(self._connections):
            self._unlisten(emitter, slot)
        self._keys.close()
        self._box.close()

    # ---- making layers

    def _make(self, role: Role) -> Layer:
        """Add a layer for the array of a role, in its order, without stealing the selection."""
        image, place = self._image, self._place
        assert image is not None
        assert place is not None
        data = place.geometry.as_layer(self._data[role])
        layer = new_layer(role, image, place, data, self._shown[role], self._opacity)
        active = self._viewer.layers.selection.active
        self._box.undisturbed(True)
        self._viewer.layers.insert(self._place_in_list(role), layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        self._box.undisturbed(False)
        self._take(role, layer)
        return layer

    def _place_in_list(self, role: Role) -> int:
        """Position that keeps uncertainty below prediction below paint."""
        order: Sequence[Role] = get_args(Role)
        above = [
            self._layers[other] for other in order[order.index(role) + 1 :] if other in self._layers
        ]
        layers = self._viewer.layers
        return min((layers.index(layer) for layer in above), default=len(layers))

    def _take(self, role: Role, layer: Layer) -> None:
        self._layers[role] = layer
        _arrays[layer] = self._data[role]
        self._dress(role)
        layer.visible = self._shown[role]
        if role == "paint" and isinstance(layer, Labels):
            self._listen(layer.events.paint, self._on_paint)
            self._listen(layer.events.set_data, self._on_set_data)
            self._listen(layer.events.selected_label, self._on_selected_label)
            layer.bind_key("Control-Z", self._on_undo_key, overwrite=True)
            layer.bind_key("Control-Shift-Z", self._on_redo_key, overwrite=True)
        else:
            self._listen(layer.events.visible, self._on_display)
            self._listen(layer.events.opacity, self._on_display)
            layer.editable = False

    def _leave(self, role: Role) -> None:
        layer = self._layers.pop(role)
        if role == "paint" and isinstance(layer, Labels):
            self._unlisten(layer.events.paint, self._on_paint)
            self._unlisten(layer.events.set_data, self._on_set_data)
            self._unlisten(layer.events.selected_label, self._on_selected_label)
            layer.bind_key("Control-Z", None, overwrite=True)
            layer.bind_key("Control-Shift-Z", None, overwrite=True)
        else:
            self._unlisten(layer.events.visible, self._on_display)
            self._unlisten(layer.events.opacity, self._on_display)

    def _dress(self, role: Role) -> None:
        """Colours and names of a labels layer."""
        layer = self._layers[role]
        if isinstance(layer, Labels):
            dress(layer, role, self._rows)

    # ---- filling and drawing

    def _fill(self, role: Role, index: int, plane: NDArray[Any]) -> None:
        if role not in self._data:
            dtype = np.float16 if role == "uncertainty" else np.uint16
            self._data[role] = np.zeros(self._data["paint"].shape, dtype)
        self._data[role][index] = plane
        if role not in self._layers:
            self._make(role)
        elif index == self.current_slice() or self._shows_volume():
            self._refresh(role)

    def _refresh(self, role: Role, *, force: bool = False) -> None:
        layer = self._layers.get(role)
        if layer is None or not layer.visible:
            return
        now = time.monotonic()
        if self._shows_volume() and not force and now - self._last_refresh < _LEAST_3D_REFRESH:
            return
        self._last_refresh = now
        self._drawing = True
        layer.refresh(thumbnail=force, highlight=False, extent=False)
        self._drawing = False
        if role == "paint":
            self._drawn = self._checksum()

    def _shows_volume(self) -> bool:
        """Whether the slice axis is one of those on screen, so that every slice is seen."""
        if self._image is None or self._place is None or self._place.geometry.ndim == 2:
            return False
        offset = self._viewer.dims.ndim - self._image.ndim
        return self._place.geometry.slice_axis + offset in self._viewer.dims.displayed

    # ---- events

    def _on_layers(self, event: Any = None) -> None:
        self.signals.images_changed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        for role, mine in list(self._layers.items()):
            if mine is layer:
                self._leave(role)
                if role == "paint":
                    self.signals.paint_lost.emit()
        if self._image is not None and layer is self._image:
            self.signals.image_lost.emit(layer_key(self._image), self._image.name)
        self.signals.images_changed.emit()

    def _on_dims(self, event: Any = None) -> None:
        self.signals.slice_changed.emit()

    def _on_display(self, event: Any = None) -> None:
        for role in ("uncertainty", "prediction"):
            if role in self._layers:
                self._shown[role] = bool(self._layers[role].visible)
        if "prediction" in self._layers:
            self._opacity = float(self._layers["prediction"].opacity)
        self.signals.display_changed.emit()

    def _on_geometry(self, event: Any = None) -> None:
        if self._image is None or self._place is None:
            return
        numbers = transforms_of(self._image, self._place.geometry)
        for layer in self._layers.values():
            for name, value in numbers.items():
                setattr(layer, name, value)

    def _on_paint(self, event: Any = None) -> None:
        self._drawn = self._checksum()
        self.signals.stroke_made.emit()
        self.signals.painted.emit(self._edited())

    def _on_set_data(self, event: Any = None) -> None:
        """Undo and redo of strokes tell only this; so does every change of slice."""
        if self._drawing or self._repair():
            return
        before, self._drawn = self._drawn, self._checksum()
        same_slice = self._drawn[0] == before[0]
        if self._shows_volume() or (same_slice and self._drawn != before):
            self.signals.painted.emit(self._edited())

    def _on_selected_label(self, event: Any = None) -> None:
        paint = self._paint()
        if paint is not None:
            self.signals.label_picked.emit(int(paint.selected_label))

    def _on_undo_key(self, layer: Labels) -> None:
        """Undo the last brush stroke or accepted prediction."""
        self.signals.undo_pressed.emit()

    def _on_redo_key(self, layer: Labels) -> None:
        """Redo the last undone brush stroke or accepted prediction."""
        self.signals.redo_pressed.emit()

    def _checksum(self) -> tuple[int | None, int]:
        index = self.current_slice()
        if index is None:
            return None, 0
        return index, zlib.crc32(np.ascontiguousarray(self._data["paint"][index]).data)

    def _edited(self) -> tuple[int, ...]:
        """Slices that the last edit may have changed."""
        paint, index = self._paint(), self.current_slice()
        if self._shows_volume() or (paint is not None and paint.n_edit_dimensions > 2):
            return tuple(range(len(self._data["paint"])))
        return () if index is None else (index,)

    def _repair(self) -> bool:
        """Bring our array back when something has given the paint layer other data."""
        paint = self._paint()
        if paint is None or self._place is None:
            return True
        mine = self._place.geometry.as_layer(self._data["paint"])
        if np.may_share_memory(paint.data, mine):
            return False
        if paint.data.shape == mine.shape:
            np.copyto(mine, np.asarray(paint.data), casting="unsafe")
        paint.data = mine
        self.signals.painted.emit(tuple(range(len(self._data["paint"]))))
        return True

    # ---- finding

    def _paint(self) -> Labels | None:
        paint = self._layers.get("paint")
        return paint if isinstance(paint, Labels) else None

    def _find(self, place: Place, role: Role) -> Layer | None:
        mark = {"role": role, "place": place.name}
        for layer in self._viewer.layers:
            if layer.metadata.get(META) == mark and layer in _arrays:
                return layer
        return None

    def _listen(self, emitter: Any, slot: Callable[..., None]) -> None:
        emitter.connect(slot)
        self._connections.append((emitter, slot))

    def _unlisten(self, emitter: Any, slot: Callable[..., None]) -> None:
        emitter.disconnect(slot)
        self._connections.remove((emitter, slot))
