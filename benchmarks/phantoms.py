"""Stacks drawn by rule: a CT-like body with organs and small lesions, and a tree of thin vessels in clutter.

Their references are exact, they need no package, and no tuning set looks like them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Raw = tuple[NDArray[np.unsignedinteger], NDArray[np.uint8], dict[int, str], str]
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Volume:
    """Gaussian noise of this correlation length (voxels), mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


class Body:
    """A volume of HU values, into which organs with wavy surfaces are drawn one after the other."""

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        axes = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
        self.z, self.y, self.x = np.meshgrid(*axes, indexing="ij", sparse=True)
        self.wave = smooth_noise(self.rng, shape, 10)
        self.hu = np.full(shape, -1000, np.float32)
        self.labels = np.zeros(shape, np.uint8)

    def ellipsoid(
        self, centre: tuple[float, float, float], radii: tuple[float, float, float], wavy: float
    ) -> Mask:
        """Inside of an ellipsoid in (z, y, x) of -1..1 whose surface waves by this part of its radius."""
        (cz, cy, cx), (rz, ry, rx) = centre, radii
        r2 = ((self.z - cz) / rz) ** 2 + ((self.y - cy) / ry) ** 2 + ((self.x - cx) / rx) ** 2
        return np.sqrt(r2) + wavy * self.wave < 1

    def tube(self, y: Volume, x: Volume, radius: float) -> Mask:
        """A tube along the slices, its centre given for each slice as ``(N, 1, 1)``."""
        return (self.y - y) ** 2 + (self.x - x) ** 2 < radius**2

    def draw(self, mask: Mask, hu: float, label: int = 0) -> None:
        """Fill a mask with one tissue; later organs hide earlier ones."""
        self.hu[mask] = hu
        self.labels[mask] = label


def phantom_ct(seed: int = 0, shape: tuple[int, int, int] = (80, 224, 256)) -> Raw:
    """An abdomen: five organs whose HU overlap, small lesions in the liver, and unlabelled clutter."""
    body = Body(shape, seed)
    rng, z = body.rng, body.z
    body.draw(body.ellipsoid((0, 0, 0), (9, 0.80, 0.92), 0.02), -95)
    body.draw(body.ellipsoid((0, 0.02, 0), (9, 0.70, 0.82), 0.02), 55)
    body.draw(body.ellipsoid((0, -0.03, 0), (9, 0.60, 0.74), 0.03), -85)
    body.draw(body.tube(0.52 + 0 * z, 0 * z, 0.12), 320)
    body.draw(body.tube(0.60 + 0 * z, 0 * z, 0.05), 25)
    for _ in range(14):  # bowel: the brightness of organs, without a label
        centre = (rng.uniform(-1, 1), rng.uniform(-0.45, 0.0), rng.uniform(-0.25, 0.45))
        body.draw(body.ellipsoid(centre, (0.25, 0.09, 0.11), 0.2), rng.uniform(40, 115))
    liver = body.ellipsoid((-0.15, -0.12, -0.36), (0.95, 0.38, 0.30), 0.10)
    body.draw(liver, 108, 1)
    body.draw(body.ellipsoid((-0.35, 0.15, 0.50), (0.55, 0.24, 0.13), 0.10), 118, 2)
    for side in (-1, 1):
        kidney = body.ellipsoid((0.25, 0.30, side * 0.33), (0.60, 0.16, 0.11), 0.06)
        body.draw(kidney, 145, 3)
        body.draw(body.ellipsoid((0.25, 0.30, side * 0.30), (0.40, 0.08, 0.05), 0.06), -20)
    body.draw(body.tube(0.33 + 0.03 * z, 0.06 * np.sin(2 * z), 0.055), 160, 4)
    body.draw(body.tube(0.28 - 0.02 * z, -0.13 + 0.03 * z, 0.055), 140)  # the vein beside it
    inner = np.argwhere(ndimage.binary_erosion(liver & (body.labels == 1), iterations=8))
    grid = np.indices(shape, dtype=np.float32)
    for centre in inner[rng.choice(len(inner), 18, replace=False)]:
        distance = np.sqrt(sum((grid[axis] - centre[axis]) ** 2 for axis in range(3)))
        lesion = (distance < rng.uniform(3, 8)) & (body.labels == 1)
        body.draw(lesion, rng.uniform(60, 80), 5)
    hu = ndimage.gaussian_filter(body.hu, (0.4, 0.8, 0.8)) + 6 * smooth_noise(rng, shape, 4)
    hu += 14 * smooth_noise(rng, shape, 0.7)
    names = {1: "liver", 2: "spleen", 3: "kidney", 4: "aorta", 5: "liver lesion"}
    image = np.clip(hu + 1024, 0, 4095).astype(np.uint16)
    return image, body.labels, names, "drawn CT-like abdomen, 12 bits, exact reference"


def vessels(seed: int = 0, shape: tuple[int, int, int] = (80, 224, 224)) -> Raw:
    """A branching tree of thin bright tubes among blobs and sheets of the same brightness."""
    rng = np.random.default_rng(seed)
    tree = np.zeros(shape, bool)
    for _ in range(7):
        start = rng.uniform(0.1, 0.9, 3) * shape
        _grow(rng, tree, start, _unit(rng.standard_normal(3)), rng.uniform(3, 5), depth=0)
    clutter = smooth_noise(rng, shape, 3) > 2.6
    sheet = np.abs(smooth_noise(rng, shape, 25)) < 0.012
    value = 40 + 12 * smooth_noise(rng, shape, 20)
    value[sheet] += 45
    value[clutter & ~tree] += 70
    value[tree] += 60 + 15 * smooth_noise(rng, shape, 12)[tree]
    value = ndimage.gaussian_filter(value, (0.5, 0.9, 0.9))
    noisy = rng.poisson(np.clip(value, 1, None) * 1.5) / 1.5 + rng.normal(0, 6, shape)
    image = np.clip(noisy, 0, 255).astype(np.uint8)
    return image, tree.astype(np.uint8), {1: "vessel"}, "drawn vessel tree in clutter"


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def _grow(
    rng: np.random.Generator,
    tree: Mask,
    at: NDArray[np.float64],
    heading: NDArray[np.float64],
    radius: float,
    depth: int,
) -> None:
    """Draw one branch as a row of balls into ``tree``, and its daughters."""
    for _ in range(int(rng.uniform(25, 60))):
        heading = _unit(heading + 0.15 * rng.standard_normal(3))
        at = at + heading
        if np.any(at < 0) or np.any(at >= tree.shape):
            return
        _ball(tree, at, radius)
    if depth == 4:
        return
    for _ in range(2):
        turned = _unit(heading + 0.8 * rng.standard_normal(3))
        _grow(rng, tree, at, turned, max(1.0, radius * rng.uniform(0.6, 0.9)), depth + 1)


def _ball(tree: Mask, at: NDArray[np.float64], radius: float) -> None:
    low = np.maximum(np.floor(at - radius).astype(int), 0)
    high = np.minimum(np.ceil(at + radius).astype(int) + 1, tree.shape)
    grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    inside = sum((g - c) ** 2 for g, c in zip(grid, at, strict=True)) <= radius**2
    tree[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= inside
