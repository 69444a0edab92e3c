"""A slice of 8k × 16k is adapted to and segmented in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROWS, COLUMNS = 8192, 16384
MEGABYTES = 1300
"""Above what the process holds with torch loaded; the text model (some 370 MB) and what is mapped of masks and
uncertainty (up to 400 MB) are counted. The probabilities of the whole slice alone would be 1 GB."""


@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="reads the memory of the process the Linux way"
)
def test_a_large_slice_takes_bounded_memory():
    script = Path(__file__).parent / "large_run.py"
    done = subprocess.run(
        [sys.executable, str(script), str(ROWS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["shape"] == [ROWS, COLUMNS]
    assert told["wrong"] < 0.01
    assert told["areas"]["1"] == pytest.approx(ROWS * COLUMNS / 2, rel=0.02)
    assert told["predict"] - told["baseline"] < MEGABYTES
    assert told["largest"] < ROWS * COLUMNS / 30
