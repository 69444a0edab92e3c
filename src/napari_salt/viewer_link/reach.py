"""Has a paint layer take strokes only where it is on screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_salt.viewer_link.askew import is_askew
from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.slices import within

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Labels

BRUSHES = ("paint", "fill", "polygon")
"""Modes of a labels layer that paint the label that is selected."""


class Reach:
    """Puts the tool of a paint layer down where the viewer is beside it, and gives it back on the way in.

    Beside a layer (at another time point, or on slices that only another image has) napari's brush
    counts a place just before the first from the end, so that it paints what is not on screen, and
    fails at all others. On a layer that lies askew it paints other slices than are shown. In a volume it fails where
    another layer has more axes.
    """

    def __init__(self, layer: Labels, dims: Dims) -> None:
        self._layer, self._dims = layer, dims
        self._tool = str(layer.mode)
        self._listening = Listening()
        for moved in (dims.events.point, dims.events.ndisplay, dims.events.order):
            self._listening.to(moved, self.follow)
        self._listening.to(layer.events.visible, self.follow)
        self.follow()

    @property
    def has_brush(self) -> bool:
        """Whether the tool in hand, or to be given back, paints."""
        return self._now() in BRUSHES

    def take_brush(self) -> None:
        """Take up the brush, now or as soon as the layer is on screen."""
        if not self.has_brush:
            self._tool = self._layer.mode = "paint"

    def follow(self, event: Any = None) -> None:
        """The viewer or the layer has moved. A hidden layer has no tool, napari keeps that for it."""
        layer = self._layer
        reached = (
            within(self._dims, layer)
            and not is_askew(self._dims, layer)
            and not self._axes_are_missing()
        )
        if not layer.visible or reached == layer.editable:
            return
        if reached:
            layer.editable = True
            layer.mode = self._tool
        else:
            self._tool = str(layer.mode)
            layer.editable = False

    def _axes_are_missing(self) -> bool:
        """Whether a brush of napari's fails: in a volume on a layer with fewer axes than another one of the viewer."""
        return bool(self._dims.ndisplay == 3 and self._layer.ndim < self._dims.ndim)

    def close(self) -> None:
        """Let go of the layer, which can be painted everywhere then, as any other."""
        self._listening.stop_all()
        if not self._layer.editable:
            self._layer.editable = True
            self._layer.mode = self._tool

    def _now(self) -> str:
        return str(self._layer.mode) if self._layer.editable else self._tool
