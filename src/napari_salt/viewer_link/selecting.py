"""Adding and selecting layers without what napari would do besides."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Layer
    from napari.viewer import Viewer


@contextmanager
def no_status(viewer: Viewer) -> Iterator[None]:
    """Change the selection without the status line of the pixel under the mouse.

    Just after the switch to a volume napari knows no direction of view before the mouse moves, and
    its status line of a labels layer with names raises a TypeError.
    """
    over = viewer.mouse_over_canvas
    if viewer.dims.ndisplay == 2 or not over:
        yield
        return
    viewer.mouse_over_canvas = False
    try:
        yield
    finally:
        viewer.mouse_over_canvas = over


def insert_unselected(viewer: Viewer, position: int, layer: Layer) -> None:
    """Insert a layer and leave the selection as it is, which nobody is told of.

    Napari selects what is inserted; to select the layer before it again lays out the controls of both, a third of the
    whole time.
    """
    selection = viewer.layers.selection
    active, before = selection.active, set(selection)
    with selection.events.blocker_all():
        viewer.layers.insert(position, layer)
        if active is not None:
            selection.active = active
        else:
            selection.update(before)
            selection.discard(layer)
