"""The process in which `probe` tries a file: opens it, reads two planes, and ends, or is ended by it.

python -m napari_salt.io.probe_child '["module:function", "path", [more arguments], seconds]'
"""

from __future__ import annotations

import faulthandler
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_salt.io import probe
from napari_salt.regions import is_large

EDGE = 1024
"""Rows and columns of a large plane that are read."""


def main() -> int:
    """Try the file that the command line names; 0 unless it asks for too much memory."""
    name, path, rest, seconds = json.loads(sys.argv[1])
    module, _, function = name.partition(":")
    opener = getattr(import_module(module), function)
    probe.be_expendable()
    _limit_memory()
    sys.stdout.write(probe.READY)
    sys.stdout.flush()
    # A thread of its own that needs no interpreter: it ends this process also while a library has it in its grip.
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        _look(opener(Path(path), *rest))
    except Exception as error:  # noqa: BLE001
        # An error is an answer: whoever asked will get the same one, and knows what to say of it.
        return probe.MEMORY if _wanted_too_much(error) else 0
    return 0


def _look(opened: Any) -> None:
    """Read the first and the middle plane, of large ones a corner, as the rest of the program does part by part."""
    stack = opened.stack()
    part = slice(None, EDGE) if is_large(stack.info) else slice(None)
    for index in sorted({0, len(stack) // 2}):
        stack.region(index, part, part)


def _limit_memory() -> None:
    """No more than what is free now, where the system has such a limit; and no image of what crashed."""
    if sys.platform != "linux":
        return
    import resource

    import psutil

    most = psutil.Process().memory_info().vms + psutil.virtual_memory().available
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wanted_too_much(error: BaseException | None) -> bool:
    """Whether memory that was not there is what an error, or the one behind it, is about."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "memory allocation failed" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    sys.exit(main())
