"""Results as JSON lines: one file a method, one line a run, the newest line of a key counts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "results"

Key = tuple[str, str, int, int]
"""method, task, n, shift."""


@dataclass(frozen=True)
class Result:
    """One method on one case.

    Dice and HD95 (pixels) are means over the scored labels. Seconds are wall time plus what shared work had cost
    (see `shared`), with ``jobs`` processes side by side. ``recipe`` is the state of the method, ``sources`` a hash of
    the package, ``kept`` and ``held_out`` what our own fit says of itself.
    """

    method: str
    task: str
    n: int
    shift: int
    dice: float
    hd95: float
    seconds_adapt: float
    seconds_slice: float
    parameters: int | None
    size_bytes: int | None
    note: str
    dice_by_label: dict[str, float]
    hd95_by_label: dict[str, float]
    date: str
    commit: str
    machine: str
    recipe: str = ""
    sources: str = ""
    jobs: int = 1
    kept: str = ""
    held_out: tuple[float, float] | None = None

    @property
    def key(self) -> Key:
        return self.method, self.task, self.n, self.shift


def append(result: Result, folder: Path = FOLDER) -> None:
    """Add one line to the file of the result's method."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-._" else "_" for c in result.method)
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


Stands = Callable[[Result], bool]
"""Whether a result is what the method in its present state would give."""


def read(folder: Path = FOLDER, stands: Stands | None = None) -> dict[Key, Result]:
    """The newest result of each key; a last line that an interrupted run cut short is passed over.

    With ``stands``, results of another state of their method are left out.
    """
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in _lines(path)]
    results = [Result(**json.loads(line)) for line in lines]
    if stands is not None:
        results = [result for result in results if stands(result)]
    return {result.key: result for result in sorted(results, key=lambda result: result.date)}


def outdated(folder: Path, stands: Stands) -> int:
    """How many results of an earlier state of their method lie in the folder."""
    return len(read(folder)) - len(read(folder, stands))


def _lines(path: Path) -> Iterable[str]:
    text = path.read_text()
    return (line for line in text[: text.rfind("\n") + 1].splitlines() if line.strip())


def now() -> str:
    """Date and time with the machine's own zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def commit() -> str:
    """Short hash of the commit, with a plus sign where tracked files of the package differ from it."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def machine() -> str:
    """Processor, cores that this process may use, and memory."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", str(cores))
    return f"{model}, {cores} cores, {threads} threads, Python {platform.python_version()}"
