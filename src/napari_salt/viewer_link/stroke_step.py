"""Reads what a stroke has changed off the record that napari tells with its paint event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.session.undo import STROKE, PaintStep, PaintSteps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_salt.geometry import StackGeometry
    from napari_salt.session.undo import Step


def stroke_step(atoms: Iterable[Any], geometry: StackGeometry, shape: Sequence[int]) -> Step | None:
    """One step of all that a stroke has changed in paint of ``shape`` ``(N, Y, X)``.

    Parameters
    ----------
    atoms
        What `napari.layers.Labels` tells as the value of its ``paint`` event, oldest first: edits
        of pixels ``(indices, old values, new values)`` or of a box ``(slice_key, mask,
        old_values, new_value)``, all in the layer's axes.
    geometry
        How the layer's axes make the stack.
    shape
        Of the stack.

    Returns
    -------
    PaintStep or PaintSteps or None
        None when nothing has changed.
    """
    edits = [_edit(atom) for atom in atoms]
    if not edits:
        return None
    flat = np.concatenate([_positions(indices, geometry, shape) for indices, _, _ in edits])
    old = np.concatenate([old for _, old, _ in edits])
    new = np.concatenate([new for _, _, new in edits])
    pixels, first = np.unique(flat, return_index=True)
    _, last = np.unique(flat[::-1], return_index=True)
    before, after = old[first], new[flat.size - 1 - last]
    differ = before != after
    return _step(pixels[differ], before[differ], after[differ], int(shape[1]) * int(shape[2]))


def _step(
    pixels: NDArray[np.intp],
    before: NDArray[np.uint16],
    after: NDArray[np.uint16],
    plane_size: int,
) -> Step | None:
    indices, starts = np.unique(pixels // plane_size, return_index=True)
    ends = [*starts[1:], pixels.size]
    parts = tuple(
        PaintStep(int(index), pixels[a:b] % plane_size, before[a:b], after[a:b], what=STROKE)
        for index, a, b in zip(indices, starts, ends, strict=True)
    )
    if len(parts) < 2:
        return parts[0] if parts else None
    return PaintSteps(parts[0].index, parts, STROKE)


def _edit(atom: Any) -> tuple[tuple[Any, ...], NDArray[np.uint16], NDArray[np.uint16]]:
    """Positions along the layer's axes, values before and values after, one for each pixel."""
    if not hasattr(atom, "slice_key"):
        indices, old, new = atom
        old = np.asarray(old).ravel().astype(np.uint16)
        return indices, old, np.broadcast_to(np.asarray(new).ravel(), old.shape).astype(np.uint16)
    mask = np.ones(atom.old_values.shape, np.bool_) if atom.mask is None else atom.mask
    indices = tuple(
        place + (part.start or 0)
        for place, part in zip(np.nonzero(mask), atom.slice_key, strict=True)
    )
    old = np.asarray(atom.old_values).ravel().astype(np.uint16)
    return indices, old, np.full(old.shape, atom.new_value, np.uint16)


def _positions(
    indices: tuple[Any, ...], geometry: StackGeometry, shape: Sequence[int]
) -> NDArray[np.intp]:
    """Flat positions in the stack of positions along the layer's axes."""
    rows, columns = (np.asarray(indices[axis]).ravel() for axis in geometry.plane_axes)
    planes = np.zeros_like(rows)
    if geometry.ndim > 2:
        planes = np.asarray(indices[geometry.slice_axis]).ravel()
    flat: NDArray[np.intp] = np.ravel_multi_index((planes, rows, columns), tuple(shape))
    return flat
