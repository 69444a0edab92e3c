"""Files whose parser may take the viewer with it are tried first, in a process that nobody misses.

Worth its half second where C code that no one made for hostile files follows the file's own pointers or unpacks its
pixels:

- HDF5: its library walks heaps, trees and types of the file, has crashed on damaged ones (the fuzzer found one), and
  can be sent in circles.
- TIFF in LZW, JPEG and all that imagecodecs unpacks besides: some forty libraries, most of them made for well-meant
  files, and loops of its own.
- DICOM with compressed pixels (JPEG, JPEG-LS, JPEG 2000, run lengths): whatever decoders are installed beside pydicom.

Not worth it elsewhere: the headers of TIFF, DICOM, NIfTI, npy and zarr are read by Python code, which raises errors
instead of crashing, and is fuzzed here; pixels of PNG and JPEG go through Pillow's libraries, those of TIFF in Deflate
and Zstandard and those of zarr through zlib, zstd and blosc, which others fuzz day and night.

The child (`probe_child`) opens the file as the viewer would and reads the first and the middle plane, of a folder of
images the first and the middle one, of a DICOM series those two files. What the library does with others is not known
then: structure is looked through once, pixels are sampled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_salt.errors import InputError

SECONDS = 10.0
"""How long a file may take, opening it and reading two planes."""
START_SECONDS = 60.0
"""How long the child may take to start, on a machine that is busy with other things."""
READY = "ready"
"""The child says this when it starts on the file; what happens before is not the file's fault."""
HUNG, MEMORY = 1, 3
"""Exit codes of the child; 1 is what ``faulthandler`` ends it with."""

_passed: dict[tuple[Any, ...], tuple[int, int]] = {}
"""What has passed in this process: size and time of change of the file, by how it was opened."""
_expendable = False


def be_expendable() -> None:
    """Say that this process may die of a file: from now on nothing is tried elsewhere first."""
    global _expendable
    _expendable = True


def check_survives(opener: Callable[..., Any], path: Path, *rest: str | int | None) -> None:
    """Refuse a file that kills, hangs or floods a child process in which ``opener(path, *rest)`` opens it.

    A file that has passed and has kept its size and its time of change is not tried again by this process. Where no
    child can be started, as in an application frozen into one file, nothing is tried.

    Parameters
    ----------
    opener
        A function of a module, that returns what has ``stack()``. Errors that it raises are left to the caller, who
        opens the file again.

    Raises
    ------
    InputError
        The child did not survive; the sentence says how.
    """
    if _expendable or getattr(sys, "frozen", False) or not sys.executable:
        return
    name, place = f"{opener.__module__}:{opener.__name__}", path.absolute()
    try:
        state = place.stat()
    except OSError:
        return  # the opener has a sentence for it
    key, now = (name, place, *rest), (state.st_size, state.st_mtime_ns)
    if _passed.get(key) == now:
        return
    _refuse(path.name, _fate(name, place, rest))
    _passed[key] = now


def _fate(opener: str, path: Path, rest: tuple[str | int | None, ...]) -> int:
    """Exit code of the child; 0 where it could not be started."""
    # -P: nothing is imported from the folder that happens to be the current one.
    command = [sys.executable, "-P", "-m", "napari_salt.io.probe_child"]
    request = json.dumps([opener, str(path), rest, SECONDS])
    try:
        # The command is ours, and what the file is called goes in as one argument, not through a shell.
        run = subprocess.run(  # noqa: S603
            [*command, request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=START_SECONDS + SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return HUNG if READY.encode() in (late.stdout or b"") else 0
    except OSError:
        return 0
    return run.returncode if READY.encode() in run.stdout else 0


def _refuse(name: str, code: int) -> None:
    """``InputError`` for a child that did not end well."""
    if code == 0:
        return
    if code == HUNG:
        raise InputError(
            f"{name} could not be read within {SECONDS:g} seconds, so it was not opened; copy it to a disk of this "
            "computer, or save it again in smaller chunks."
        )
    if code == MEMORY:
        raise InputError(
            f"{name} asks for more memory than is free, so it was not opened; close other programs, or check whether "
            "the file is damaged."
        )
    raise InputError(
        f"{name} makes the library that reads it crash, as a trial in another process has shown, so it was not opened; "
        "it is damaged or made to do harm, so get it again from where you trust it."
    )
