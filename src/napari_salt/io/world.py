"""Affines of stacks: from voxel numbers (slice, row, column) to millimetres in RAS+."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_salt.records import Affine

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM counts x to the left and y to the back, NIfTI x to the right and y to the front."""


def as_affine(matrix: ArrayLike) -> Affine:
    """A 4 × 4 matrix as plain numbers."""
    rows = np.asarray(matrix, np.float64)
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in rows)


def from_columns(
    slices: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    first: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The matrix whose steps along slices, rows and columns are these vectors ``(3,)``, from ``first``."""
    matrix = np.eye(4)
    matrix[:3] = np.stack([slices, rows, columns, first], axis=1)
    return matrix
