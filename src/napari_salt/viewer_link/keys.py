"""Keys that the dock adds to a viewer; none of them is one of napari's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt.key_table import label_key
from napari_salt.viewer_link.key_settings import KeySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.viewer import Viewer

    from napari_salt.key_table import KeysState
    from napari_salt.viewer_link.signals import ViewerSignals


class ViewerKeys:
    """Binds the keys of `napari_salt.key_table` on one viewer, as Preferences want them."""

    def __init__(self, viewer: Viewer, signals: ViewerSignals) -> None:
        self._viewer, self._signals = viewer, signals
        self._bound: list[str] = []
        self._settings = KeySettings(self._on_changed)
        self.state = self._settings.state()
        self._bind()

    def close(self) -> None:
        """Take the keys away again."""
        self._unbind()
        self._settings.close()

    def _bind(self) -> None:
        state: KeysState = self.state
        for name, key in state.bound().items():
            self._add(key, _handler(self._signals.key_pressed.emit, name))
        for place in range(-1, 9):
            pressed = _handler(self._signals.label_key_pressed.emit, place)
            self._add(label_key(place, state.label_modifier), pressed)

    def _add(self, key: str, act: Callable[[Viewer], None]) -> None:
        self._viewer.bind_key(key, act, overwrite=True)
        self._bound.append(key)

    def _unbind(self) -> None:
        for key in self._bound:
            self._viewer.bind_key(key, None, overwrite=True)
        self._bound.clear()

    def _on_changed(self) -> None:
        self._unbind()
        self.state = self._settings.state()
        self._bind()
        self._signals.keys_changed.emit()


def _handler(emit: Callable[..., None], value: str | int) -> Callable[[Viewer], None]:
    def salt_key(viewer: Viewer) -> None:
        """Do what the dock's table of keys says."""
        emit(value)

    return salt_key
