"""Segments and writes a lazy stack in this process, and tells its peak memory: the whole way that a command goes.

    python benchmarks/memory_run.py COUNT SIDE FOLDER [ADAPTER]

Slices are made when they are read; masks go to the store on disk, from there to a TIFF, and uncertainty to another.
Without an adapter a threshold stands in for the network, and the store does not wait for the disk: so ten thousand
slices take seconds, and all but the network is the product's own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_salt.io import mask_store
from napari_salt.io.export import export_masks
from napari_salt.io.mask_store import MadeOf, MaskStore
from napari_salt.io.write import write_image
from napari_salt.records import Label, SlicePrediction, SliceSummary, StackInfo

LABELS = tuple(Label(i, f"field {i}") for i in range(1, 5))


@dataclass(frozen=True)
class MadeSlices:
    """A bright stripe that drifts from slice to slice, on noise."""

    count: int
    side: int

    @property
    def info(self) -> StackInfo:
        return StackInfo((self.count, self.side, self.side))

    def plane(self, index: int) -> np.ndarray:
        noise = np.random.default_rng(index).integers(0, 60, (self.side, self.side), np.uint8)
        noise[:, : self.side // 3 + index % 7] += 120
        return noise


def by_threshold(planes: MadeSlices) -> Iterator[SlicePrediction]:
    """What a network would say."""
    for index in range(planes.count):
        plane = planes.plane(index)
        labels = (plane >= 120).astype(np.uint8) * np.uint8(1 + index % 4)
        unsure = (plane / np.float32(255)).astype(np.float16)
        areas = {1 + index % 4: int(np.count_nonzero(labels))}
        look = np.full(64, index, np.float32)
        yield SlicePrediction(index, labels, unsure, SliceSummary(index, 0.1, areas, {}, look))


def by_network(planes: MadeSlices, adapter: Path) -> Iterator[SlicePrediction]:
    """What the product's own prediction says, with the stub of `speed_jobs` in the place of a large network."""
    import speed_jobs

    backbone = speed_jobs.StubBackbone()
    speed_jobs.predict_module.warm_backbone = lambda *_: backbone  # type: ignore[assignment]
    loaded = speed_jobs.load_adapter(adapter)
    found = speed_jobs.predict_module.predict(planes, loaded, range(planes.count), device="cpu")
    return (one for one in found if one is not None)


def segment_and_write(planes: MadeSlices, found: Iterator[SlicePrediction], folder: Path) -> int:
    """Fill a store, write masks and uncertainty from it; returns how many pixels have a label."""
    info, every = planes.info, range(planes.count)
    made_of = MadeOf("0" * 64, "made", info.shape, LABELS, uncertainty=True)
    store = MaskStore.begin(folder / "store", made_of, info)
    for prediction in found:
        store.put(prediction)
    pixels = sum(sum(summary.areas.values()) for summary in store.summaries())
    export_masks(folder / "masks.tif", store.masks(every), info, LABELS)
    write_image(folder / "unsure.tif", store.uncertainty(every), spacing=info.spacing)
    store.close()
    return pixels


def peak_memory() -> int:
    """The most bytes of memory that this process has held; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    count, side, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    planes = MadeSlices(count, side)
    if len(sys.argv) > 4:
        found = by_network(planes, Path(sys.argv[4]))
    else:
        mask_store.reach_disk = lambda path: None
        found = by_threshold(planes)
    began = time.perf_counter()
    pixels = segment_and_write(planes, found, folder)
    told = {"peak": peak_memory(), "pixels": pixels, "seconds": time.perf_counter() - began}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
