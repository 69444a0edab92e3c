"""The layers of the open place: made when first needed, dressed as the labels say, filled, drawn and let go of.

Predictions and uncertainty are written behind napari's undo history.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from napari.layers import Labels

from napari_salt.viewer_link import ownership
from napari_salt.viewer_link.images import transforms_of
from napari_salt.viewer_link.layers import OUTLINE, Role, display_events, dress, layer_name
from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.ownership import arrays
from napari_salt.viewer_link.predicted import empty_stack, seen_along
from napari_salt.viewer_link.reach import Reach
from napari_salt.viewer_link.strokes import Strokes
from napari_salt.views import DisplayState

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.session.session import Session
    from napari_salt.viewer_link.making import LayerMaking
    from napari_salt.viewer_link.predicted import StackArray
    from napari_salt.viewer_link.signals import ViewerSignals
    from napari_salt.viewer_link.strokes import Position
    from napari_salt.views import LabelRow

_LEAST_3D_REFRESH = 1.0
"""Seconds between refreshes while volumes are shown: each one uploads the volume anew."""


class PlaceLayers:
    """The layers of one place, and how they are shown, which stays when another place is opened.

    Parameters
    ----------
    viewer
        Where the layers are.
    making
        Brings new layers into the viewer.
    position
        Where the viewer is in the stack.
    signals
        Told of strokes, and when predictions are shown otherwise.
    """

    def __init__(
        self, viewer: Viewer, making: LayerMaking, position: Position, signals: ViewerSignals
    ) -> None:
        self._viewer, self._making = viewer, making
        self._position, self._signals = position, signals
        self._open: tuple[Image, Place, Session] | None = None
        self._layers: dict[Role, Layer] = {}
        self._data: dict[Role, StackArray] = {}
        self._rows: tuple[LabelRow, ...] = ()
        self._strokes: Strokes | None = None
        self._reach: Reach | None = None
        self._last_refresh = 0.0
        self._opacity, self._outline = 0.5, False
        self._shown: dict[Role, bool] = dict.fromkeys(get_args(Role), True)
        self._shown["uncertainty"] = False
        self._listening = Listening()

    # ---- coming and going

    def attach(self, image: Image, place: Place, session: Session) -> None:
        """Take up the layers that a place has, and make those that it had."""
        self._open = image, place, session
        self._data = ownership.kept.setdefault(session, {})
        self._data["paint"] = session.annotations.paint
        for role in get_args(Role):
            layer = ownership.find(self._viewer.layers, place.name, role)
            if layer is not None:
                self._data.setdefault(role, arrays[layer])
            elif role in self._data and self._shown[role]:
                self._make(role)
            if layer is None:
                continue
            if layer.data.shape == seen_along(place.geometry, self._data[role]).shape:
                self._take(role, layer)
                self._dress(role)
            else:  # it lay on an image with other axes
                ownership.disown(layer)
                self._viewer.layers.remove(layer)
                self._make(role)
        self.follow_image()

    def detach(self, *, hide: bool) -> None:
        """Let go of the place; its layers stay in the viewer."""
        for layer in self.let_go():
            if hide:
                layer.visible = False
        self._data = {}
        self._open = None

    def let_go(self) -> list[Layer]:
        """Listen to no layer any more; those that were listened to."""
        layers = list(self._layers.values())
        for role in list(self._layers):
            self._leave(role)
        return layers

    def removed(self, layer: Layer) -> Role | None:
        """A layer was removed from the viewer: which of ours it was."""
        for role, mine in list(self._layers.items()):
            if mine is layer:
                self._leave(role)
                return role
        return None

    def renamed(self, former: str) -> None:
        """The image had a ``former`` name: layers that were called after it are called after the new one."""
        if self._open is None:
            return
        image, place, _ = self._open
        for role, layer in self._layers.items():
            if layer.name == layer_name(image, role, place, former):
                layer.name = layer_name(image, role, place)

    def follow_image(self) -> None:
        """Bring all layers to where the image is."""
        if self._open is None:
            return
        image, place, _ = self._open
        numbers = transforms_of(image, place.geometry)
        for layer in self._layers.values():
            for name, value in numbers.items():
                setattr(layer, name, value)
        if self._reach is not None:
            self._reach.follow()

    # ---- paint

    def paint(self) -> Labels | None:
        """The layer of paint; None while there is none."""
        paint = self._layers.get("paint")
        return paint if isinstance(paint, Labels) else None

    def has_brush(self) -> bool:
        """Whether the paint layer has a tool that paints, if only as soon as it is on screen."""
        return self._reach is not None and self._reach.has_brush

    def take_brush(self) -> None:
        """Give the paint layer a tool that paints."""
        if self._reach is not None:
            self._reach.take_brush()

    def show_paint(self, session: Session) -> Layer:
        """The layer of a session's paint, made anew where it was removed."""
        self._data["paint"] = session.annotations.paint
        layer = self._layers.get("paint") or self._make("paint")
        layer.visible = True
        return layer

    def note_paint(self) -> None:
        """What is painted now is known: only what changes from now on is a stroke."""
        if self._strokes is not None:
            self._strokes.note()

    def set_labels(self, rows: tuple[LabelRow, ...]) -> None:
        """Names, colours and ids of all layers."""
        self._rows = rows
        for role in self._layers:
            self._dress(role)

    # ---- predictions

    def array(self, role: Role) -> StackArray | None:
        """What a layer shows or would show, ``(N, Y, X)``; None before there is anything."""
        return self._data.get(role)

    def add_empty(self, role: Role) -> None:
        """Add the layer of a role, with nothing in it, unless it is there."""
        if self._open is not None and role not in self._layers:
            self._filled(role)
            self._make(role)

    def drop(self, role: Role) -> None:
        """Remove the layer of a role and what it shows."""
        self._data.pop(role, None)
        layer = self._layers.get(role)
        if layer is not None:
            self._viewer.layers.remove(layer)

    def fill(self, role: Role, index: int, plane: NDArray[Any]) -> None:
        """Fill one slice; drawn only when it is on screen."""
        self._filled(role)[index] = plane
        if role not in self._layers:
            # A layer costs the window a tenth of a second or two: not for what nobody looks at.
            if role == "prediction" or self._shown[role]:
                self._make(role)
        elif index == self._position.current_slice() or self._position.shows_volume():
            self.refresh(role)

    def refresh(self, role: Role, *, force: bool = False) -> None:
        """Draw a layer anew; volumes now and then only, unless ``force`` says so."""
        layer = self._layers.get(role)
        if layer is None or not layer.visible:
            return
        now = time.monotonic()
        volume = self._position.shows_volume()
        if volume and not force and now - self._last_refresh < _LEAST_3D_REFRESH:
            return
        self._last_refresh = now
        if role == "paint" and self._strokes is not None:
            self._strokes.redraw(thumbnail=force)
        else:
            layer.refresh(thumbnail=force, highlight=False, extent=False)

    # ---- how they are shown

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the prediction, 0..1."""
        self._opacity = opacity
        if "prediction" in self._layers:
            self._layers["prediction"].opacity = opacity

    def set_outline(self, outline: bool) -> None:
        """Draw the prediction as outlines, or filled."""
        self._outline = outline
        prediction = self._layers.get("prediction")
        if isinstance(prediction, Labels):
            prediction.contour = OUTLINE if outline else 0

    def set_shown(self, role: Role, shown: bool) -> None:
        """Show or hide a layer, now and when it appears."""
        self._shown[role] = shown
        if role in self._data and role not in self._layers and shown:
            self._make(role)
        if role in self._layers:
            self._layers[role].visible = shown

    def display(self) -> DisplayState:
        """How the prediction is shown, or will be once there is one."""
        return DisplayState(
            self._shown["prediction"], self._opacity, self._shown["uncertainty"], self._outline
        )

    def _on_display(self, event: Any = None) -> None:
        for role in ("uncertainty", "prediction"):
            if role in self._layers:
                self._shown[role] = bool(self._layers[role].visible)
        prediction = self._layers.get("prediction")
        if isinstance(prediction, Labels):
            self._opacity = float(prediction.opacity)
            self._outline = prediction.contour > 0
        self._signals.display_changed.emit()

    # ---- inside

    def _make(self, role: Role) -> Layer:
        """Add a layer for the array of a role, in its order, without stealing the selection."""
        assert self._open is not None
        image, place, _ = self._open
        layer = self._making.make(
            role, image, place, self._data[role], self._opacity, self._rows, self._layers
        )
        self._take(role, layer)
        return layer

    def _take(self, role: Role, layer: Layer) -> None:
        self._layers[role] = layer
        arrays[layer] = self._data[role]
        layer.visible = self._shown[role]
        if role == "paint" and isinstance(layer, Labels) and self._open is not None:
            _, place, session = self._open
            paint = session.annotations.paint
            self._strokes = Strokes(layer, paint, place.geometry, self._position, self._signals)
            self._reach = Reach(layer, self._viewer.dims)
        else:
            if isinstance(layer, Labels):
                layer.opacity = self._opacity
                layer.contour = OUTLINE if self._outline else 0
            for emitter in display_events(layer):
                self._listening.to(emitter, self._on_display)
            layer.editable = False

    def _leave(self, role: Role) -> None:
        layer = self._layers.pop(role)
        if role == "paint":
            if self._strokes is not None:
                self._strokes.close()
            if self._reach is not None:
                self._reach.close()
            self._strokes = self._reach = None
        else:
            for emitter in display_events(layer):
                self._listening.stop(emitter, self._on_display)

    def _dress(self, role: Role) -> None:
        """Colours and names of a labels layer."""
        layer = self._layers[role]
        if isinstance(layer, Labels):
            dress(layer, role, self._rows)

    def _filled(self, role: Role) -> StackArray:
        """The array of a role, at first with nothing in it."""
        if role not in self._data:
            count, rows, columns = self._data["paint"].shape
            dtype = np.float16 if role == "uncertainty" else np.uint16
            self._data[role] = empty_stack((count, rows, columns), dtype)
        return self._data[role]
