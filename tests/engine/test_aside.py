"""A function in a process of its own: its answer, its errors, and its end."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time

import numpy as np
import pytest

from napari_salt.engine.aside import run_aside
from napari_salt.errors import InputError, JobFailed, JobStopped
from napari_salt.scratch import PREFIX, Scratch, scratch


def doubled(array: np.ndarray) -> tuple[int, bool, Scratch]:
    answer = scratch(array.shape, array.dtype)
    answer[...] = array * 2
    return os.getpid(), "torch" in sys.modules, answer


def refuse() -> None:
    raise InputError("Choose another one.")


def fail() -> None:
    raise ZeroDivisionError("of all things")


def run_out() -> None:
    raise MemoryError


def die() -> None:
    os.abort()


def sleep_on_it(array: np.ndarray) -> None:
    kept = scratch((100,), np.uint8)
    time.sleep(600)
    del kept


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Temporary files of this test, here and in the process."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def files(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(PREFIX)]


def test_large_arrays_go_there_and_back_by_their_files(folder):
    array = scratch((30, 40), np.uint16)
    array[...] = 21
    pid, torch, answer = run_aside(doubled, array)
    assert pid != os.getpid()
    assert not torch
    assert isinstance(answer, Scratch)
    assert (answer == 42).all()
    assert files(folder) == []


@pytest.mark.parametrize(
    ("work", "kind", "sentence"),
    [
        (refuse, InputError, "Choose another one."),
        (fail, JobFailed, "ZeroDivisionError: of all things."),
        (run_out, JobFailed, "The computer ran out of memory."),
        (die, JobFailed, r"The process ended unexpectedly \(out of memory\?\)."),
    ],
)
def test_an_error_is_raised_here(folder, work, kind, sentence):
    with pytest.raises(kind, match=sentence):
        run_aside(work)


def test_stop_ends_it_at_once_and_leaves_nothing(folder):
    begun = threading.Event()

    def stopped() -> bool:
        if len(files(folder)) > 0 and any(str(os.getpid()) not in name for name in files(folder)):
            begun.set()
        return begun.is_set()

    with pytest.raises(JobStopped):
        run_aside(sleep_on_it, scratch((30, 40), np.uint16), stopped=stopped)
    assert begun.is_set()
    assert files(folder) == []


def test_stop_before_it_has_begun_leaves_nothing(folder):
    with pytest.raises(JobStopped):
        run_aside(sleep_on_it, scratch((30, 40), np.uint16), stopped=lambda: True)
    assert files(folder) == []
