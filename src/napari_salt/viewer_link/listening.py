"""Connections to the viewer's events that can all be let go again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Listening:
    """Connects slots to emitters and remembers them."""

    def __init__(self) -> None:
        self._connections: list[tuple[Any, Callable[..., None]]] = []

    def to(self, emitter: Any, slot: Callable[..., None]) -> None:
        """Call ``slot`` when ``emitter`` emits."""
        emitter.connect(slot)
        self._connections.append((emitter, slot))

    def stop(self, emitter: Any, slot: Callable[..., None]) -> None:
        """Let go of one connection."""
        emitter.disconnect(slot)
        self._connections.remove((emitter, slot))

    def stop_all(self) -> None:
        """Let go of every connection."""
        for emitter, slot in list(self._connections):
            self.stop(emitter, slot)
