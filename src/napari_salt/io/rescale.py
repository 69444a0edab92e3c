"""Stored values to real values by slope and intercept, in the smallest type that keeps them exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scaling = tuple[float, float]
"""Slope and intercept."""

IDENTITY: Scaling = (1.0, 0.0)


def real_dtype(
    stored: np.dtype[Any], low: int, high: int, scalings: Iterable[Scaling]
) -> np.dtype[Any]:
    """Type of the real values of pixels of type ``stored`` between ``low`` and ``high``.

    Without any scaling it is ``stored``; with whole slopes and intercepts that fit, int16; else float32.
    """
    wanted = set(scalings)
    if wanted <= {IDENTITY}:
        return stored
    ends = [value * slope + intercept for slope, intercept in wanted for value in (low, high)]
    whole = stored.kind in "iu" and all(part == round(part) for pair in wanted for part in pair)
    limits = np.iinfo(np.int16)
    if whole and limits.min <= min(ends) and max(ends) <= limits.max:
        return np.dtype(np.int16)
    return np.dtype(np.float32)


def to_real(pixels: NDArray[Any], scaling: Scaling, dtype: np.dtype[Any]) -> NDArray[Any]:
    """``pixels * slope + intercept`` in ``dtype``, computed so that nothing overflows on the way."""
    if scaling == IDENTITY:
        return pixels.astype(dtype, copy=False)
    real: NDArray[Any] = (pixels.astype(np.float64) * scaling[0] + scaling[1]).astype(dtype)
    return real
