"""Settings that keep other libraries from talking over our own reports."""

from __future__ import annotations

import os

_SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_libraries() -> None:
    """Turn progress bars and advice of libraries off, where the user has not said otherwise.

    To be called before these libraries are imported.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
