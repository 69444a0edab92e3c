"""Small good files of every format that is read, to be damaged; and how each is damaged."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from fuzz_formats import make_dicom, make_hdf5, make_nifti, make_slicer, make_zarr
from fuzz_mutations import mutate, mutate_json
from napari_salt.io.session_folder import AGREED, JOURNAL, PAINT, STATE, SessionFolder
from napari_salt.io.session_state import AgreedState, SessionState
from napari_salt.io.write import write_masks
from napari_salt.records import FitRecord, Label, Round, StackInfo
from napari_salt.sparse_plane import SparsePlane

RECORD = FitRecord("salt", "lite-medsam", (0, 7), 4, 1.5, 1234, "adapted", 0.8, 0.9)
LABELS = (Label(1, "nucleus", (0.1, 0.2, 0.3, 1.0)), Label(300, "axon"))
MARK = "0123456789abcdef"


@dataclass(frozen=True)
class Seed:
    """A good file or folder; ``damage`` writes a damaged copy to a path."""

    kind: str
    path: Path
    damage: Callable[[Path, Path, random.Random], None]
    suffix: str = ""
    """What the damaged copy's name has behind the good one's."""

    def damaged(self, folder: Path, rng: random.Random) -> Path:
        """A damaged copy in ``folder``, in place of the one before it."""
        target = folder / f"{self.path.name}{self.suffix}"
        if target.is_dir():
            shutil.rmtree(target)
        self.damage(self.path, target, rng)
        return target


def make_seeds(folder: Path) -> list[Seed]:
    """Seeds of every kind, made in ``folder``."""
    return [
        *(*_adapters(folder), *_sessions(folder), *_tiffs(folder), *_plain(folder)),
        Seed("nifti", make_nifti(folder), _bytes),
        Seed("nifti", make_nifti(folder), _packed, ".gz"),
        *(Seed(path.suffix[1:], path, _bytes) for path in make_slicer(folder)),
        Seed("dicom", make_dicom(folder), _bytes),
        Seed("hdf5", make_hdf5(folder), _bytes),
        Seed("zarr", make_zarr(folder), _zarr),
    ]


def _bytes(source: Path, target: Path, rng: random.Random) -> None:
    target.write_bytes(mutate(source.read_bytes(), rng))


# ---- adapters


def _adapters(folder: Path) -> list[Seed]:
    return [Seed("adapter", make_adapter(folder), _adapter)]


def make_adapter(folder: Path) -> Path:
    """A small adapter file that loads."""
    from safetensors.numpy import save_file

    from descriptions import described
    from napari_salt.model.adapter_info import HEADER_KEY

    info = described(
        LABELS,
        RECORD,
        weights_sha256="a" * 64,
        rank=8,
        intensity={"method": "window", "low": [-100.0], "high": [300.0]},
        stack="0123456789abcdef",
        zoom=0.75,
        directions=5,
        taps=(("stage1", 3), ("neck", 4)),
    )
    tensors = {
        "adapter.neck.0.scaled_up": np.ones((4, 2), np.float32),
        "forest.roots": np.zeros(1, np.int32),
        "forest.feature": np.array([0, -1, -1], np.int16),
        "forest.threshold": np.zeros(3, np.float32),
        "forest.children": np.array([[1, 2], [1, 1], [2, 2]], np.int32),
        "forest.leaf": np.zeros((3, 3), np.uint8),
        "head.embeddings": np.ones((3, 6), np.float32),
        "head.absent": np.array([False, True, False]),
    }
    path = folder / "seed.salt.safetensors"
    save_file(tensors, path, metadata={HEADER_KEY: info.to_json()})
    return path


def _adapter(source: Path, target: Path, rng: random.Random) -> None:
    """Bytes anywhere, or values in the header, or in the description inside the header."""
    content = source.read_bytes()
    if rng.random() < 0.4:
        target.write_bytes(mutate(content, rng))
        return
    import json

    from napari_salt.model.adapter_info import HEADER_KEY

    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode()
    if rng.random() < 0.7:
        inside = json.loads(header)
        inside["__metadata__"][HEADER_KEY] = mutate_json(inside["__metadata__"][HEADER_KEY], rng)
        header = json.dumps(inside)
    else:
        header = mutate_json(header, rng)
    damaged = header.encode("utf-8", errors="replace")
    target.write_bytes(len(damaged).to_bytes(8, "little") + damaged + content[8 + length :])


# ---- sessions


def _sessions(folder: Path) -> list[Seed]:
    path = folder / "seed.salt"
    state = SessionState(
        stack=StackInfo((4, 16, 16), name="t1"),
        identity="abc",
        labels=LABELS,
        next_id=301,
        painted=(1, 3),
        rounds=(Round(1, RECORD, "round-1.salt.safetensors", 12),),
        active=1,
        agreed=AgreedState(MARK, changed=(1,), complete=(3,)),
    )
    made = SessionFolder.create(path, state)
    made.keep_agreed(state, {1: SparsePlane.of(np.full((16, 16), 300, np.uint16))})
    made.save(state, {1: np.ones((16, 16), np.uint16), 3: np.eye(16, dtype=np.uint16)})
    made._apply = lambda *_: None  # type: ignore[method-assign]  # leaves the journal as a dying program does
    made.save(state, {2: np.ones((16, 16), np.uint16)})
    made.close()
    return [Seed("session", path, _session)]


def _session(source: Path, target: Path, rng: random.Random) -> None:
    shutil.copytree(source, target)
    paint = rng.choice((PAINT, PAINT, AGREED.format(MARK)))
    part = rng.choice((STATE, STATE, JOURNAL, f"{paint}/zarr.json", f"{paint}/c/1/0/0"))
    if part != JOURNAL:
        (target / JOURNAL).unlink()
    file = target / part
    if part.endswith(".json") and rng.random() < 0.7:
        file.write_text(mutate_json(file.read_text(), rng), encoding="utf-8", errors="replace")
    else:
        file.write_bytes(mutate(file.read_bytes(), rng))


# ---- images


def _packed(source: Path, target: Path, rng: random.Random) -> None:
    """A damaged NIfTI, then compressed, and sometimes damaged again."""
    content = gzip.compress(mutate(source.read_bytes(), rng), 1)
    if rng.random() < 0.3:
        content = mutate(content, rng)
    target.write_bytes(content)


def _zarr(source: Path, target: Path, rng: random.Random) -> None:
    shutil.copytree(source, target)
    file = target / rng.choice(
        ("zarr.json", "zarr.json", "0/zarr.json", "0/zarr.json", "0/c/1/0/0")
    )
    if file.suffix == ".json" and rng.random() < 0.8:
        file.write_text(mutate_json(file.read_text(), rng), encoding="utf-8", errors="replace")
    else:
        file.write_bytes(mutate(file.read_bytes(), rng))


def _tiffs(folder: Path) -> list[Seed]:
    pixels = np.arange(4 * 16 * 16, dtype=np.uint16).reshape(4, 16, 16)
    names, colors = {1: "nucleus"}, {1: (0.1, 0.2, 0.3, 1.0)}
    paths = [folder / f"seed-{number}.tif" for number in range(6)]
    write_masks(paths[0], pixels, names=names, colors=colors, units=("um",) * 3)
    write_masks(paths[1], pixels, names=names, flavour="ome")
    write_masks(paths[2], pixels, compress=True)
    tifffile.imwrite(paths[3], pixels, tile=(16, 16), compression="zlib", photometric="minisblack")
    tifffile.imwrite(paths[4], pixels[0], bigtiff=True, byteorder=">")
    tifffile.imwrite(
        paths[5],
        np.zeros((3, 16, 16), np.uint8),
        photometric="rgb",
        compression="zlib",
        planarconfig="separate",
    )
    return [Seed("tiff", path, _bytes) for path in paths]


def _plain(folder: Path) -> list[Seed]:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array, png, jpeg = (folder / f"seed.{suffix}" for suffix in ("npy", "png", "jpg"))
    np.save(array, pixels)
    Image.fromarray(pixels).save(png)
    Image.fromarray(pixels).save(jpeg)
    return [Seed(path.suffix[1:], path, _bytes) for path in (array, png, jpeg)]
