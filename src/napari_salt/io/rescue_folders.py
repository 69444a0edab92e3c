"""Where work goes when its own folder refuses it: the next best places, for nobody but the user."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from napari_salt.errors import OutputError

FOLDER_VARIABLE = "NAPARI_SALT_RESCUE"
_NAME = "napari-salt-rescue"


def rescue_folders() -> tuple[Path, ...]:
    """The places, best first; only the one that ``$NAPARI_SALT_RESCUE`` names, where it is set."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return (Path(chosen),)
    # The folder for temporary files is everybody's, and a name in it is anybody's to take.
    who = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return (
        user_data_path("napari-salt") / "rescue",
        user_cache_path("napari-salt") / "rescue",
        Path(tempfile.gettempdir()) / f"{_NAME}{who}",
    )


def make_own(folder: Path) -> None:
    """Make a rescue folder where there is none; ``OutputError`` where it cannot be made, or is not the user's own."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror or error}).") from error
    if not is_own(folder):
        raise OutputError(f"{folder} belongs to somebody else.")


def is_own(folder: Path) -> bool:
    """Whether a folder is one, and nobody but the user can put anything into it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True  # elsewhere each user has folders of his own for all of these
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def may_be_emptied(folder: Path) -> bool:
    """Whether a folder lies where files are only for a while."""
    return folder.is_relative_to(tempfile.gettempdir())
