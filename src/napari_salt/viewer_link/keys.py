"""Keys that the dock adds to a viewer; none of them is one of napari's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

_PLACES = {"Alt-0": -1, **{f"Alt-{digit}": digit - 1 for digit in range(1, 10)}}


class ViewerKeys:
    """Binds Alt+1…9 (labels) and Alt+0 (background) on one viewer."""

    def __init__(self, viewer: Viewer, pressed: Callable[[int], None]) -> None:
        self._viewer = viewer
        for key, place in _PLACES.items():
            viewer.bind_key(key, _handler(pressed, place), overwrite=True)

    def close(self) -> None:
        """Take the keys away again."""
        for key in _PLACES:
            self._viewer.bind_key(key, None, overwrite=True)


def _handler(pressed: Callable[[int], None], place: int) -> Callable[[Viewer], None]:
    def select(viewer: Viewer) -> None:
        """Paint with the label at this place of the label table."""
        pressed(place)

    return select
