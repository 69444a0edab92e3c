"""Many workers: slices a second with one process, one worker and two, memory of each, and what follows for a million.

    python benchmarks/scale.py                 the section of RESULTS.md
    python benchmarks/scale.py --slices 16     a short look; writes nothing

Every process computes with one thread. Run it on a machine with two cores that does nothing else. What each run tells
is kept, so that the program, when it was interrupted and is called again alike, goes on with the next run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
# features of the first run must not serve the second
os.environ["NAPARI_SALT_CACHE_MB"] = "0"

import numpy as np  # noqa: E402
import tifffile  # noqa: E402

import results  # noqa: E402
from napari_salt.engine.requests import AdaptRequest, SegmentRequest, StackPrepared  # noqa: E402
from napari_salt.engine.tasks import finish, predictions_of, run_task  # noqa: E402
from napari_salt.io.identity import closer_identity  # noqa: E402
from napari_salt.io.mask_store import MadeOf, MaskStore  # noqa: E402
from napari_salt.model.conditions import Conditions  # noqa: E402
from napari_salt.model.weights import file_sha256  # noqa: E402
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label  # noqa: E402
from napari_salt.scale.chunks import LONGEST  # noqa: E402
from napari_salt.scale.requests import ClusterSegmentRequest  # noqa: E402
from napari_salt.scale.settings import ClusterSettings  # noqa: E402
from napari_salt.session.stack import Stack  # noqa: E402
from rows import Rows  # noqa: E402
from sections import replace_section, table  # noqa: E402

HERE = Path(__file__).resolve().parent
LABELS = (Label(1, "disk"), Label(2, "box"))
SIDE = 256
MILLION, GPUS = 10**6, 64
GPU_SECONDS = (0.02, 0.1)
"""Seconds a slice on one GPU that the estimate is made for; an assumption, see the text."""


@dataclass(frozen=True)
class Run:
    """One way to segment the stack.

    ``peak`` is the largest memory of one process in bytes, ``masks`` a hash of what came out, ``load`` that of the
    machine at the end, ``measured`` when, and at which commit.
    """

    name: str
    slices: int
    seconds: float
    peak: int
    masks: str = ""
    load: float = 0.0
    measured: str = ""

    @property
    def rate(self) -> float:
        return self.slices / self.seconds


@dataclass(frozen=True)
class Overheads:
    """What each chunk costs on the way (s), and each slice in the store (s, bytes)."""

    chunk: float
    put: float
    stored: float


class Bench:
    """A made stack on disk, an adapter of kind none for it, and stores to fill."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        image, labels = shapes(count)
        self.image, self.adapter = folder / "image.tif", folder / "a.salt.safetensors"
        tifffile.imwrite(self.image, image, photometric="minisblack")
        self.stack = Stack(image)
        painted = []
        for index in (1, count - 2):
            targets = np.where(labels[index] > 0, labels[index], BACKGROUND).astype(np.uint16)
            painted.append(AnnotatedSlice(index, targets, complete=True))
        settings = FitSettings(kind="none", steps=0, device="cpu")
        finish(run_task(AdaptRequest(tuple(painted), LABELS, settings, self.adapter), self.stack))
        self.conditions: Conditions | None = None

    def alone(self) -> Run:
        """In this process, as the command does without workers."""
        self._warm(SegmentRequest(self.adapter, (0,), None, "cpu"))
        request = SegmentRequest(self.adapter, tuple(range(len(self.stack))), None, "cpu")
        started = time.perf_counter()
        reports, _ = finish(run_task(request, self.stack))
        seconds = time.perf_counter() - started
        masks = {one.index: one.labels for one in predictions_of(reports)}
        (prepared,) = (one for one in reports if isinstance(one, StackPrepared))
        self.conditions = prepared.conditions
        told = hash_of(masks[index] for index in range(len(self.stack)))
        return Run("this process", len(self.stack), seconds, peak_memory(os.getpid()), told)

    def conditions_text(self) -> str:
        """How the stack is seen, as chosen by `alone`."""
        assert self.conditions is not None
        return self.conditions.to_json()

    def workers(self, count: int) -> Run:
        """With ``count`` workers that have loaded everything before the clock starts."""
        with cluster(count) as (settings, pids):
            self._run(f"warm-{count}", range(4 * count), settings)
            store, seconds = self._run(f"store-{count}", range(len(self.stack)), settings)
            peak = max(peak_memory(pid) for pid in pids())
        masks = MaskStore.open_store(store.path).masks(range(len(self.stack)))
        told = hash_of(masks[index] for index in range(len(self.stack)))
        return Run(name_of(count), len(self.stack), seconds, peak, told)

    def overheads(self) -> Overheads:
        """Of a chunk that was done before, so that only asking, opening and answering is left; and of the store."""
        if not MaskStore.is_store(
            self.folder / "store-1"
        ):  # filled by a program that was interrupted
            self.workers(1)
        store = MaskStore.open_store(self.folder / "store-1")
        first = next(store.summaries())
        one = store.prediction(first)
        again = self._store("puts")
        started = time.perf_counter()
        for _ in range(20):
            again.put(one)
        put = (time.perf_counter() - started) / 20
        files = [path for path in (store.path / "0").rglob("*") if path.is_file()]
        stored = sum(path.stat().st_size for path in files) / len(self.stack)
        with cluster(1) as (settings, _):
            self._run("empty", range(2), settings)
            _, seconds = self._run("store-1", range(len(self.stack)), settings, begin=False)
        chunks = len({path.name.rpartition("-")[0] for path in (store.path / "done").iterdir()})
        return Overheads(seconds / chunks, put, stored)

    def _store(self, name: str) -> MaskStore:
        info = self.stack.info
        made_of = MadeOf(file_sha256(self.adapter), closer_identity(self.stack), info.shape, LABELS)
        store = MaskStore.begin(self.folder / name, made_of, info)
        store.keep_adapter(self.adapter)
        return store

    def _run(
        self, name: str, slices: range, settings: ClusterSettings, *, begin: bool = True
    ) -> tuple[MaskStore, float]:
        store = self._store(name) if begin else MaskStore.open_store(self.folder / name)
        request = ClusterSegmentRequest(
            self.adapter,
            tuple(slices),
            None,
            "cpu",
            self.conditions,
            store=store.path,
            image=str(self.image),
            cluster=settings,
        )
        started = time.perf_counter()
        finish(run_task(request, self.stack))
        return store, time.perf_counter() - started

    def _warm(self, request: SegmentRequest) -> None:
        finish(run_task(request, self.stack))


def name_of(workers: int) -> str:
    """Of a run with so many workers."""
    return f"{workers} worker{'s' if workers > 1 else ''}"


def hash_of(masks: Iterable[np.ndarray]) -> str:
    """Of masks whatever their type; a rate for masks that differ would be worth nothing."""
    found = hashlib.sha256()
    for mask in masks:
        found.update(np.ascontiguousarray(mask, np.uint16).tobytes())
    return found.hexdigest()


@contextmanager
def cluster(count: int) -> Iterator[tuple[ClusterSettings, object]]:
    """Workers on loopback, without TLS: their start is not part of what is measured."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as made,
        Client(made, set_as_default=False) as client,
    ):
        yield (
            ClusterSettings(made.scheduler_address),
            lambda: list(client.run(os.getpid).values()),
        )


def shapes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey stack ``(N, Y, X)`` of a disk and a box on noise, and their labels."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((count, SIDE, SIDE), np.uint8)
    for index in range(count):
        labels[index][(rows - 90) ** 2 + (columns - 70 - index % 40) ** 2 < 2500] = 1
        labels[index][150 : 200 + index % 20, 100:220] = 2
    image = np.array([20, 110, 200], np.uint8)[labels] + random.integers(0, 40, labels.shape)
    return image.astype(np.uint8), labels


def peak_memory(pid: int) -> int:
    """The most bytes of memory that a process has held; Linux tells."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def estimate(overheads: Overheads) -> str:
    """A million slices on 64 GPUs, with the arithmetic."""
    chunks = MILLION / LONGEST
    client = chunks * overheads.chunk
    lines = [
        f"**{MILLION:,} slices on {GPUS} GPUs: an estimate, not a measurement.** It takes the larger of two times.",
        "",
    ]
    for seconds in GPU_SECONDS:
        each = MILLION / GPUS * (seconds + overheads.put)
        lines.append(
            f"- Workers, at an *assumed* {seconds:g} s a slice on a GPU: {MILLION:,} / {GPUS} × ({seconds:g} s + "
            f"{overheads.put * 1000:.0f} ms to write it) = {MILLION // GPUS:,} × {seconds + overheads.put:.3f} s = "
            f"{each / 60:.0f} min."
        )
    disk = MILLION * overheads.stored
    rate = GPUS / (GPU_SECONDS[0] + overheads.put)
    lines += [
        f"- Client and scheduler: {MILLION:,} / {LONGEST} = {chunks:,.0f} chunks × {overheads.chunk * 1000:.0f} ms "
        f"(asking, opening the store, answering, measured one after the other on one worker; with {GPUS} workers "
        f"only part of it is in turn) = {client / 60:.0f} min at the most.",
        f"- Disk: {MILLION:,} × {overheads.stored / 1000:.1f} kB = {disk / 1e9:.1f} GB of masks of such slices, in "
        f"{MILLION:,} files; at the faster rate {rate:,.0f} slices a second, each with three waits for the disk. A "
        "shared drive must bear that; it is the likeliest limit.",
        f"- Lost with a worker: at most {LONGEST} slices of one chunk, less what it had written.",
    ]
    return "\n".join(lines)


def section(runs: list[Run], overheads: Overheads) -> str:
    """The part of RESULTS.md."""
    base = runs[0].rate
    head = ["who", "slices", "s", "slices / s", "of one process", "peak MB a process", "load"]
    rows = [
        [
            run.name,
            str(run.slices),
            f"{run.seconds:.1f}",
            f"{run.rate:.2f}",
            f"{run.rate / base:.2f} ×",
            f"{run.peak / 1e6:.0f}",
            f"{run.load:.1f}",
        ]
        for run in runs
    ]
    loads = ", ".join(f"{run.load:.1f}" for run in runs)
    busy = any(run.load > wanted + 0.5 for run, wanted in zip(runs, (1, 1, 2), strict=True))
    quiet = (
        f"**Other work ran on the machine meanwhile** (load {loads} on {os.cpu_count()} cores, where a quiet one has "
        "1, 1 and 2), so the rates are too low and their ratios say little; measure again on a quiet machine."
        if busy
        else f"Nothing else ran beside it (load {loads} on {os.cpu_count()} cores)."
    )
    return "\n\n".join(
        [
            "### Scale",
            f"{runs[-1].measured or results.now()}, on {results.machine()}. One thread a process, `lite-medsam` on "
            f"the CPU, slices of {SIDE} × {SIDE}, adapter of kind none with two labels, no cached features, everything "
            "loaded before the clock starts; reading, segmenting and writing to the store are in the times, which the "
            f"process alone does not write. Masks of all runs were compared and are the same, bit for bit. {quiet}",
            table(head, rows),
            estimate(overheads),
        ]
    )


class Kept:
    """Runs of one number of slices: measured once, then known."""

    def __init__(self, rows: Rows | None, slices: int) -> None:
        self._rows, self._slices = rows, slices

    def find(self, name: str) -> dict[str, Any] | None:
        """What is known of a run."""
        return None if self._rows is None else self._rows.find(name=name, slices=self._slices)

    def run(self, name: str, measure: Callable[[], Run], **more: Callable[[], str]) -> Run:
        """A run as it is known, else measured and kept, with what ``more`` gives then."""
        known = self.find(name)
        if known is None:
            run = replace(measure(), load=round(os.getloadavg()[0], 1))
            if self._rows is None:
                return run
            run = replace(run, measured=self._rows.stamp())
            self._rows.keep({**asdict(run), **{key: give() for key, give in more.items()}})
            return run
        return Run(**{one.name: known[one.name] for one in fields(Run) if one.name in known})

    def overheads(self, measure: Callable[[], Overheads]) -> Overheads:
        """As ``run``."""
        known = self.find("overheads")
        if known is None:
            found = measure()
            if self._rows is not None:
                self._rows.keep({"name": "overheads", "slices": self._slices, **asdict(found)})
            return found
        return Overheads(**{one.name: known[one.name] for one in fields(Overheads)})


def measured(bench: Bench, kept: Kept) -> tuple[list[Run], Overheads]:
    """All runs, and the overheads of the store that the run with one worker has filled."""
    alone = kept.run("this process", bench.alone, conditions=bench.conditions_text)
    known = kept.find("this process")
    if bench.conditions is None and known is not None:
        bench.conditions = Conditions.from_json(known["conditions"])
    print(alone, flush=True)
    one = kept.run(name_of(1), lambda: bench.workers(1))
    overheads = kept.overheads(bench.overheads)
    print(one, overheads, flush=True)
    two = kept.run(name_of(2), lambda: bench.workers(2))
    print(two, flush=True)
    for run in (one, two):
        assert run.masks == alone.masks, f"the masks of {run.name} differ"
    return [alone, one, two], overheads


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--slices", type=int, help="a short look at so many slices; writes nothing")
    parser.add_argument("--write", action="store_true", help="write the section even so")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    options = parser.parse_args()
    count = options.slices or 120
    writes = options.slices is None or options.write
    rows = Rows("scale", options.results) if writes else None
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), count)
        runs, overheads = measured(bench, Kept(rows, count))
    text = section(runs, overheads)
    print(text)
    if writes:
        replace_section(options.out, "scale", text)


if __name__ == "__main__":
    main()
