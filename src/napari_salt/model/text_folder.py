"""Where a text model lies, and whether loading it is safe: adapter files of strangers may name any."""

from __future__ import annotations

import json
from pathlib import Path

from napari_salt.errors import WeightsError

_HUB = "sentence-transformers"
"""Whose models go by their bare names."""
_OWN = "sentence_transformers."
"""Classes outside this package would be code that came with the model."""


def text_folder(name: str) -> Path:
    """Folder of a sentence-transformers model: ``name`` itself, or a model of that name in the local cache.

    Nothing is fetched. What would run code of its own, or reads a pickle, is refused.

    Raises
    ------
    WeightsError
        There is no such model on this machine, or it is not of plain tensors.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _cached(name)
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        plain = all(str(module["type"]).startswith(_OWN) for module in modules)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        plain = False
    pickles = (
        file
        for file in folder.rglob("pytorch_model.bin")
        if not (file.parent / "model.safetensors").is_file()
    )
    if not plain or next(pickles, None) is not None:
        raise WeightsError(
            f"The text model '{name}' is not of plain tensors and sentence-transformers' own parts; save it again with "
            "sentence-transformers, or leave it out to use the embedded one."
        )
    return folder


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(name if "/" in name else f"{_HUB}/{name}", local_files_only=True)
        )
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise WeightsError(
            f"The text model '{name}' is not on this machine; give the folder of a sentence-transformers model, "
            "or leave it out to use the embedded one."
        ) from error
