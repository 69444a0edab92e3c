"""Mutated files against the readers: each must open, or be refused by one sentence.

    python benchmarks/torture_fuzz.py --count 100000

Anything else (another exception, a hang, memory out of bounds, a dead process) is a finding; its file is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz_seeds import make_seeds
from fuzz_worker import ALLOWED, Opener, Outcome

HERE = Path(__file__).parent
FINDINGS = HERE / ".cache" / "fuzz"


@dataclass(frozen=True)
class Finding:
    """A file that was neither opened nor refused."""

    number: int
    kind: str
    path: Path
    outcome: Outcome


@dataclass
class Counts:
    """What came of all files."""

    tried: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    """Files tried of each kind, and of each kind and ending (``"tiff refused"``)."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def survived(self) -> int:
        """Files that were opened, or refused by a sentence."""
        return self.tried - len(self.findings)


def run(
    count: int,
    seed: int = 0,
    *,
    first: int = 0,
    keep: Path = FINDINGS,
    progress: Callable[[Counts], None] | None = None,
) -> Counts:
    """Try ``count`` mutated files from the number ``first`` on, all kinds in turn.

    The same ``seed`` and number give the same file.

    Files of findings are copied to ``keep``.
    """
    counts = Counts()
    opener = Opener()
    try:
        with TemporaryDirectory(prefix="salt-fuzz-") as name:
            folder = Path(name)
            (folder / "seeds").mkdir()
            seeds = make_seeds(folder / "seeds")
            for number in range(first, first + count):
                one = seeds[number % len(seeds)]
                path = one.damaged(folder, random.Random(f"{seed} {number}"))
                outcome = opener.open(one.kind, path)
                _count(counts, Finding(number, one.kind, path, outcome), keep)
                if progress is not None and counts.tried % 1000 == 0:
                    progress(counts)
    finally:
        opener.close()
    return counts


def _count(counts: Counts, found: Finding, keep: Path) -> None:
    counts.tried += 1
    counts.by_kind[found.kind] += 1
    counts.by_kind[f"{found.kind} {found.outcome.ending}"] += 1
    if found.outcome.ending in ALLOWED:
        return
    keep.mkdir(parents=True, exist_ok=True)
    kept = keep / f"{found.number}-{found.path.name}"
    if found.path.is_dir():
        shutil.copytree(found.path, kept, dirs_exist_ok=True)
    else:
        shutil.copyfile(found.path, kept)
    counts.findings.append(Finding(found.number, found.kind, kept, found.outcome))


def main() -> int:
    """Run from the command line; 1 when there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = run(options.count, options.seed, progress=lambda now: print(now.tried, flush=True))
    for finding in counts.findings[:20]:
        print(
            f"--- {finding.kind} {finding.path}\n{finding.outcome.ending}: {finding.outcome.text}"
        )
    print(f"{counts.tried} tried, {counts.survived} survived; {dict(counts.by_kind)}")
    return 1 if counts.findings else 0


if __name__ == "__main__":
    sys.exit(main())
