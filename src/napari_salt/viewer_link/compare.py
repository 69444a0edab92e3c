"""Two predictions of one slice as layers of their own, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_salt.viewer_link.images import transforms_of
from napari_salt.viewer_link.layers import dress
from napari_salt.viewer_link.selecting import no_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.viewer_link.images import ViewerImages
    from napari_salt.views import LabelRow

_DIFFERENCE = (1.0, 1.0, 1.0, 0.9)
"""White: no label has it, and it shows on any image."""
_OUTLINE = 1


class CompareLayers:
    """Adds and removes the layers of a comparison; they exist on their slice only."""

    def __init__(self, viewer: Viewer, images: ViewerImages) -> None:
        self._viewer, self._images = viewer, images
        self._layers: list[Layer] = []

    @property
    def shown(self) -> bool:
        """Whether a layer of a comparison is in the viewer."""
        return any(layer in self._viewer.layers for layer in self._layers)

    def show(
        self,
        place: Place,
        index: int,
        predictions: Sequence[tuple[str, NDArray[np.unsignedinteger[Any]]]],
        rows: Sequence[LabelRow],
    ) -> None:
        """Show two named predictions ``(Y, X)`` of slice ``index`` in the colours of ``rows``.

        The first is filled, the second outlined, and pixels that differ are white.
        """
        self.clear()
        with no_status(self._viewer):
            self._add_all(place, index, predictions, rows)

    def _add_all(
        self,
        place: Place,
        index: int,
        predictions: Sequence[tuple[str, NDArray[np.unsignedinteger[Any]]]],
        rows: Sequence[LabelRow],
    ) -> None:
        """Add the layers without stealing the selection."""
        (first, filled), (second, outlined) = predictions
        active = self._viewer.layers.selection.active
        self._add(place, index, first, filled, rows, opacity=0.5)
        self._add(place, index, second, outlined, rows, contour=_OUTLINE, opacity=1.0)
        differ = (filled != outlined).astype(np.uint8)
        layer = self._add(place, index, f"{first} ≠ {second}", differ, (), opacity=0.6)
        layer.colormap = DirectLabelColormap(
            color_dict={None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0), 1: _DIFFERENCE}
        )
        if active is not None:
            self._viewer.layers.selection.active = active

    def clear(self) -> None:
        """Remove what is shown; layers that the user has removed already are no matter."""
        layers, self._layers = self._layers, []
        for layer in layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _add(
        self,
        place: Place,
        index: int,
        name: str,
        plane: NDArray[Any],
        rows: Sequence[LabelRow],
        *,
        opacity: float,
        contour: int = 0,
    ) -> Labels:
        image, geometry = self._images.get(place.key), place.geometry
        layer = Labels(
            geometry.as_layer(plane[np.newaxis]),
            name=name,
            opacity=opacity,
            axis_labels=image.axis_labels,
            **transforms_of(image, geometry, geometry.at_slice(index)),
        )
        layer.contour = contour
        dress(layer, "prediction", rows)
        layer.editable = False
        self._viewer.layers.append(layer)
        self._layers.append(layer)
        return layer
