"""The labelled stacks of the benchmark: looked up in a folder of files, or rebuilt from installed packages.

Three sets (``BASE``) are for tuning; the ``HELD_OUT`` ones are of other kinds and are only looked at, so that nothing
is tuned to three sets alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import phantoms
import scans
import sources
import wheels

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(__file__).resolve().parent / ".data"

BASE = ("brain_regions", "brain_tissue", "nuclei")
HELD_OUT = (
    *("macaque", "nuclei_3d", "phantom_ct", "vessels", "coins", "ihc"),
    *("ct_organs", "ct_fine", "lung_tumour", "brain_tumour"),
    *("sem_axons", "epithelium", "light_sheet", "concrete"),
    *("spine_mr", "spine_ct", "diffusion_fa"),
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One fully labelled stack.

    ``images`` is ``(N, Y, X)`` or ``(N, Y, X, 3)`` in its own unsigned type, ``labels`` ``(N, Y, X)`` uint8 with
    0 = none of the labels, ``names`` label id → name. ``tiles`` marks a few independent images without an order.
    """

    name: str
    images: NDArray[np.unsignedinteger]
    labels: NDArray[np.uint8]
    names: dict[int, str]
    note: str = ""

    @property
    def tiles(self) -> bool:
        return len(self.images) < 8

    @property
    def rgb(self) -> bool:
        return self.images.ndim == 4

    def __post_init__(self) -> None:
        if self.labels.shape != self.images.shape[:3]:
            raise ValueError(f"{self.name}: labels {self.labels.shape}, images {self.images.shape}")
        unnamed = set(np.unique(self.labels).tolist()) - {0} - set(self.names)
        if unnamed:
            raise ValueError(f"{self.name}: label ids without a name: {sorted(unnamed)}")


BUILDERS: dict[str, Callable[[], sources.Raw]] = {
    "brain_regions": sources.brain_regions,
    "brain_tissue": sources.brain_tissue,
    "nuclei": sources.nuclei,
    "macaque": sources.macaque,
    "nuclei_3d": sources.nuclei_3d,
    "coins": sources.coins,
    "ihc": sources.ihc,
    "ct_organs": scans.ct_organs,
    "ct_fine": scans.ct_fine,
    "lung_tumour": scans.lung_tumour,
    "brain_tumour": scans.brain_tumour,
    "diffusion_fa": scans.diffusion_fa,
    "sem_axons": wheels.sem_axons,
    "epithelium": wheels.epithelium,
    "light_sheet": wheels.light_sheet,
    "concrete": wheels.concrete,
    "spine_mr": wheels.spine_mr,
    "spine_ct": wheels.spine_ct,
    "phantom_ct": phantoms.phantom_ct,
    "vessels": phantoms.vessels,
}


def folders() -> list[Path]:
    """Where ready-made files may lie, in order."""
    given = os.environ.get("NAPARI_SALT_BENCH")
    return [Path(given)] if given else [ROOT.parent / "shared" / "bench" / "data", CACHE]


@lru_cache(maxsize=4)
def load(name: str) -> Dataset:
    """The data set of this name; rebuilt from packages (and kept in ``.data``) where no file is found."""
    for folder in folders():
        path = folder / f"{name}.npz"
        if path.is_file():
            return read(path)
    dataset = build(name)
    CACHE.mkdir(exist_ok=True)
    write(CACHE / f"{name}.npz", dataset)
    return dataset


def build(name: str) -> Dataset:
    """The data set of this name, rebuilt."""
    if name not in BUILDERS:
        raise KeyError(f"unknown data set {name!r}; known: {', '.join(BUILDERS)}")
    images, labels, names, note = BUILDERS[name]()
    return Dataset(name, np.ascontiguousarray(images), labels.astype(np.uint8), names, note)


def read(path: Path) -> Dataset:
    """A data set from its ``.npz`` file (names as JSON, nothing pickled)."""
    with np.load(path, allow_pickle=False) as file:
        names = {int(key): value for key, value in json.loads(str(file["names"])).items()}
        return Dataset(path.stem, file["images"], file["labels"], names, str(file["note"]))


def write(path: Path, dataset: Dataset) -> None:
    """Write a data set; a half-written file never carries the final name."""
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        images=dataset.images,
        labels=dataset.labels,
        names=np.array(json.dumps(dataset.names)),
        note=np.array(dataset.note),
    )
    part.replace(path)
