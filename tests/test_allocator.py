"""Freed memory stays in the process, whatever thresholds it was started with."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys

import pytest

from napari_salt import allocator

FAULTS = """
import resource, threading
import numpy as np
from napari_salt.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        for megabytes in (1, 4, 12):
            np.ones(megabytes * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
assert keep_freed_memory()
faults()
told = [before, faults()]
thread = threading.Thread(target=lambda: (faults(), told.append(faults())))
thread.start()
thread.join()
print(*told)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@glibc
def test_blocks_are_kept_where_a_scheduler_has_set_that_they_go_back():
    # numpy would ask for huge pages for the larger blocks, and how many it gets is chance
    paged = {"MALLOC_TRIM_THRESHOLD_": "65536", "NUMPY_MADVISE_HUGEPAGE": "0"}
    env = {**os.environ, **paged}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=env, capture_output=True, text=True, check=True
    )
    before, after, in_a_thread = map(int, done.stdout.split())
    assert before > 20 * 2**20 / mmap.PAGESIZE / 2, "or nothing would be shown"
    assert after < before / 20
    assert in_a_thread < before / 20


@pytest.mark.parametrize("problem", [AttributeError, OSError])
def test_another_c_library_is_left_alone(monkeypatch, problem):
    def none(name):
        raise problem

    monkeypatch.setattr(allocator.ctypes, "CDLL", none)
    assert not allocator.keep_freed_memory()


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "win32")
    assert not allocator.keep_freed_memory()
