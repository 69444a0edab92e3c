"""Breaks things on purpose, at full size, and writes RELIABILITY.md: how often it was tried, survived, lost.

    python benchmarks/torture.py                               everything; about two hours
    python benchmarks/torture.py --kills 60 --loops 100        a part of it
    python benchmarks/torture.py --only kill faults --quick    a short look; writes nothing

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
from collections.abc import Callable
from pathlib import Path

import results
from sections import table
from tally import Tally

HERE = Path(__file__).resolve().parent
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
    "are compared after every operation.",
    "fuzz": "Mutated adapters, sessions and images are opened: each opens or is refused by one sentence.",
    "soak": "Rounds of painting, adapting, segmenting, accepting, undoing and saving in one application; memory of "
    "viewer and engine and open handles are compared with those after a fifth of the rounds.",
}


def main() -> None:
    options = _options()
    sizes = {name: getattr(options, name) for name in FULL}
    if options.quick:
        sizes = QUICK
    made: dict[str, Callable[[], Tally]] = {
        "kill": lambda: _kills(sizes["kills"], options.seed),
        "faults": lambda: _faults(sizes["faults"]),
        "loop": lambda: _loops(sizes["loops"], options.seed),
        "fuzz": lambda: _fuzz(sizes["fuzz"], options.seed),
        "soak": lambda: _soak(sizes["rounds"]),
    }
    tallies = []
    for name in options.only:
        print(f"{name} …", flush=True)
        started = time.monotonic()
        tally = made[name]()
        tally.facts["minutes"] = f"{(time.monotonic() - started) / 60:.1f}"
        print(f"  {tally.survived} of {tally.tried} survived", *tally.lost, sep="\n  ", flush=True)
        tallies.append(tally)
    text = report(tallies, [name for name in made if name not in options.only], options.seed)
    if options.quick:
        print(text)
    else:
        options.out.write_text(text)
    sys.exit(any(tally.lost for tally in tallies))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    kinds = ["kill", "faults", "loop", "fuzz", "soak"]
    parser.add_argument("--only", nargs="*", choices=kinds, default=kinds)
    parser.add_argument("--kills", type=int, default=FULL["kills"], help="applications killed")
    parser.add_argument("--faults", type=int, default=1, help="every n-th fault")
    parser.add_argument("--loops", type=int, default=FULL["loops"], help="random runs of the loop")
    parser.add_argument("--fuzz", type=int, default=FULL["fuzz"], help="mutated files")
    parser.add_argument("--rounds", type=int, default=FULL["rounds"], help="rounds of the soak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a short look; writes nothing")
    parser.add_argument("--out", type=Path, default=HERE / "RELIABILITY.md")
    return parser.parse_args()


# ---- the parts; each imports only what it needs, and the kills have a process without threads to fork from


def _kills(count: int, seed: int) -> Tally:
    driver = [
        sys.executable,
        str(HERE / "torture_kill.py"),
        "--count",
        str(count),
        "--seed",
        str(seed),
    ]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        subprocess.run([*driver, "--out", str(told)], check=True, env=_quiet())
        return Tally.read(told)


def _faults(step: int) -> Tally:
    import torture_faults

    with tempfile.TemporaryDirectory() as folder:
        return torture_faults.run(torture_faults.every_fault()[::step], Path(folder))


def _loops(count: int, seed: int) -> Tally:
    import torture_loop

    return torture_loop.run(count, seed)


def _soak(rounds: int) -> Tally:
    import torture_soak

    with tempfile.TemporaryDirectory() as folder:
        return torture_soak.run(rounds, Path(folder))


def _fuzz(count: int, seed: int) -> Tally:
    counts = importlib.import_module("torture_fuzz").run(count, seed)
    lost = [f"{one.kind} {one.number}: {one.outcome}" for one in counts.findings]
    return Tally("fuzz", counts.tried, counts.survived, lost)


def _quiet() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


# ---- telling


def report(tallies: list[Tally], missing: list[str], seed: int) -> str:
    """RELIABILITY.md."""
    rows = [
        [tally.kind, f"{tally.tried:,}", f"{tally.survived:,}", f"{len(tally.lost):,}"]
        for tally in tallies
    ]
    full = ", ".join(f"{size:,} {name}" for name, size in FULL.items() if name != "faults")
    parts = [
        "# Reliability",
        f"Written by `make torture` on {results.now()}, at {results.commit()}, on {results.machine()}; seed {seed}. "
        f"Full size is {full} and every fault at every stage; the table says what was run.",
        table(["kind", "tried", "survived", "lost"], rows),
    ]
    if missing:
        parts.append(f"Not run: {', '.join(missing)}.")
    for tally in tallies:
        parts += [f"## {tally.kind.capitalize()}", METHOD[tally.kind]]
        parts.append("; ".join(f"{name}: {value}" for name, value in tally.facts.items()) + ".")
        parts += [f"- {one}" for one in tally.lost]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
