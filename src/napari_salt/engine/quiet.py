"""Settings that keep other libraries from talking over our own reports."""

from __future__ import annotations

import logging
import os
import threading

_SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_libraries() -> None:
    """Turn progress bars and talk of libraries off, where the user has not said otherwise.

    To be called before these libraries are imported.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # A logger without any handler writes to standard error.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


def keep_bars_in_this_process() -> None:
    """Give tqdm a lock of this process alone.

    By default it makes one for many processes, which a killed process leaves behind: Python would
    complain of it in the user's terminal when the viewer ends.
    """
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return
    tqdm.set_lock(threading.RLock())
