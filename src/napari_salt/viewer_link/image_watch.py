"""Watches the image in use: where it lies, what it is called, which array it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_salt.viewer_link.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

_FACTS = ("scale", "translate", "rotate", "shear", "affine", "units", "name")


class ImageWatch:
    """Calls ``changed`` for a new place, size, unit or name, ``replaced`` for another array."""

    def __init__(
        self, image: Image, changed: Callable[[], None], replaced: Callable[[], None]
    ) -> None:
        self._image, self._data = image, image.data
        self._changed, self._replaced = changed, replaced
        self._listening = Listening()
        for name in _FACTS:
            self._listening.to(getattr(image.events, name), self._on_fact)
        self._listening.to(image.events.data, self._on_data)

    def close(self) -> None:
        """Let go of the image."""
        self._listening.stop_all()
        self._data = None

    def _on_fact(self, event: Any = None) -> None:
        self._changed()

    def _on_data(self, event: Any = None) -> None:
        if self._image.data is not self._data:
            self._data = self._image.data
            self._replaced()
