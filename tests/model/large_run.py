"""Adapts to and segments one slice of 16k columns and ``argv[1]`` rows in a process of its own; tells its peak memory.

The slice is made when it is read. The backbone is tiny and sees few frames: what is exercised at full size is reading,
windows, filters, and putting the masks together.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np

from napari_salt.model import fit as fit_module
from napari_salt.model import large_paint
from napari_salt.model import predict as predict_module
from napari_salt.model.framing import Framing
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label, StackInfo
from napari_salt.sparse_plane import SparsePlane

ROWS, EDGE, CELL = int(sys.argv[1]) if len(sys.argv) > 1 else 16384, 16384, 1024
FRAMING = Framing(16, zoom=1 / 32, fine=4.0)
"""2048 detail pixels along an edge, in two windows."""


class MadePlane:
    """Bright and dark squares, with the sum of row and column in the low bits."""

    info = StackInfo((1, ROWS, EDGE))

    def __init__(self) -> None:
        self.largest = 0

    def plane(self, index: int) -> np.ndarray:
        raise AssertionError("a slice of this size must not be read whole")

    def region(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        y = np.arange(rows.start, rows.stop, dtype=np.int32)[:, None]
        x = np.arange(columns.start, columns.stop, dtype=np.int32)[None]
        self.largest = max(self.largest, y.size * x.size)
        return (bright(y, x) * 120 + ((y + x) & 31)).astype(np.uint8)


def bright(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return ((y // CELL + x // CELL) & 1).astype(bool)


def strokes(complete: bool) -> AnnotatedSlice:
    """Two painted patches far apart, each over a bright and a dark square."""
    found = SparsePlane((ROWS, EDGE), BACKGROUND if complete else 0)
    for top, left in ((512, 1024), (ROWS - 1024, 14848)):
        y, x = np.mgrid[top : top + 512, left : left + 512]
        found.tiles[top, left] = np.where(bright(y, x), 1, BACKGROUND).astype(np.uint16)
        y, x = np.mgrid[top : top + 512, left - 512 : left]
        found.tiles[top, left - 512] = np.where(bright(y, x), 1, BACKGROUND).astype(np.uint16)
    return AnnotatedSlice(0, found, complete)


def peak() -> float:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in one)
    return int(line.split()[1]) / 1024


def main() -> None:
    spec = importlib.util.spec_from_file_location("shared", Path(__file__).parent / "conftest.py")
    shared = importlib.util.module_from_spec(spec)
    sys.modules["shared"] = shared
    spec.loader.exec_module(shared)
    backbone = shared.TinyBackbone()
    for module in (fit_module, predict_module):
        module.warm_backbone = lambda *_: backbone
    fit_module.choose_framing = lambda *_: FRAMING
    large_paint.MOST_FRAMES = 16
    planes, told = MadePlane(), {}
    settings = FitSettings(kind="none", device="cpu", other_stacks=False)
    running = fit_module.fit(planes, [strokes(False)], [Label(1, "bright")], settings)
    told["baseline"] = peak()
    began = time.process_time()
    while True:
        try:
            next(running)
        except StopIteration as stop:
            adapter = stop.value.adapter
            break
    told["fit"], told["fit_seconds"] = peak(), time.process_time() - began
    (found,) = (one for one in predict_module.predict(planes, adapter, [0], device="cpu") if one)
    told["predict"], told["seconds"] = peak(), time.process_time() - began
    wrong = 0
    for top in range(0, ROWS, CELL):
        y, x = np.arange(top, top + CELL)[:, None], np.arange(EDGE)[None]
        wrong += int((found.labels[top : top + CELL].astype(bool) != bright(y, x)).sum())
    told |= {"wrong": wrong / (ROWS * EDGE), "shape": found.labels.shape, "largest": planes.largest}
    told["areas"] = found.summary.areas
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
