"""A long lazy stack takes no more memory than a short one."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import numpy as np
import pytest

from napari_salt.model import fit as fit_module
from napari_salt.model import predict as predict_module
from napari_salt.model.fit import fit
from napari_salt.model.predict import predict
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label, StackInfo

STATUS = Path("/proc/self/status")
SIDE, SHORT, LONG = 256, 30, 230
A_SLICE = SIDE * SIDE * (1 + 1 + 2)
"""Bytes of a plane, its masks and its uncertainty: what a leak would keep of each slice at the least."""


class MadePlanes:
    """Slices made when they are read."""

    info = StackInfo((LONG, SIDE, SIDE))

    def plane(self, index: int) -> np.ndarray:
        image = np.random.default_rng(index).integers(0, 60, (SIDE, SIDE), np.uint8)
        image[:, : 100 + index % 50] += 120
        return image


def resident() -> int:
    """Bytes that this process holds, without what it has freed already but not given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if (
        trim is not None
    ):  # only glibc has it, and needs it: a leak would first fill what the fit left behind
        trim(0)
    (line,) = (one for one in STATUS.read_text().splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not STATUS.is_file(), reason="reads the memory of the process the Linux way")
def test_memory_stays_flat_along_a_stack(tiny_backbone, monkeypatch):
    backbone = tiny_backbone()
    for module in (fit_module, predict_module):
        monkeypatch.setattr(module, "warm_backbone", lambda *_: backbone)
    planes = MadePlanes()
    targets = np.where(planes.plane(0) > 90, 1, BACKGROUND).astype(np.uint16)
    running = fit(
        planes,
        [AnnotatedSlice(0, targets, complete=True)],
        [Label(1, "left")],
        FitSettings(kind="none", device="cpu", other_stacks=False),
    )
    while True:
        try:
            next(running)
        except StopIteration as stop:
            adapter = stop.value.adapter
            break
    done, after_short = 0, 0
    for one in predict(planes, adapter, range(LONG), device="cpu"):
        done += one is not None
        if done == SHORT and not after_short:
            after_short = resident()
    assert done == LONG
    leak = A_SLICE * (LONG - SHORT)
    assert resident() - after_short < leak / 3
