"""Finds, makes and fills the layers of one image, and tells what happens in the viewer.

Layers that belong to a place are found by their metadata, so renaming them does no harm. The paint
layer's data *is* the annotations' array (seen along the image's axes); predictions and uncertainty
are written behind napari's undo history.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from napari.layers import Labels

from napari_salt.viewer_link import ownership, registry
from napari_salt.viewer_link.box_tool import BoxTool
from napari_salt.viewer_link.compare import CompareLayers
from napari_salt.viewer_link.custody import Custody
from napari_salt.viewer_link.image_readers import image_layer
from napari_salt.viewer_link.image_watch import ImageWatch
from napari_salt.viewer_link.images import ViewerImages, layer_key, transforms_of
from napari_salt.viewer_link.keys import ViewerKeys
from napari_salt.viewer_link.layers import (
    OUTLINE,
    Role,
    display_events,
    dress,
    layer_name,
)
from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.making import LayerMaking
from napari_salt.viewer_link.ownership import arrays
from napari_salt.viewer_link.predicted import empty_stack, seen_along
from napari_salt.viewer_link.selecting import no_status
from napari_salt.viewer_link.slices import show_slice, shows_volume, slice_at
from napari_salt.viewer_link.stacking import single_images, stack_images
from napari_salt.viewer_link.strokes import Strokes
from napari_salt.views import DisplayState, ViewerSignals

if TYPE_CHECKING:
    from napari.layers import Image, Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.io.opened import Opened
    from napari_salt.key_table import KeysState
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session
    from napari_salt.viewer_link.predicted import StackArray
    from napari_salt.views import LabelRow

_BRUSHES = ("paint", "fill", "polygon")
"""Modes of a labels layer that paint the label that is selected."""
_LEAST_3D_REFRESH = 1.0
"""Seconds between refreshes while volumes are shown: each one uploads the volume anew."""


class ViewerLink:
    """Finds, makes and fills the layers of one place; tells what happens in the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.signals = ViewerSignals()
        self.images = ViewerImages(viewer)
        self.compare = CompareLayers(viewer, self.images)
        self._viewer = viewer
        self._image: Image | None = None
        self._place: Place | None = None
        self._layers: dict[Role, Layer] = {}
        self._data: dict[Role, StackArray] = {}
        self._rows: tuple[LabelRow, ...] = ()
        self._session: Session | None = None
        self._strokes: Strokes | None = None
        self._image_watch: ImageWatch | None = None
        self._image_name = ""
        self._custody = Custody(viewer)
        self._last_refresh = 0.0
        self._opacity, self._outline = 0.5, False
        self._shown: dict[Role, bool] = dict.fromkeys(get_args(Role), True)
        self._shown["uncertainty"] = False
        self._listening = Listening()
        layers, dims = viewer.layers.events, viewer.dims.events
        self._listening.to(layers.inserted, self._on_inserted)
        self._listening.to(layers.removed, self._on_removed)
        self._listening.to(layers.renamed, self._on_layers)
        for moved in (dims.point, dims.ndisplay, dims.order):
            self._listening.to(moved, self._on_dims)
        self._keys = ViewerKeys(viewer, self.signals)
        self._box = BoxTool(viewer, self.images, self.signals)
        self._making = LayerMaking(viewer, self._box)
        registry.link_opened(self)

    @property
    def box(self) -> BoxTool:
        """The tool that turns boxes into masks."""
        return self._box

    def serves(self, viewer: Any) -> bool:
        """Whether this is the link of ``viewer``, which may be a proxy of it."""
        mine, other = (getattr(x, "__wrapped__", x) for x in (self._viewer, viewer))
        return mine is other

    # ---- layers of a place

    def session_of(self, place: Place) -> Session | None:
        """The session that an earlier dock has left with the paint layer of a place.

        Work that was kept when its image or its paint layer went is given back here.
        """
        return self._custody.session_of(place, self.images.open_stack(place))

    def sessions_at_other_levels(self, place: Place) -> list[Session]:
        """Sessions with a paint layer on the other levels of a place's image."""
        levels = (x for x in range(len(self.images.levels(place))) if x != place.level)
        places = (self.images.at_level(place, level) for level in levels)
        found = (self._custody.of_other_place(one) for one in places)
        return [session for session in found if session is not None]

    def first_place(self, key: str) -> Place:
        """The stack of an image to start with: at the level that work waits for, else at a handy one."""
        place = self.images.place(key)
        count = len(self.images.levels(place))
        levels = [self.images.at_level(place, level) for level in range(count)]
        waiting = (x for x in (place, *levels) if self._custody.waits(x, self.images.open_stack(x)))
        return next(waiting, place) if levels else place

    def attach(self, place: Place, session: Session) -> None:
        """Show the session's paint as a layer on the image; layers of other places are hidden."""
        self.detach()
        self._place, self._image = place, self.images.get(place.key)
        ownership.levels[self._image] = place.level
        self._session = session
        self._image_name = self._image.name
        self._image_watch = ImageWatch(self._image, self._on_image, self._on_pixels)
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
        self._follow_image()
        self.show_paint(session)

    def detach(self, *, hide: bool = True) -> None:
        """Let go of the layers of the current place; they stay in the viewer."""
        for role, layer in list(self._layers.items()):
            self._leave(role)
            if hide:
                layer.visible = False
        self._data = {}
        if self._image_watch is not None:
            self._image_watch.close()
        self._place = self._image = self._session = self._image_watch = None

    def release(self) -> None:
        """Let go of the current place for good: its image is not the one that was painted on."""
        if self._place is not None and self._session is not None:
            self._custody.lose(self._place.name, self._session)
        self.detach(hide=False)

    def show_paint(self, session: Session) -> None:
        """Show the paint layer, also after it was removed; the paint itself was never lost."""
        self._data["paint"] = session.annotations.paint
        layer = self._layers.get("paint") or self._make("paint")
        layer.visible = True
        with no_status(self._viewer):
            self._viewer.layers.selection.active = layer
        self._custody.shown(layer, session)
        if self._strokes is not None:
            self._strokes.note()

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
            with no_status(self._viewer):
                self._viewer.layers.selection.active = paint
            if paint.mode not in _BRUSHES:
                paint.mode = "paint"

    def has_brush(self) -> bool:
        """Whether the paint layer is active with a tool that paints."""
        paint = self._paint()
        active = self._viewer.layers.selection.active
        return paint is not None and active is paint and paint.mode in _BRUSHES

    # ---- slices

    def current_slice(self) -> int | None:
        """Index of the slice on screen; None when the position lies outside the stack."""
        if self._image is None or self._place is None:
            return None
        count = len(self._data["paint"])
        return slice_at(self._viewer.dims, self._image, self._place.geometry, count)

    def stack_images(self) -> str:
        """Make one stack of the single images; the key of the new image."""
        return layer_key(stack_images(self._viewer))

    def add_image(self, opened: Opened) -> str:
        """Show an image that was opened from a file; its key."""
        data, attributes, _ = image_layer(opened)
        return layer_key(self._viewer.add_image(data, **attributes))

    def single_images(self) -> int:
        """How many single images ``stack_images`` would take."""
        return len(single_images(self._viewer))

    def go_to(self, index: int) -> None:
        """Show a slice of the stack."""
        if self._image is not None and self._place is not None:
            show_slice(self._viewer.dims, self._image, self._place.geometry, index)

    def set_contrast(self, low: float, high: float) -> None:
        """Show the image between two intensities, black to white."""
        if self._image is not None and not self._image.rgb:
            self._image.contrast_limits = (low, high)

    def refresh_paint(self) -> None:
        """Draw paint anew after it was changed from outside."""
        self._refresh("paint", force=True)

    def keys(self) -> KeysState:
        """The keys that hold now."""
        return self._keys.state

    # ---- predictions

    def prepare_prediction(self) -> None:
        """Add the layer of predictions, empty, at the press of a button: nobody is painting at that moment."""
        if self._image is not None and "prediction" not in self._layers:
            self._array("prediction")
            self._make("prediction")

    def drop_empty_prediction(self) -> None:
        """A job has ended without a mask: it leaves no layer behind."""
        session = self._session
        if session is None or session.predicted_count:
            return
        self._data.pop("prediction", None)
        layer = self._layers.get("prediction")
        if layer is not None:
            self._viewer.layers.remove(layer)

    def write_prediction(self, prediction: SlicePrediction) -> None:
        """Fill one slice of the prediction layers; drawn only when it is on screen.

        Raises ``OutputError`` where they lie in a file and the disk is full; what was filled before stays.
        """
        if self._image is None:
            return
        self._fill("uncertainty", prediction.index, prediction.uncertainty)
        self._fill("prediction", prediction.index, prediction.labels)

    def predictions(self) -> StackArray | None:
        """Predicted label ids ``(N, Y, X)`` uint16, 0 where none; None before a first job."""
        return self._data.get("prediction")

    def uncertainties(self) -> StackArray | None:
        """Uncertainty ``(N, Y, X)`` float16; None before the first prediction."""
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

    def close(self) -> None:
        """Let go of the viewer; layers stay where they are."""
        for role in list(self._layers):
            self._leave(role)
        if self._image_watch is not None:
            self._image_watch.close()
        self._listening.stop_all()
        self.compare.clear()
        self._keys.close()
        self._box.close()
        registry.link_closed(self)

    # ---- making layers

    def _make(self, role: Role) -> Layer:
        """Add a layer for the array of a role, in its order, without stealing the selection."""
        image, place = self._image, self._place
        assert image is not None
        assert place is not None
        layer = self._making.make(
            role, image, place, self._data[role], self._opacity, self._rows, self._layers
        )
        self._take(role, layer)
        return layer

    def _take(self, role: Role, layer: Layer) -> None:
        self._layers[role] = layer
        arrays[layer] = self._data[role]
        layer.visible = self._shown[role]
        place, session = self._place, self._session
        if role == "paint" and isinstance(layer, Labels) and place and session:
            paint = session.annotations.paint
            self._strokes = Strokes(layer, paint, place.geometry, self, self.signals)
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
            self._strokes = None
        else:
            for emitter in display_events(layer):
                self._listening.stop(emitter, self._on_display)

    def _dress(self, role: Role) -> None:
        """Colours and names of a labels layer."""
        layer = self._layers[role]
        if isinstance(layer, Labels):
            dress(layer, role, self._rows)

    # ---- filling and drawing

    def _array(self, role: Role) -> StackArray:
        if role not in self._data:
            self._data[role] = self._empty(role)
        return self._data[role]

    def _empty(self, role: Role) -> StackArray:
        count, rows, columns = self._data["paint"].shape
        dtype = np.float16 if role == "uncertainty" else np.uint16
        return empty_stack((count, rows, columns), dtype)

    def _fill(self, role: Role, index: int, plane: NDArray[Any]) -> None:
        self._array(role)[index] = plane
        if role not in self._layers:
            # A layer costs the window a tenth of a second or two: not for what nobody looks at.
            if role == "prediction" or self._shown[role]:
                self._make(role)
        elif index == self.current_slice() or self.shows_volume():
            self._refresh(role)

    def _refresh(self, role: Role, *, force: bool = False) -> None:
        layer = self._layers.get(role)
        if layer is None or not layer.visible:
            return
        now = time.monotonic()
        if self.shows_volume() and not force and now - self._last_refresh < _LEAST_3D_REFRESH:
            return
        self._last_refresh = now
        if role == "paint" and self._strokes is not None:
            self._strokes.redraw(thumbnail=force)
        else:
            layer.refresh(thumbnail=force, highlight=False, extent=False)

    def shows_volume(self) -> bool:
        """Whether the slice axis is one of those on screen, so that every slice is seen."""
        if self._image is None or self._place is None:
            return False
        return shows_volume(self._viewer.dims, self._image, self._place.geometry)

    # ---- events

    def _on_layers(self, event: Any = None) -> None:
        self.signals.images_changed.emit()

    def _on_inserted(self, event: Any) -> None:
        ownership.disown_copy(event.value)
        self.signals.images_changed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        self._custody.paint_removed(layer)
        for role, mine in list(self._layers.items()):
            if mine is layer:
                self._leave(role)
                if role == "paint":
                    self.signals.paint_lost.emit()
        self._custody.image_removed(layer, self._place, self._session)
        if self._image is not None and layer is self._image:
            self.signals.image_lost.emit(layer_key(self._image), self._image.name)
        self.signals.images_changed.emit()

    def _on_dims(self, event: Any = None) -> None:
        self.signals.slice_changed.emit()

    def _on_display(self, event: Any = None) -> None:
        for role in ("uncertainty", "prediction"):
            if role in self._layers:
                self._shown[role] = bool(self._layers[role].visible)
        prediction = self._layers.get("prediction")
        if isinstance(prediction, Labels):
            self._opacity = float(prediction.opacity)
            self._outline = prediction.contour > 0
        self.signals.display_changed.emit()

    def _on_image(self) -> None:
        """The image has another place, size, unit or name."""
        image, place = self._image, self._place
        if image is None or place is None or image.ndim != place.geometry.ndim:
            return  # with other axes another array is coming, which is told by itself
        before, self._image_name = self._image_name, image.name
        for role, layer in self._layers.items():
            if layer.name == layer_name(image, role, place, before):
                layer.name = layer_name(image, role, place)
        self._follow_image()
        self.signals.image_changed.emit()

    def _on_pixels(self) -> None:
        """The image shows another array."""
        self.signals.pixels_replaced.emit()

    def _follow_image(self) -> None:
        """Bring all layers to where the image is."""
        if self._image is None or self._place is None:
            return
        numbers = transforms_of(self._image, self._place.geometry)
        for layer in self._layers.values():
            for name, value in numbers.items():
                setattr(layer, name, value)

    # ---- finding

    def _paint(self) -> Labels | None:
        paint = self._layers.get("paint")
        return paint if isinstance(paint, Labels) else None
