"""How a wish or a signal is answered: the act, its error as a sentence, and all that has changed. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari_salt.errors import NapariSaltError

Wire = tuple[Any, Callable[..., None]]
"""A signal, and what is done with its arguments when it comes."""


class Slots:
    """Connections of signals to acts, until they are closed.

    ``failed`` takes the sentence of an error of ours, ``refresh`` shows what has changed after every act.
    """

    def __init__(self, failed: Callable[[str], None], refresh: Callable[[], None]) -> None:
        self._failed, self._refresh = failed, refresh
        self._connected: list[Wire] = []
        self._acting = 0

    @property
    def acting(self) -> bool:
        """Whether an act is going on, after which everything is shown anyway."""
        return self._acting > 0

    def hear(self, wires: Iterable[Wire]) -> None:
        """Do each act from now on when its signal comes."""
        for signal, act in wires:
            slot = self._slot(act)
            signal.connect(slot, check_nargs=False)
            self._connected.append((signal, slot))

    def close(self) -> None:
        """Hear nothing any more."""
        for signal, slot in self._connected:
            signal.disconnect(slot)
        self._connected.clear()

    def _slot(self, act: Callable[..., None]) -> Callable[..., None]:
        def slot(*args: Any) -> None:
            self._acting += 1
            try:
                act(*args)
            except NapariSaltError as error:
                self._failed(str(error))
            finally:
                self._acting -= 1
            self._refresh()

        return slot
