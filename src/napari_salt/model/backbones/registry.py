"""Backbones by name or by checkpoint path. Torch is imported only when one is loaded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.errors import WeightsError
from napari_salt.model.weights import (
    Progress,
    WeightsFile,
    check_sha256,
    fetch,
    file_sha256,
)

if TYPE_CHECKING:
    import torch

    from napari_salt.model.backbones.base import Backbone

SERVER = "https://dl.fbaipublicfiles.com/segment_anything"


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone that can be asked for by name.

    ``sha256`` is of its checkpoint file, ``frame_size`` the side of its frame in pixels;
    ``download`` is None for weights that come with an installed package.
    """

    name: str
    title: str
    frame_size: int
    sha256: str
    download: WeightsFile | None = None


def _sam(size: str, file: str, sha256: str, nbytes: int) -> BackboneEntry:
    name = f"sam-vit-{size}"
    weights = WeightsFile(name, f"{SERVER}/{file}", sha256, nbytes)
    return BackboneEntry(name, f"SAM ViT-{size.upper()}", 1024, sha256, weights)


BACKBONES: dict[str, BackboneEntry] = {
    entry.name: entry
    for entry in (
        BackboneEntry(
            "lite-medsam",
            "LiteMedSAM",
            256,
            "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        ),
        _sam(
            "b",
            "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
        ),
        _sam(
            "l",
            "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            1_249_524_607,
        ),
        _sam(
            "h",
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
        ),
    )
}
"""Every backbone with a name, the embedded default first."""


def backbone_sha256(name_or_path: str | Path) -> str:
    """SHA-256 in hex of a backbone's checkpoint, without loading it; a known name costs nothing.

    WeightsError for an unknown name or a path that cannot be read.
    """
    entry = BACKBONES.get(str(name_or_path))
    return entry.sha256 if entry else file_sha256(_local_path(name_or_path))


def load_backbone(
    name_or_path: str | Path,
    *,
    tail_blocks: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Backbone:
    """A frozen backbone in eval mode on ``device``.

    Parameters
    ----------
    name_or_path
        A name of ``BACKBONES``, or a checkpoint of the shape of LiteMedSAM or of SAM with a ViT
        encoder (also as MedSAM and training programs wrap it).
    tail_blocks
        Trailing blocks that can be adapted; None: the backbone's default.
    progress
        Called with (bytes so far, bytes in all) while weights are downloaded.

    Raises
    ------
    WeightsError
        Unknown name; weights that are missing, cannot be downloaded, are damaged, or of another
        shape.
    """
    from napari_salt.model.backbones import lite_medsam, sam_vit
    from napari_salt.model.backbones.base import Identity
    from napari_salt.model.backbones.checkpoint import is_lite_medsam, is_sam_vit, read_state

    path = _checkpoint(name_or_path, progress)
    sha256 = file_sha256(path)
    name = _name_of(sha256) or str(name_or_path)
    state = read_state(path)
    backbone: Backbone
    if is_lite_medsam(state):
        identity = Identity(name, "lite-medsam", sha256)
        backbone = lite_medsam.LiteMedSam(identity, state, tail_blocks=tail_blocks)
    elif is_sam_vit(state):
        identity = Identity(name, sam_vit.architecture(state), sha256)
        backbone = sam_vit.SamVit(identity, state, tail_blocks=tail_blocks)
    else:
        raise WeightsError(
            f"{path} is a checkpoint of another network; give one of the shape of SAM (ViT) "
            f"or LiteMedSAM, or one of {_names()}."
        )
    return backbone.to(device)


def warm_backbone(name_or_path: str | Path, device: torch.device | str = "cpu") -> Backbone:
    """`load_backbone`, kept in memory for the next job of this process until other weights are asked for.

    It is shared: nothing may be changed in it. Its tail is copied for every adapter anyway.
    """
    return _kept(str(name_or_path), backbone_sha256(name_or_path), str(device))


@functools.lru_cache(maxsize=1)
def _kept(name: str, sha256: str, device: str) -> Backbone:
    del sha256  # part of the key: a checkpoint that changed on disk is read anew
    return load_backbone(name, device=device)


def _checkpoint(name_or_path: str | Path, progress: Progress | None) -> Path:
    entry = BACKBONES.get(str(name_or_path))
    if entry is None:
        return _local_path(name_or_path)
    if entry.download is not None:
        return fetch(entry.download, progress=progress)
    from napari_salt.model.backbones.lite_medsam import embedded_checkpoint

    path = embedded_checkpoint()
    check_sha256(path, entry.sha256, entry.name)
    return path


def _local_path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"'{name_or_path}' is neither a backbone ({_names()}) nor the path of a checkpoint; "
            "choose one of these names or give a path."
        )
    return path


def _name_of(sha256: str) -> str | None:
    # the same file by path is the same backbone: an adapter trained on it then works by name
    return next((entry.name for entry in BACKBONES.values() if entry.sha256 == sha256), None)


def _names() -> str:
    return ", ".join(BACKBONES)
