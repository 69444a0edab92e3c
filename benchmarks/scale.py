"""Many workers: slices a second with one process, one worker and two, memory of each, and what follows for a million.

    python benchmarks/scale.py                 the section of RESULTS.md
    python benchmarks/scale.py --slices 16     a short look; writes nothing

Every process computes with one thread. Run it on a machine with two cores that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
# features of the first run must not serve the second
os.environ["NAPARI_SALT_CACHE_MB"] = "0"

import numpy as np  # noqa: E402
import tifffile  # noqa: E402

import results  # noqa: E402
from napari_salt.engine.requests import AdaptRequest, SegmentRequest, StackPrepared  # noqa: E402
from napari_salt.engine.tasks import finish, predictions_of, run_task  # noqa: E402
from napari_salt.io.mask_store import MadeOf, MaskStore  # noqa: E402
from napari_salt.io.session_folder import identity  # noqa: E402
from napari_salt.model.conditions import Conditions  # noqa: E402
from napari_salt.model.weights import file_sha256  # noqa: E402
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label  # noqa: E402
from napari_salt.scale.chunks import LONGEST  # noqa: E402
from napari_salt.scale.requests import ClusterSegmentRequest  # noqa: E402
from napari_salt.scale.settings import ClusterSettings  # noqa: E402
from napari_salt.session.stack import Stack  # noqa: E402
from sections import replace_section, table  # noqa: E402

HERE = Path(__file__).resolve().parent
LABELS = (Label(1, "disk"), Label(2, "box"))
SIDE = 256
MILLION, GPUS = 10**6, 64
GPU_SECONDS = (0.02, 0.1)
"""Seconds a slice on one GPU that the estimate is made for; an assumption, see the text."""


@dataclass(frozen=True)
class Run:
    """One way to segment the stack; ``peak`` is the largest memory of one process in bytes."""

    name: str
    slices: int
    seconds: float
    peak: int

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
        self.masks: dict[int, np.ndarray] = {}
        self.conditions: Conditions | None = None

    def alone(self) -> Run:
        """In this process, as the command does without workers."""
        self._warm(SegmentRequest(self.adapter, (0,), None, "cpu"))
        request = SegmentRequest(self.adapter, tuple(range(len(self.stack))), None, "cpu")
        started = time.perf_counter()
        reports, _ = finish(run_task(request, self.stack))
        seconds = time.perf_counter() - started
        self.masks = {one.index: one.labels for one in predictions_of(reports)}
        (prepared,) = (one for one in reports if isinstance(one, StackPrepared))
        self.conditions = prepared.conditions
        return Run("this process", len(self.stack), seconds, peak_memory(os.getpid()))

    def workers(self, count: int) -> Run:
        """With ``count`` workers that have loaded everything before the clock starts."""
        with cluster(count) as (settings, pids):
            self._run(f"warm-{count}", range(4 * count), settings)
            store, seconds = self._run(f"store-{count}", range(len(self.stack)), settings)
            peak = max(peak_memory(pid) for pid in pids())
        self._check(store)
        name = f"{count} worker{'s' if count > 1 else ''}"
        return Run(name, len(self.stack), seconds, peak)

    def overheads(self) -> Overheads:
        """Of a chunk that was done before, so that only asking, opening and answering is left; and of the store."""
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
        made_of = MadeOf(file_sha256(self.adapter), identity(self.stack), info.shape, LABELS)
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

    def _check(self, store: MaskStore) -> None:
        """A figure for masks that differ would be worth nothing."""
        masks = MaskStore.open_store(store.path).masks(range(len(self.stack)))
        for index, wanted in self.masks.items():
            assert np.array_equal(masks[index], wanted), f"slice {index} differs"


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
        f"{MILLION:,} files; at the faster rate {rate:,.0f} slices a second, each with some six waits for the disk. A "
        "shared drive must bear that; it is the likeliest limit.",
        f"- Lost with a worker: at most {LONGEST} slices of one chunk, less what it had written.",
    ]
    return "\n".join(lines)


def section(runs: list[Run], overheads: Overheads) -> str:
    """The part of RESULTS.md."""
    base = runs[0].rate
    head = ["who", "slices", "s", "slices / s", "of one process", "peak MB a process"]
    rows = [
        [
            run.name,
            str(run.slices),
            f"{run.seconds:.1f}",
            f"{run.rate:.2f}",
            f"{run.rate / base:.2f} ×",
            f"{run.peak / 1e6:.0f}",
        ]
        for run in runs
    ]
    load = os.getloadavg()[0]
    return "\n\n".join(
        [
            "### Scale",
            f"{results.now()}, at {results.commit()}, on {results.machine()}. One thread a process, `lite-medsam` on "
            f"the CPU, slices of {SIDE} × {SIDE}, adapter of kind none with two labels, no cached features, everything "
            "loaded before the clock starts; reading, segmenting and writing to the store are in the times, which the "
            "process alone does not write. Masks of all runs were compared and are the same, bit for bit. Load of the "
            f"machine at the end: {load:.1f} on {os.cpu_count()} cores; other work ran beside it where that is more "
            "than two, and then the rates say little.",
            table(head, rows),
            estimate(overheads),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--slices", type=int, help="a short look at so many slices; writes nothing")
    parser.add_argument("--write", action="store_true", help="write the section even so")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.slices or 120)
        runs = []
        for measure in (bench.alone, lambda: bench.workers(1), lambda: bench.workers(2)):
            runs.append(measure())
            print(runs[-1], flush=True)
        text = section(runs, bench.overheads())
    print(text)
    if options.slices is None or options.write:
        replace_section(options.out, "scale", text)


if __name__ == "__main__":
    main()
