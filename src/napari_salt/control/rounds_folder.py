"""Where the adapters of this run of the viewer lie until they are saved by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

ADAPTER_SUFFIX = ".salt.safetensors"


@cache
def _home() -> TemporaryDirectory[str]:
    """Made once, removed when the interpreter ends; sessions outlive the dock, so must the files."""
    parent = user_cache_path("napari-salt") / "rounds"
    parent.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(prefix="run-", dir=parent, ignore_cleanup_errors=True)


def rounds_folder() -> Path:
    """Folder of this run's adapters."""
    return Path(_home().name)
