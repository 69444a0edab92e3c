"""What came of each part of the torture, kept as JSON: one file a part, one entry a batch.

A part that takes long runs in batches, each kept when it ends, so that an interrupted run goes on with the next batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tally import Tally

_MOST = ("most paint lost, s", "handles more than at the start")
"""Facts of which the largest of all batches counts; others are added up."""


@dataclass(frozen=True)
class Batch:
    """A stretch of one part that was run in one go.

    ``first`` counts from 0, and with ``seed`` says what was tried; ``size`` is how much was to be tried. A batch that
    broke off may have counted less in its ``tally``, and something lost.
    """

    first: int
    size: int
    seed: int
    minutes: float
    date: str
    commit: str
    machine: str
    tally: Tally
    load: float | None = None
    """How many processes wanted to run in its last five minutes; seconds that were lost may be theirs."""

    @property
    def end(self) -> int:
        """Where the next batch begins."""
        return self.first + self.size


def read(folder: Path, part: str) -> list[Batch]:
    """The batches that are kept of a part, in the order of their run; none where it was never run."""
    path = _path(folder, part)
    if not path.is_file():
        return []
    return [_batch(entry) for entry in json.loads(path.read_text())]


def write(folder: Path, part: str, batches: Sequence[Batch]) -> None:
    """Keep these batches in place of what was kept of a part; whoever is killed here leaves what was there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, part)
    new = path.with_suffix(".new")
    new.write_text(json.dumps([asdict(batch) for batch in batches], indent=1) + "\n")
    os.replace(new, path)


def unfinished(batches: Sequence[Batch], wanted: int, seed: int) -> list[Batch]:
    """The batches that a run of ``wanted`` tries goes on from; none where it begins anew."""
    goes_on = all(batch.seed == seed for batch in batches) and _end(batches) < wanted
    return list(batches) if goes_on else []


def missing(batches: Sequence[Batch], wanted: int, step: int) -> list[tuple[int, int]]:
    """First and size of the batches of at most ``step`` that are still to be run."""
    return [(at, min(step, wanted - at)) for at in range(_end(batches), wanted, step)]


def whole(batches: Sequence[Batch]) -> Tally:
    """All batches of a part (at least one) as one."""
    tallies = [batch.tally for batch in batches]
    facts: dict[str, str] = {}
    for tally in tallies:
        for name, value in tally.facts.items():
            facts[name] = _together(name, facts[name], value) if name in facts else value
    return Tally(
        tallies[0].kind,
        sum(tally.tried for tally in tallies),
        sum(tally.survived for tally in tallies),
        [one for tally in tallies for one in tally.lost],
        facts,
    )


def commits(batches: Sequence[Batch]) -> str:
    """The commits that a part was run at; with how much at each, where they are several."""
    tried: dict[str, int] = {}
    for batch in batches:
        tried[batch.commit] = tried.get(batch.commit, 0) + batch.tally.tried
    if len(tried) == 1:
        return next(iter(tried))
    return ", ".join(f"{commit} ({count:,})" for commit, count in tried.items())


def days(batches: Sequence[Batch]) -> str:
    """The day that a part was run on, or the first and the last one."""
    found = sorted({batch.date[:10] for batch in batches})
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def load(batches: Sequence[Batch]) -> float | None:
    """The highest load of the machine that any batch tells of; None where none does."""
    return max((batch.load for batch in batches if batch.load is not None), default=None)


def _together(name: str, one: str, other: str) -> str:
    """One fact of two batches."""
    combined: Callable[[Any, Any], Any] = max if name in _MOST else lambda a, b: a + b
    number: type[int] | type[float] = float if "." in one + other else int
    return str(combined(number(one), number(other)))


def _end(batches: Sequence[Batch]) -> int:
    return batches[-1].end if batches else 0


def _batch(entry: dict[str, Any]) -> Batch:
    return Batch(**{**entry, "tally": Tally(**entry["tally"])})


def _path(folder: Path, part: str) -> Path:
    return folder / f"{part}.json"
