"""The MNI T1 brain with gray and white matter, from the files inside the nilearn package.

MNI ICBM 152 symmetric nonlinear average of 2009, version a, as converted and skull-stripped by
nilearn: 1 mm voxels, ``(x, y, z)`` towards right, anterior, superior (RAS). Gray and white matter
are probability maps of the same grid.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import MissingExtra
from napari_salt.session.stack import Stack

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""What napari takes from a sample: data, attributes of the layer, type of the layer."""

GRAY_MATTER, WHITE_MATTER = 1, 2
NAMES = {GRAY_MATTER: "gray matter", WHITE_MATTER: "white matter"}
SPACING = (1.0, 1.0, 1.0)
UNITS = ("mm", "mm", "mm")

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_HALF = 127
"""Probability one half in the maps, which are stored as 0..255."""


def load_mni_brain(*, every: int = 1) -> tuple[Stack, NDArray[np.uint8], dict[int, str]]:
    """Axial slices of the brain, from the lowest to the highest, nose up, the left side at the
    left.

    Parameters
    ----------
    every
        Take each ``every``-th slice only; the spacing along the slice axis grows with it.

    Returns
    -------
    stack
        ``(N, Y, X)`` uint8 in mm; slices without brain are cut off at both ends.
    labels
        ``(N, Y, X)`` uint8, complete: 1 gray matter, 2 white matter (probability > 0.5), 0 neither.
    names
        Names of the label ids.

    Raises
    ------
    MissingExtra
        When nilearn or its files are not installed.
    """
    volume = _axial("t1")
    inside = np.flatnonzero(volume.any(axis=(1, 2)))
    kept = slice(int(inside[0]), int(inside[-1]) + 1, every)
    labels = np.zeros_like(volume)
    labels[_axial("gm") > _HALF] = GRAY_MATTER
    labels[_axial("wm") > _HALF] = WHITE_MATTER
    spacing = (SPACING[0] * every, *SPACING[1:])
    stack = Stack(
        np.ascontiguousarray(volume[kept]),
        spacing=spacing,
        units=UNITS,
        name="MNI brain T1",
        axes="ZYX",
    )
    return stack, np.ascontiguousarray(labels[kept]), dict(NAMES)


def mni_brain_layers() -> list[LayerData]:
    """Layer data for File > Open Sample: the T1 image, and its tissues as a hidden reference."""
    stack, labels, names = load_mni_brain()
    geometry = {
        "scale": stack.info.spacing,
        "units": stack.info.units,
        "axis_labels": ("z", "y", "x"),
    }
    features = {"index": [0, *names], "name": ["none of the labels", *names.values()]}
    return [
        (stack.data, {"name": stack.info.name, **geometry}, "image"),
        (
            labels,
            {
                "name": "MNI gray and white matter (reference)",
                "visible": False,
                "features": features,
                **geometry,
            },
            "labels",
        ),
    ]


def _axial(kind: str) -> NDArray[np.uint8]:
    """One of t1, gm, wm as ``(Z, Y, X)`` uint8 with anterior at row 0."""
    import nibabel

    image = nibabel.Nifti1Image.from_filename(_folder() / _FILE.format(kind))
    volume = np.asarray(image.dataobj, dtype=np.uint8)
    return volume.transpose(2, 1, 0)[:, ::-1]


def _folder() -> Path:
    """Where nilearn keeps its files; found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("nilearn")
    places = spec.submodule_search_locations if spec is not None else None
    folder = Path(places[0], "datasets", "data") if places else Path()
    if not (folder / _FILE.format("t1")).is_file():
        raise MissingExtra("The sample brain comes with nilearn; install it: pip install nilearn.")
    return folder
