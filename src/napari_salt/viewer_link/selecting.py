"""Adding and selecting layers while a volume is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
