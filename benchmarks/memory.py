"""Memory along a stack: the peak of a process that segments and writes many slices against one that does few.

    python benchmarks/memory.py            100 against 10,000 slices, 30 against 300 large ones; minutes
    python benchmarks/memory.py --quick    100 against 1,000; writes nothing

Each stack is segmented by a process of its own, see `memory_run`, with a stub in the place of the network; all else is
the product's: reading slice by slice, the store on disk, and the files written from it. What each process tells is
kept, so that an interrupted run goes on with the next stack.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results
import speed_jobs
from rows import Rows
from sections import replace_section, table

HERE = Path(__file__).resolve().parent
SMALL, LARGE = 32, 256
MOST = 1.1
"""Peak of the long stack in peaks of the short one."""


@dataclass(frozen=True)
class Pair:
    """A short and a long stack of slices with ``side`` pixels along each edge, and the peak of each in bytes."""

    side: int
    counts: tuple[int, int]
    peaks: tuple[int, int]
    seconds: float
    load: float = 0.0
    """Of the machine when the long one had ended."""
    measured: str = ""
    """When, and at which commit, the long one was run."""

    @property
    def ratio(self) -> float:
        """How much more memory the long stack takes."""
        return self.peaks[1] / self.peaks[0]

    def cells(self) -> list[str]:
        """One line of the table."""
        few, many = self.peaks
        kept = (self.counts[1] - self.counts[0]) * self.side**2 * 3
        return [
            f"{self.side} × {self.side}",
            f"{self.counts[0]:,} / {self.counts[1]:,}",
            f"{few / 1e6:.0f} / {many / 1e6:.0f}",
            f"{self.ratio:.3f}",
            f"{kept / 1e6:.0f}",
            f"{self.seconds:.0f}",
            f"{1000 * self.seconds / self.counts[1]:.0f}",
            f"{self.load:.1f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short look; writes nothing")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    rows = None if options.quick else Rows("memory", options.results)
    with tempfile.TemporaryDirectory() as folder:
        adapter = speed_jobs.stub_adapter(Path(folder) / "stub.salt.safetensors")
        pairs = []
        if not options.quick:
            pairs.append(measured(LARGE, (30, 300), adapter, rows))
        pairs.insert(0, measured(SMALL, (100, 1_000 if options.quick else 10_000), adapter, rows))
    text = section(pairs)
    print(text)
    if not options.quick:
        replace_section(options.out, "memory", text)


def measured(
    side: int, counts: tuple[int, int], adapter: Path | None = None, rows: Rows | None = None
) -> Pair:
    """Run both stacks, or take what ``rows`` know of them; without an adapter a threshold stands in for the network."""
    told = []
    for count in counts:
        known = None if rows is None else rows.find(side=side, slices=count)
        if known is None:
            known = run(count, side, adapter)
            if rows is not None:
                known = rows.keep({"side": side, "slices": count, **known})
        told.append(known)
    peaks = (int(told[0]["peak"]), int(told[1]["peak"]))
    last = told[1]
    when = f"{last['date']}, at {last['commit']}" if "date" in last else ""
    return Pair(side, counts, peaks, float(last["seconds"]), float(last.get("load", 0.0)), when)


def run(count: int, side: int, adapter: Path | None = None) -> dict[str, Any]:
    """What one process tells of a stack: ``peak`` in bytes, labelled ``pixels``, ``seconds``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "memory_run.py"), str(count), str(side), folder]
        command += [] if adapter is None else [str(adapter)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def section(pairs: list[Pair]) -> str:
    """The part of RESULTS.md."""
    head = [
        "slices",
        "short / long",
        "peak MB",
        "ratio",
        "MB of masks and uncertainty between",
        "s",
        "ms a slice",
        "load",
    ]
    flat = all(pair.ratio <= MOST for pair in pairs)
    verdict = "Memory is flat along the stack" if flat else "Memory grows along the stack"
    return "\n\n".join(
        [
            "### Memory along a stack",
            f"{pairs[0].measured or results.now()}, on {results.machine()}. "
            f"{verdict} (at most {MOST} times the peak of the short one is asked). A process of its own segments each "
            "stack, whose slices are made when they are read, puts every slice into the store on disk, and writes "
            "masks and uncertainty as TIFF; a stub stands in the place of the network. Seconds are of the long stack; "
            "where the load of the machine is above one, other work ran beside it, and they say little.",
            table(head, [pair.cells() for pair in pairs]),
        ]
    )


if __name__ == "__main__":
    main()
