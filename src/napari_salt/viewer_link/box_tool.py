"""Boxes dragged on the canvas, and the mask that comes back: two passing layers of their own.

While the tool is on its own layer is the active one. So the paint layer gets no strokes and keeps
its brush mode, the camera does not pan, and Enter and Escape belong to the tool, all without
touching anything that would have to be given back.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.colormaps import DirectLabelColormap

from napari_salt.viewer_link.askew import is_askew
from napari_salt.viewer_link.images import pixels_of, transforms_of
from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.selecting import no_status

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.records import Color
    from napari_salt.viewer_link.images import ViewerImages
    from napari_salt.viewer_link.signals import ViewerSignals

_LEAST_PIXELS = 2.0
_LINE = 2.0
"""Width of the outline in pixels of the screen."""
_OPACITY = 0.6


class BoxTool:
    """Catches boxes on one slice and shows a proposed mask; says so by the viewer's signals."""

    def __init__(self, viewer: Viewer, images: ViewerImages, signals: ViewerSignals) -> None:
        self._viewer, self._images, self._signals = viewer, images, signals
        self._place: Place | None = None
        self._outline: Shapes | None = None
        self._mask: Labels | None = None
        self._before: Layer | None = None
        self._color: Color = (1.0, 1.0, 1.0, 1.0)
        self._busy = False
        """Whether the selection is changed here, and so by nobody else."""
        self._listening = Listening()
        self._listening.to(viewer.layers.events.removed, self._on_removed)
        self._listening.to(viewer.layers.selection.events.active, self._on_active)

    def possible(self, place: Place) -> bool:
        """Whether the viewer shows single slices of a place, in its own axes."""
        try:
            image, dims = self._images.get(place.key), self._viewer.dims
        except KeyError:
            return False  # the image is being removed
        offset = dims.ndim - image.ndim
        wanted = [axis + offset for axis in place.geometry.plane_axes]
        flat = dims.ndisplay == 2 and sorted(dims.displayed) == wanted
        return flat and not is_askew(dims, image)

    def show(self, place: Place, index: int, color: Color) -> None:
        """Turn the tool on for slice ``index`` of a place."""
        self.hide()
        image = self._images.get(place.key)
        self._place, self._color = place, color
        self._before = self._viewer.layers.selection.active
        layer = Shapes(
            ndim=image.ndim,
            name=f"{image.name} box",
            axis_labels=image.axis_labels,
            **transforms_of(image, place.geometry, _at(place, index)),
        )
        layer.editable = False
        layer.mouse_pan = False
        layer.cursor = "crosshair"
        layer.mouse_drag_callbacks.append(self._on_drag)
        for key, act in (
            ("Enter", self._on_enter),
            ("Escape", self._on_escape),
            ("Control-Z", self._on_undo),
            ("Control-Shift-Z", self._on_redo),
        ):
            layer.bind_key(key, act, overwrite=True)
        with self.undisturbed():
            self._viewer.layers.append(layer)
            self._viewer.layers.selection.active = layer
        self._outline = layer

    def hide(self) -> None:
        """Turn the tool off: its layers go, and the layer that was active before is so again."""
        if self._outline is None:
            return
        active = self._viewer.layers.selection.active
        was_active = active is self._outline or active is self._mask
        self.hide_mask()
        outline, self._outline, self._place = self._outline, None, None
        self._remove(outline)
        if was_active and self._before in self._viewer.layers:
            with no_status(self._viewer):
                self._viewer.layers.selection.active = self._before
        self._before = None

    def move(self, place: Place, index: int) -> None:
        """Go on with another slice, or where the image has moved to; what was drawn is forgotten."""
        self.clear()
        if self._outline is not None:
            numbers = transforms_of(self._images.get(place.key), place.geometry, _at(place, index))
            for name, value in numbers.items():
                setattr(self._outline, name, value)

    def clear(self) -> None:
        """Forget box and mask; the tool stays on."""
        self.hide_mask()
        if self._outline is not None and len(self._outline.data):
            self._outline.data = []

    def set_color(self, color: Color) -> None:
        """Show box and mask in the colour of another label."""
        self._color = color
        if self._outline is not None and len(self._outline.data):
            self._outline.edge_color = _opaque(color)
        if self._mask is not None:
            self._mask.colormap = _colormap(color)

    def show_mask(self, place: Place, index: int, mask: NDArray[np.bool_], color: Color) -> None:
        """Show a mask ``(Y, X)`` on a slice; only its bounding box is drawn, which is quick."""
        self.hide_mask()
        self._color = color
        if self._outline is None or not mask.any():
            return
        image = self._images.get(place.key)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        part = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
        layer = Labels(
            place.geometry.as_layer(part[None]),
            name=f"{image.name} box mask",
            axis_labels=image.axis_labels,
            opacity=_OPACITY,
            colormap=_colormap(color),
            **transforms_of(image, place.geometry, _at(place, index, (top, left))),
        )
        layer.editable = False
        with self.undisturbed():
            self._viewer.layers.insert(self._viewer.layers.index(self._outline), layer)
            self._viewer.layers.selection.active = self._outline
        self._mask = layer

    def hide_mask(self) -> None:
        """Take the mask off the screen."""
        mask, self._mask = self._mask, None
        if mask is not None:
            self._remove(mask)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Add or remove layers that take the selection for a moment only; the tool stays on."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def close(self) -> None:
        """Let go of the viewer."""
        self.hide()
        self._listening.stop_all()

    # ---- events

    def _on_drag(self, layer: Shapes, event: Any) -> Generator[None, None, None]:
        if event.button != 1 or event.modifiers:
            return
        start = self._pixel(event.position)
        yield
        while event.type == "mouse_move":
            self._draw(start, self._pixel(event.position))
            yield
        end = self._pixel(event.position)
        low, high = np.minimum(start, end), np.maximum(start, end)
        if (high - low).min() < _LEAST_PIXELS:
            return  # a click, or a slip of the hand
        self._draw(start, end)
        self._signals.box_drawn.emit((*low.tolist(), *high.tolist()))

    def _on_enter(self, layer: Shapes) -> None:
        """Take the mask into paint."""
        self._signals.box_taken.emit()

    def _on_escape(self, layer: Shapes) -> None:
        """Drop the mask; without one, turn the box tool off."""
        self._signals.box_dropped.emit()

    def _on_undo(self, layer: Shapes) -> None:
        """Undo the last brush stroke or accepted mask."""
        self._signals.undo_pressed.emit()

    def _on_redo(self, layer: Shapes) -> None:
        """Redo the last undone brush stroke or accepted mask."""
        self._signals.redo_pressed.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._mask:
            self._mask = None
            self._signals.box_dropped.emit()
        elif event.value is self._outline:
            self._signals.box_left.emit()

    def _on_active(self, event: Any = None) -> None:
        """Somebody takes up another layer: the tool would not get the mouse any more."""
        if self._busy or self._outline is None:
            return
        if self._viewer.layers.selection.active is not self._outline:
            self._signals.box_left.emit()

    # ---- parts

    def _pixel(self, position: Any) -> NDArray[np.float64]:
        """y, x of a place in the world, in pixels of the slice, inside it; pixel 0 begins at 0."""
        assert self._place is not None
        image, geometry = self._images.get(self._place.key), self._place.geometry
        point = np.asarray(image.world_to_data(position), dtype=float)
        axes = list(geometry.plane_axes)
        size = np.array(pixels_of(image, self._place.level).shape)[axes]
        return np.clip((point[axes] + 0.5) / geometry.sizes()[axes], 0, size)

    def _draw(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
        if self._outline is None or self._place is None:
            return
        axes = self._place.geometry.plane_axes
        corners = np.zeros((4, self._outline.ndim))
        corners[:, axes[0]] = np.array([start[0], start[0], end[0], end[0]]) - 0.5
        corners[:, axes[1]] = np.array([start[1], end[1], end[1], start[1]]) - 0.5
        camera = getattr(self._viewer, "scene", self._viewer).camera  # its place since napari 0.9
        pixel = camera.zoom * float(np.abs(self._outline.scale[list(axes)]).mean())
        self._outline.data = []
        self._outline.add_rectangles(
            corners,
            edge_width=_LINE / max(pixel, 1e-6),
            edge_color=_opaque(self._color),
            face_color="transparent",
        )

    def _remove(self, layer: Layer) -> None:
        if layer in self._viewer.layers:
            with self.undisturbed(), no_status(self._viewer):
                self._viewer.layers.remove(layer)


def _at(place: Place, index: int, corner: tuple[int, int] = (0, 0)) -> dict[int, int]:
    """Where a part of slice ``index`` begins whose first pixel is ``corner``, along the axes of the stack."""
    corners = zip(place.geometry.plane_axes, corner, strict=True)
    return {**dict(corners), **place.geometry.at_slice(index)}


def _opaque(color: Color) -> Any:
    return np.array([*color[:3], 1.0])


def _colormap(color: Color) -> DirectLabelColormap:
    clear = (0.0, 0.0, 0.0, 0.0)
    return DirectLabelColormap(color_dict={None: clear, 0: clear, 1: color})
