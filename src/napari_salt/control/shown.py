"""What the view shows: a state goes there only where it is another one. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_salt.views import DockView


class Shown:
    """The states that a view was given last, each by the name of its setter."""

    def __init__(self, view: DockView) -> None:
        self._view = view
        self._states: dict[str, object] = {}

    def show(self, name: str, state: object) -> None:
        """Give the view a state by ``set_NAME``, unless it shows it already."""
        if name not in self._states or self._states[name] != state:
            self._states[name] = state
            getattr(self._view, f"set_{name}")(state)

    def anew_after(self, name: str, act: Callable[..., None]) -> Callable[..., None]:
        """``act``, after which a state is shown whether or not it has changed: the widget has run ahead of it."""

        def acted(*args: Any) -> None:
            try:
                act(*args)
            finally:
                self._states.pop(name, None)

        return acted
