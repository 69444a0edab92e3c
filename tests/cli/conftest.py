"""A small stack on disk with a label image beside it, and the command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

LIGHT = (
    "import sys; from napari_salt.cli import main; code = main(sys.argv[1:]);"
    "sys.exit(99 if 'torch' in sys.modules else code)"
)
"""Exit code 99 tells that torch was imported."""


class Cli:
    """Runs ``napari-salt`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object, light: bool = False, timeout: float = 300):
        how = ["-c", LIGHT] if light else ["-m", "napari_salt.cli"]
        return subprocess.run(
            [sys.executable, *how, *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: object):
        """The JSON object that a command prints; it must succeed and print nothing else."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cli(tmp_path_factory):
    return Cli(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def data(cli):
    """Files of the folder: image.tif (with sizes), labels.tif, and broken company."""
    from cli_data import disks

    image, labels = disks()
    folder = cli.folder
    tifffile.imwrite(
        folder / "image.tif",
        image,
        imagej=True,
        resolution=(1 / 0.5, 1 / 0.5),
        metadata={"axes": "ZYX", "spacing": 2.0, "unit": "mm"},
    )
    tifffile.imwrite(folder / "labels.tif", labels, photometric="minisblack")
    tifffile.imwrite(folder / "empty.tif", np.zeros_like(labels))
    tifffile.imwrite(folder / "short.tif", labels[:3], photometric="minisblack")
    tifffile.imwrite(folder / "colour.tif", np.stack([image] * 3, -1), photometric="rgb")
    for name, affine in {"upright": (2, 2, 2, 1), "mirrored": (-2, 2, 2, 1)}.items():
        turned = nibabel.Nifti1Image(labels.T, np.diag(affine))
        nibabel.save(turned, folder / f"{name}.nii")
    tifffile.imwrite(folder / "blank.tif", np.full_like(image, 7), photometric="minisblack")
    (folder / "text.tif").write_text("no picture")
    (folder / "text.salt.safetensors").write_text("no adapter")
    (folder / "text.pth").write_text("no weights")
    return folder
