"""Masks, labels and geometry that the tests of writers share."""

from __future__ import annotations

import numpy as np

from napari_salt.records import Label, Origin, StackInfo

LABELS = (
    Label(1, "gray matter", (1.0, 0.0, 0.0, 1.0)),
    Label(2, "white <µ> “matter”", (0.0, 0.4, 1.0, 0.6)),
)
SHAPE = (3, 4, 5)
OBLIQUE = ((0.0, 0.1, -0.9, 10.0), (0.2, -0.9, -0.1, 20.0), (2.0, 0.05, 0.1, 30.0), (0, 0, 0, 1))
"""(slice, row, column) to RAS+: nearly axial, columns to the left, rows to the back."""


def masks(largest: int = 2, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Ids in a place that no mirror or swap of axes leaves alone."""
    found = np.zeros(shape, np.int64)
    found[0, 0, 0] = 1
    found[1, 1:3, 0:4] = 1
    found[-1, 1, -1] = largest
    return found


def info(**changes: object) -> StackInfo:
    """A stack of 2.5 × 0.65 × 0.5 µm that was read from nowhere."""
    given = {"shape": SHAPE, "spacing": (2.5, 0.65, 0.5), "units": ("um",) * 3, "name": "t1"}
    return StackInfo(**(given | changes))


def placed() -> StackInfo:
    """The same in the world, by an affine in millimetres."""
    sizes = np.linalg.norm(np.array(OBLIQUE)[:3, :3], axis=0)
    return info(
        spacing=tuple(sizes), units=("mm",) * 3, origin=Origin("/nowhere.nii", "nifti", OBLIQUE)
    )
