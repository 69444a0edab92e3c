"""Do more painted slices still help? Read off the held-out scores of the rounds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_salt.records import FitRecord, Round

LITTLE = 0.005
"""A gain of held-out Dice over two rounds below this is little."""
LOOK_BACK = 2
"""Rounds whose gain is added up."""


def kept_score(record: FitRecord) -> float | None:
    """Held-out Dice of the state that a fit has kept; None where no honest score exists."""
    return record.held_out_before if record.kept == "first fit" else record.held_out_after


def gain_hint(rounds: Iterable[Round]) -> str:
    """``The last two rounds gained 0.002: …`` when that is little; else an empty string.

    Nothing is said unless the last three rounds have scores and each learned from more slices than
    the one before: otherwise the scores say nothing of what more slices would bring.
    """
    recent = sorted(rounds, key=lambda round_: round_.number)[-LOOK_BACK - 1 :]
    scores = [score for round_ in recent if (score := kept_score(round_.record)) is not None]
    slices = [len(round_.record.slices) for round_ in recent]
    grew = all(before < after for before, after in pairwise(slices))
    if len(scores) < LOOK_BACK + 1 or not grew:
        return ""
    gain = scores[-1] - scores[0]
    if gain >= LITTLE:
        return ""
    gained = f"{gain:.3f}" if gain >= 0.0005 else "nothing"
    return f"The last two rounds gained {gained}: more slices help little now."
