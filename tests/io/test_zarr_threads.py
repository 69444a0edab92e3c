"""The threads of zarr are there before they are needed."""

from __future__ import annotations

import subprocess
import sys

COUNTED = """
import threading
from napari_salt.io.zarr_threads import start_threads
before = threading.active_count()
start_threads()
print(threading.active_count() - before)
"""


def test_the_loop_and_some_workers_run_after_it():
    run = subprocess.run(
        [sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) >= 3
