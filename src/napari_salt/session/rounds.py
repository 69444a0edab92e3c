"""The rounds of a session: what was adapted, and which adapter is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from psygnal import Signal

from napari_salt.errors import InputError
from napari_salt.records import FitRecord, Round


class Rounds:
    """Rounds in the order they were made; at most one is active.

    Parameters
    ----------
    rounds
        Rounds to start with, numbers rising.
    active
        Number of the active one; None for none.
    """

    added = Signal(Round)
    activated = Signal(object)
    """The round now in use, or None when an adapter from elsewhere is."""

    def __init__(self, rounds: Iterable[Round] = (), active: int | None = None) -> None:
        self._rounds = {round_.number: round_ for round_ in rounds}
        self._active: int | None = None
        if active is not None:
            self._active = self[active].number

    @property
    def active(self) -> Round | None:
        """The round whose adapter is in use."""
        return None if self._active is None else self._rounds[self._active]

    @property
    def last(self) -> Round | None:
        """The newest round, active or not."""
        return self._rounds[max(self._rounds)] if self._rounds else None

    @property
    def next_number(self) -> int:
        """Number of the next round; the first is 1."""
        return max(self._rounds, default=0) + 1

    def __len__(self) -> int:
        """Number of rounds."""
        return len(self._rounds)

    def __iter__(self) -> Iterator[Round]:
        """Rounds, oldest first."""
        return iter(tuple(self._rounds.values()))

    def __getitem__(self, number: int) -> Round:
        """The round of a number; InputError when there is none."""
        try:
            return self._rounds[number]
        except KeyError:
            known = ", ".join(str(known) for known in self._rounds) or "none yet"
            raise InputError(f"There is no round {number}; rounds: {known}.") from None

    def add(self, record: FitRecord, adapter_path: str, size_bytes: int) -> Round:
        """Add a finished round under the next number and make it the active one."""
        round_ = Round(self.next_number, record, adapter_path, size_bytes)
        self._rounds[round_.number] = round_
        self.added.emit(round_)
        self._activate(round_.number)
        return round_

    def score(self, number: int, record: FitRecord) -> Round:
        """Keep what is known now of a round that is there; InputError when there is none of this number."""
        round_ = self._rounds[number] = replace(self[number], record=record)
        return round_

    def restore(self, number: int) -> Round:
        """Make an earlier round the active one; silent when it is."""
        round_ = self[number]
        if number != self._active:
            self._activate(number)
        return round_

    def deactivate(self) -> None:
        """No round is in use: the adapter came from elsewhere, or there is none."""
        if self._active is not None:
            self._activate(None)

    def _activate(self, number: int | None) -> None:
        self._active = number
        self.activated.emit(self.active)
