"""The threads of zarr are there before they are needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


SAVED = """
import sys, threading
from pathlib import Path
import numpy as np
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_state import SessionState
from napari_salt.io.zarr_threads import start_threads
from napari_salt.records import StackInfo
start_threads()
def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")
threading.Thread.start = refuse  # as Python 3.12 does when it ends
state = SessionState(StackInfo((3, 64, 64)), "abc")
for name in map(str, range(20)):
    folder = SessionFolder.create(Path(sys.argv[1], name), state)
    folder.save(state, {0: np.ones((64, 64), np.uint16), 2: np.ones((64, 64), np.uint16)})
    folder.close()
"""
HURRIED = """
from napari_salt.io import zarr_threads
zarr_threads.start_threads()
names = [one.name for one in zarr_threads.threading.enumerate()]
print(sum(not name.startswith(("Main", "zarr_io")) for name in names), zarr_threads._count())
"""


def test_saving_starts_no_thread_after_it(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SAVED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(list(tmp_path.glob("*/session.json"))) == 20


@pytest.mark.parametrize("most", ["", "3"])
def test_all_that_saving_needs_are_there_however_fast_they_are(most):
    """Those that were done before the next chunk came used to be the only ones."""
    environment = os.environ | ({"ZARR_THREADING__MAX_WORKERS": most} if most else {})
    run = subprocess.run(
        [sys.executable, "-c", HURRIED], capture_output=True, text=True, check=True, env=environment
    )
    started, wanted = map(int, run.stdout.split())
    assert started == wanted
    assert wanted == 3 if most else wanted >= 5
