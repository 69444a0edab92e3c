"""The helpers are an ordinary module, so that a spawned child can import them too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture
def engine():
    from napari_salt.engine.engine import Engine

    engine = Engine()
    yield engine
    engine.close()
    assert engine.pid is None
