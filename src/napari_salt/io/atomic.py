"""Write a file or a folder so that either all of it is there, or what was there before."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_salt.errors import OutputError
from napari_salt.faults import FULL, advice


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``, and rename it to ``path`` when all went well.

    The temporary file keeps the suffix, reaches the disk before it is renamed, as the new name does
    after that, and is removed when anything fails; a link is followed.

    Raises
    ------
    OutputError
        When the system refuses (disk full, no folder, no permission); ``path`` is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{target} is a folder; add a file name.")
    check_ordinary(target)
    _check_parent(target)
    part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        yield part
        reach_disk(part)
        os.replace(part, target)
        reach_disk(target.parent)
    except OSError as error:
        raise OutputError(refusal(error, target)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As ``atomic_write``, of a whole folder: give a new, empty one, which takes the place of ``path`` in the end.

    A folder that was there is put aside first and removed last; ask before, since all in it goes.

    Raises
    ------
    OutputError
        When the system refuses (disk full, no folder, no permission); ``path`` is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.is_file():
        raise OutputError(f"{target} is a file; choose another name for the folder.")
    check_ordinary(target)
    _check_parent(target)
    mark = secrets.token_hex(4)
    part = target.with_name(f".{target.name}.{mark}.part")
    aside = target.with_name(f".{target.name}.{mark}.old")
    try:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                reach_disk(file)
        _swap(part, target, aside)
        reach_disk(target.parent)
    except OSError as error:
        raise OutputError(refusal(error, target)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def check_ordinary(path: Path) -> None:
    """``OutputError`` for a device, a pipe or the like, whose place no file and no folder should take."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OutputError(f"{path} is no ordinary file; give the result a name of its own.")


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise OutputError(
            f"The folder {target.parent} does not exist; create it or choose another."
        )


def _swap(part: Path, target: Path, aside: Path) -> None:
    """Put ``part`` where ``target`` is; what was there goes back when that fails."""
    if target.exists():
        os.replace(target, aside)
    try:
        os.replace(part, target)
    except OSError:
        if aside.exists():
            os.replace(aside, target)
        raise


def reach_disk(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk; where folders cannot do that, nothing."""
    if path.is_dir():
        with suppress(OSError):  # not on Windows, nor on every network drive
            _sync(path)
    else:
        _sync(path)


def _sync(path: Path) -> None:
    # not opened for writing: what somebody else has written is waited for as well
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refusal(error: OSError, target: Path) -> str:
    """A sentence for what the system said when ``target`` was to be written."""
    helps = advice(error)
    if helps == FULL:
        return f"The disk is full, so {target.name} was not written; free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY):
        return (
            f"{target} cannot be written (no permission, or open in another program); "
            "choose another place."
        )
    return f"{target} could not be written ({error.strerror or error}); {helps or 'choose another place'}."
