"""A long stack takes no more memory than a short one, from its slices to the written files."""

from __future__ import annotations

from pathlib import Path

import pytest

import memory
from memory import Pair

SIDE, SHORT, LONG = 64, 100, 4_000


@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="reads the memory of the process the Linux way"
)
def test_memory_is_flat_through_store_and_files():
    """Reading, the store on disk and the writers; a threshold stands in for the network, which other tests cover."""
    pair = memory.measured(SIDE, (SHORT, LONG))
    kept = (LONG - SHORT) * SIDE**2 * 3
    assert kept > 30e6, "masks and uncertainty that a leak would keep must show"
    assert pair.peaks[1] - pair.peaks[0] < kept / 5


def test_the_section_says_whether_memory_is_flat():
    flat = Pair(32, (100, 10_000), (200_000_000, 210_000_000), 60.0)
    assert flat.cells()[2:4] == ["200 / 210", "1.050"]
    assert "Memory is flat" in memory.section([flat])
    grown = Pair(32, (100, 10_000), (200_000_000, 290_000_000), 60.0)
    assert "Memory grows" in memory.section([flat, grown])
