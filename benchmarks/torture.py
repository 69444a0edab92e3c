"""Breaks things on purpose, at full size, and writes RELIABILITY.md: how often it was tried, survived, lost.

    python benchmarks/torture.py                               everything; about two hours
    python benchmarks/torture.py --only kill --kills 60        a part of it; what is known of the others stays
    python benchmarks/torture.py --only kill faults --quick    a short look; writes nothing

Every part keeps what came of it under results/torture/, the long ones batch by batch; RELIABILITY.md is written from
what is kept there. A run that was interrupted goes on with its next batch; one that is complete begins anew, and so
does one with --fresh, as it should after something that it found has been mended.

Needs Linux. Short versions of all of it are among the tests.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import results
import torture_store
from sections import table
from tally import Tally
from torture_store import Batch

HERE = Path(__file__).resolve().parent
FOLDER = results.FOLDER / "torture"
FULL = {"kills": 200, "faults": 1, "loops": 1000, "fuzz": 100_000, "rounds": 500}
QUICK = {"kills": 6, "faults": 6, "loops": 10, "fuzz": 500, "rounds": 10}
METHOD = {
    "kill -9": "The whole application without a window (real controllers, viewer model, session folders and engine; "
    "tasks that stand in for the network; one in seven with a real napari window) is killed while it paints, saves, "
    "adapts, segments, exports, or brings a session of an earlier version up to date. The next one opens the work: it "
    "must be of one step only, at most 5 s of paint may be missing, every mask that was kept must be of the adapter "
    "that it is said to be of, and no process may be left.",
    "engine faults": "Memory of device or host used up, an exception, a plane that cannot be read, a child killed, "
    "gone or hung, each at each stage of a job: one sentence, no half round, paint as before, and the next job works.",
    "random loops": "Hypothesis paints, completes, undoes, accepts, adds, renames and removes labels, adapts with and "
    "without faults, stops, segments, restores rounds, saves, closes and opens again. Paint, ids, names and rounds "
    "are compared after every operation. Handles are counted over each batch of fifty, and the largest difference is "
    "told: the first batch of a process also opens what lasts as long as it does.",
    "fuzz": "Mutated adapters, sessions and images are opened: each opens or is refused by one sentence.",
    "soak": "Rounds of painting, adapting, segmenting, accepting, undoing and saving in one application; memory of "
    "viewer and engine and open handles are compared with those after a fifth of the rounds.",
}


@dataclass(frozen=True)
class Part:
    """A kind of torture: ``run(first, size, seed)`` tries that many, from that number on."""

    kind: str
    option: str
    """Name of the option, and key of `FULL` and `QUICK`, that says how many."""
    run: Callable[[int, int, int], Tally]
    batch: int | None = None
    """How many are tried and kept at a time; None for a part that has to run in one go."""


def main() -> None:
    options = _options()
    sizes = QUICK if options.quick else {name: getattr(options, name) for name in FULL}
    lost = False
    for name in options.only:
        print(f"{name} …", flush=True)
        wanted = sizes[PARTS[name].option]
        if options.quick:
            batches = [play(PARTS[name], 0, wanted, options.seed)]
        else:
            batches = []
            going = batch_by_batch(name, wanted, options.seed, FOLDER, fresh=options.fresh)
            for batches in going:
                options.out.write_text(report(kept()))
                print(f"  {batches[-1].end:,}", flush=True)
        tally = torture_store.whole(batches)
        print(f"  {tally.survived} of {tally.tried} survived", *tally.lost, sep="\n  ", flush=True)
        lost = lost or bool(tally.lost)
    sys.exit(lost)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--kills", type=int, default=FULL["kills"], help="applications killed")
    parser.add_argument("--faults", type=int, default=1, help="every n-th fault")
    parser.add_argument("--loops", type=int, default=FULL["loops"], help="random runs of the loop")
    parser.add_argument("--fuzz", type=int, default=FULL["fuzz"], help="mutated files")
    parser.add_argument("--rounds", type=int, default=FULL["rounds"], help="rounds of the soak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="begin anew what was interrupted")
    parser.add_argument("--quick", action="store_true", help="a short look; writes nothing")
    parser.add_argument("--out", type=Path, default=HERE / "RELIABILITY.md")
    return parser.parse_args()


def batch_by_batch(
    name: str, wanted: int, seed: int, folder: Path, *, fresh: bool = False
) -> Iterator[list[Batch]]:
    """Run what is missing of a part; all batches that are kept of it, each time that one has ended and is kept."""
    part = PARTS[name]
    in_one_go = part.batch is None
    before = [] if fresh or in_one_go else torture_store.read(folder, name)
    batches = torture_store.unfinished(before, wanted, seed)
    for first, size in torture_store.missing(batches, wanted, part.batch or wanted):
        batches = [*batches, play(part, first, size, seed)]
        torture_store.write(folder, name, batches)
        yield batches


def play(part: Part, first: int, size: int, seed: int) -> Batch:
    """Run one batch; that it broke off is a loss like any other."""
    commit, started = results.commit(), time.monotonic()
    try:
        tally = part.run(first, size, seed)
    except Exception as error:  # noqa: BLE001 - whatever it was, it must be told
        traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        tally = Tally(part.kind)
        which = "" if part.batch is None else f", {first + 1:,} to {first + size:,}"
        tally.count(f"{part.kind}{which}", [f"broke off: {text}"])
    minutes = round((time.monotonic() - started) / 60, 1)
    load = round(os.getloadavg()[1], 1) if hasattr(os, "getloadavg") else None
    when, where = results.now(), results.machine()
    return Batch(first, size, seed, minutes, when, commit, where, tally, load)


# ---- the parts; each imports only what it needs, and the kills have a process without threads to fork from


def _kills(first: int, count: int, seed: int) -> Tally:
    driver = [sys.executable, str(HERE / "torture_kill.py")]
    numbers = ["--count", str(count), "--seed", str(seed), "--first", str(first)]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        command = [*driver, *numbers, "--out", str(told)]
        ended = subprocess.run(command, check=False, env=_quiet()).returncode
        if ended:
            # Not the error of subprocess, which would tell the paths of this machine.
            raise RuntimeError(f"torture_kill.py ended with {ended}")
        return Tally.read(told)


def _faults(_first: int, step: int, _seed: int) -> Tally:
    import torture_faults

    with tempfile.TemporaryDirectory() as folder:
        return torture_faults.run(torture_faults.every_fault()[::step], Path(folder))


def _loops(first: int, count: int, seed: int) -> Tally:
    import torture_loop

    return torture_loop.run(count, seed, first)


def _fuzz(first: int, count: int, seed: int) -> Tally:
    counts = importlib.import_module("torture_fuzz").run(count, seed, first=first)
    # Of a traceback the last line: the others tell the paths of this machine.
    lost = [
        f"{one.kind} {one.number}: {one.outcome.ending}: {one.outcome.text.strip().splitlines()[-1:]}"
        for one in counts.findings
    ]
    return Tally("fuzz", counts.tried, counts.survived, lost)


def _soak(_first: int, rounds: int, _seed: int) -> Tally:
    import torture_soak

    with tempfile.TemporaryDirectory() as folder:
        return torture_soak.run(rounds, Path(folder))


def _quiet() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


PARTS = {
    "kill": Part("kill -9", "kills", _kills, 28),
    "faults": Part("engine faults", "faults", _faults),
    "loop": Part("random loops", "loops", _loops, 50),
    "fuzz": Part("fuzz", "fuzz", _fuzz, 5000),
    "soak": Part("soak", "rounds", _soak),
}


# ---- telling


def kept() -> dict[str, list[Batch]]:
    """The batches that are kept of each part."""
    return {name: torture_store.read(FOLDER, name) for name in PARTS}


def report(found: Mapping[str, Sequence[Batch]]) -> str:
    """RELIABILITY.md, from the batches of each part; a part without any is told as not run."""
    full = ", ".join(f"{size:,} {name}" for name, size in FULL.items() if name != "faults")
    run = {name: batches for name, batches in found.items() if batches}
    parts = [
        "# Reliability",
        "Written by `make torture` from what is kept of every part in `results/torture/`; running a part again "
        f"replaces its row. Full size is {full} and every fault at every stage; the table says what was run, when, "
        "and at which commit.",
        table(
            ["kind", "run on", "at", "tried", "survived", "lost"],
            [_row(batches) for batches in run.values()],
            text=3,
        ),
    ]
    left_out = [name for name in PARTS if name not in run]
    if left_out:
        parts.append(f"Not run: {', '.join(left_out)}.")
    for batches in run.values():
        parts += _section(batches)
    return "\n\n".join(parts) + "\n"


def _row(batches: Sequence[Batch]) -> list[str]:
    tally = torture_store.whole(batches)
    counts = [f"{number:,}" for number in (tally.tried, tally.survived, len(tally.lost))]
    return [tally.kind, torture_store.days(batches), torture_store.commits(batches), *counts]


def _section(batches: Sequence[Batch]) -> Iterator[str]:
    tally = torture_store.whole(batches)
    yield f"## {tally.kind.capitalize()}"
    yield METHOD[tally.kind]
    facts = {**tally.facts, "minutes": f"{sum(batch.minutes for batch in batches):.1f}"}
    facts |= {"seed": _each(str(batch.seed) for batch in batches)}
    load = torture_store.load(batches)
    if load is not None:
        facts["most load of the machine"] = f"{load:.1f}"
    told = "; ".join(f"{name}: {value}" for name, value in facts.items())
    yield f"{told}. On {_each(batch.machine for batch in batches)}."
    if tally.lost:
        yield "\n".join(f"- {one}" for one in tally.lost)


def _each(words: Iterable[str]) -> str:
    """Each of some words once."""
    return "; ".join(dict.fromkeys(words))


if __name__ == "__main__":
    main()
