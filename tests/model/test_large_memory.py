"""One slice of 16k × 16k pixels is adapted to and segmented in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEGABYTES = 1500
"""Above what the process holds with torch and the packages loaded; the slice alone is 256 MB, its masks another, its
uncertainty 512, and its probabilities or filters would be many gigabytes."""


@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="reads the memory of the process the Linux way"
)
def test_a_slice_of_16k_by_16k_takes_bounded_memory():
    script = Path(__file__).parent / "large_run.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["shape"] == [16384, 16384]
    assert told["wrong"] < 0.01
    assert told["areas"]["1"] == pytest.approx(16384**2 / 2, rel=0.02)
    assert told["predict"] - told["baseline"] < MEGABYTES
    assert told["largest"] < 16384**2 / 20
