from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_salt import zeros
from napari_salt.errors import InputError
from napari_salt.zeros import untouched_zeros

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux not to set memory aside")


def test_small_ones_are_ordinary_zeros():
    array = untouched_zeros((2, 3, 4), np.uint16)
    assert (array.shape, array.dtype) == ((2, 3, 4), np.uint16)
    assert array.base is None
    assert not array.any()


@linux
def test_more_than_the_memory_of_this_machine_is_given_and_can_be_written():
    (line,) = (
        x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal")
    )
    count = 2 * int(line.split()[1]) * 1024 // (512 * 512 * 2)
    array = untouched_zeros((count, 512, 512), np.uint16)
    array[count - 1, 100:200] = 7
    assert array.flags.writeable
    assert int(array[count - 1].sum()) == 7 * 100 * 512
    assert not array[count // 2].any()


@linux
def test_where_the_system_refuses_it_is_a_sentence(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    monkeypatch.setattr(zeros, "LARGE", 10)
    with pytest.raises(InputError, match=r"100000 × 512 × 512 needs 52 GB.*at a coarser level"):
        untouched_zeros((100_000, 512, 512), np.uint16)


def test_ordinary_zeros_that_are_refused_are_a_sentence(monkeypatch):
    def refuse(*args):
        raise MemoryError

    monkeypatch.setattr(np, "zeros", refuse)
    with pytest.raises(InputError, match="which this computer does not give"):
        untouched_zeros((2, 2), np.uint16)
