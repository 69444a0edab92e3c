"""How a layer of ours comes into the viewer."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

import numpy as np
from napari.layers import Labels

from napari_salt.viewer_link.layers import Role, dress, new_layer
from napari_salt.viewer_link.ownership import arrays
from napari_salt.viewer_link.predicted import seen_along
from napari_salt.viewer_link.selecting import insert_unselected, no_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari.layers import Image, Layer
    from napari.viewer import Viewer

    from napari_salt.geometry import Place
    from napari_salt.viewer_link.box_tool import BoxTool
    from napari_salt.viewer_link.predicted import StackArray
    from napari_salt.views import LabelRow


class LayerMaking:
    """Builds layers of ours and adds them, which holds the window for a tenth of a second or two: napari's own work."""

    def __init__(self, viewer: Viewer, box: BoxTool) -> None:
        self._viewer, self._box = viewer, box

    def make(
        self,
        role: Role,
        image: Image,
        place: Place,
        array: StackArray,
        opacity: float,
        rows: Iterable[LabelRow],
        ours: Mapping[Role, Layer],
    ) -> Layer:
        """Add a layer of ``array`` ``(N, Y, X)`` along the image's axes, without stealing the selection.

        It is invisible as yet: so it is drawn once, with its own colours. Napari works out the colours of all 65536
        ids at the first pixel, which is done here. ``ours`` are the layers of the place so far: uncertainty lies
        below prediction below paint.
        """
        layer = new_layer(role, image, place, seen_along(place.geometry, array), False, opacity)
        arrays[layer] = array
        if isinstance(layer, Labels):
            dress(layer, role, rows)
            layer.colormap.map(np.zeros((1, 1), np.uint16))
        layers = self._viewer.layers
        order: Sequence[Role] = get_args(Role)
        above = [ours[other] for other in order[order.index(role) + 1 :] if other in ours]
        position = min((layers.index(other) for other in above), default=len(layers))
        with no_status(self._viewer), self._box.undisturbed(), _no_collection():
            insert_unselected(self._viewer, position, layer)
        return layer


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking through all of napari's objects, which takes a fifth of a second.

    The thousands of objects of a new layer would call for it right in the middle; here it is put off.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.collect(
                0
            )  # the new objects no longer count as young, so that nothing is due at once
            gc.enable()
