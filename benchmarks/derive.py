"""Harder tasks made from the data sets: scribbles, a worse microscope, the next stack, and another subject.

Every random choice comes from a seed, so that all methods meet the same images and the same paint.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import route_through_array

if TYPE_CHECKING:
    from data import Dataset

SCRIBBLED = 0.05
"""Part of a slice that scribbles may cover."""

SUBJECT_GAP = 6
"""Slices left out between the half that is painted and the half that is tested."""


def scribble(
    targets: NDArray[np.uint16], rng: np.random.Generator, part: float = SCRIBBLED
) -> NDArray[np.uint16]:
    """Strokes along the middles of the regions of complete ``targets`` ``(Y, X)``, 0 elsewhere.

    Every id gets a share of the allowed pixels that grows with the root of its area, as a person would
    give; a stroke runs between two points of one connected piece, three pixels wide.
    """
    ids, areas = np.unique(targets, return_counts=True)
    shares = np.sqrt(areas) / np.sqrt(areas).sum() * part * targets.size
    paint = np.zeros_like(targets)
    for value, share in zip(ids, shares, strict=True):
        region = targets == value
        pieces, count = ndimage.label(region)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        done = np.zeros_like(region)
        for _ in range(20):
            piece = 1 + rng.choice(count, p=sizes / sizes.sum())
            stroke = _stroke(pieces == piece, rng) & region & ~done
            left = int(share) - int(done.sum())
            done |= _first(stroke, left)
            if done.sum() >= int(share):
                break
        paint[done] = value
    return paint


def _stroke(region: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """One brush stroke through a connected region ``(Y, X)``, away from its rim."""
    box = ndimage.find_objects(region.astype(np.uint8))[0]
    inside = np.pad(region[box], 1)
    depth = ndimage.distance_transform_edt(inside)
    points = np.argwhere(depth >= min(2.0, depth.max()))
    start, end = points[rng.integers(len(points), size=2)]
    cost = np.where(inside, 1 / np.maximum(depth, 0.5), 1e6)
    path, _ = route_through_array(cost, start, end)
    line = np.zeros_like(inside)
    line[tuple(np.array(path[:60]).T)] = True
    line = ndimage.binary_dilation(line) & inside
    stroke = np.zeros_like(region)
    stroke[box] = line[1:-1, 1:-1]
    return stroke


def _first(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """At most the first ``count`` pixels of a mask."""
    kept = np.zeros_like(mask)
    kept.flat[np.flatnonzero(mask)[: max(count, 0)]] = True
    return kept


def degrade(dataset: Dataset, seed: int) -> Dataset:
    """The stack as a worse instrument gives it: half the pixels, noise, and another contrast."""
    rng = np.random.default_rng([23, seed % 97])
    images = dataset.images[:, : 2 * (dataset.images.shape[1] // 2)]
    images = images[:, :, : 2 * (images.shape[2] // 2)].astype(np.float32)
    quarters = [images[:, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    half = sum(quarters) / 4
    low, high = np.percentile(half, [0.5, 99.5])
    unit = np.clip((half - low) / (high - low), 0, 1) ** 0.6
    unit = 0.1 + 0.6 * unit + 0.04 * rng.standard_normal(unit.shape, np.float32)
    labels = dataset.labels[:, : images.shape[1] : 2, : images.shape[2] : 2]
    return replace(dataset, images=_as_type(unit, dataset.images.dtype), labels=labels)


def halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The first and the second half of a stack, with a gap; the two pairs of four tiles."""
    middle = len(dataset.images) // 2
    gap = 0 if dataset.tiles else SUBJECT_GAP // 2
    first, second = slice(0, middle - gap), slice(middle + gap, None)
    return _part(dataset, first), _part(dataset, second)


def another_subject(dataset: Dataset, seed: int) -> Dataset:
    """The stack after a random affine and elastic change of shape and a change of contrast."""
    rng = np.random.default_rng([37, seed % 97])
    coordinates = _moved_grid(dataset.labels.shape, rng, flat=dataset.tiles)
    channels = np.atleast_1d(np.arange(dataset.images.shape[3])) if dataset.rgb else [None]
    moved = []
    for channel in channels:
        image = dataset.images if channel is None else dataset.images[..., channel]
        moved.append(
            ndimage.map_coordinates(image.astype(np.float32), coordinates, order=1, mode="nearest")
        )
    labels = ndimage.map_coordinates(dataset.labels, coordinates, order=0, mode="constant")
    images = np.stack(moved, -1) if dataset.rgb else moved[0]
    low, high = np.percentile(images, [0.5, 99.5])
    unit = np.clip((images - low) / (high - low), 0, 1)
    gamma = rng.uniform(0.65, 0.8) if rng.random() < 0.5 else rng.uniform(1.25, 1.5)
    bias = _smooth(rng, dataset.labels.shape, 40, flat=dataset.tiles) * 0.08
    unit = unit**gamma * (1 + (bias[..., None] if dataset.rgb else bias))
    unit = unit + 0.015 * rng.standard_normal(unit.shape, np.float32)
    return replace(dataset, images=_as_type(unit, dataset.images.dtype), labels=labels)


def _moved_grid(
    shape: tuple[int, ...], rng: np.random.Generator, flat: bool
) -> NDArray[np.float32]:
    """Where each voxel of the new subject comes from: ``(3, N, Y, X)``; ``flat`` keeps to the plane."""
    angles = rng.uniform(-8, 8, 3) * np.pi / 180
    scales = rng.uniform(0.92, 1.08, 3)
    if flat:
        angles[1:], scales[0] = 0, 1
    matrix = np.diag(scales)
    for angle, (a, b) in zip(angles, ((1, 2), (0, 1), (0, 2)), strict=True):
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        )  # fmt: skip
        matrix = turn @ matrix
    grid = np.indices(shape, dtype=np.float32)
    centre = (np.array(shape, np.float32) - 1).reshape(3, 1, 1, 1) / 2
    moved = np.tensordot(matrix.astype(np.float32), grid - centre, 1) + centre
    for axis in range(1 if flat else 0, 3):
        moved[axis] += 3 * _smooth(rng, shape, 16, flat)
    return moved


def _smooth(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: float, flat: bool
) -> NDArray[np.float32]:
    """Smooth noise of standard deviation 1."""
    widths = (0 if flat else sigma / 2, sigma, sigma)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), widths)
    return noise / noise.std()


def _as_type(unit: NDArray[np.float32], dtype: np.dtype) -> NDArray[np.unsignedinteger]:
    """Intensities 0..1 over the range of an unsigned type (12 bits of a wider one)."""
    top = 255 if dtype == np.uint8 else 4095
    return np.clip(np.round(unit * top), 0, top).astype(dtype)


def _part(dataset: Dataset, which: slice) -> Dataset:
    return replace(dataset, images=dataset.images[which], labels=dataset.labels[which])
