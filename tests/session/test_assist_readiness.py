"""When a box can be drawn, and why not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.session.assist_readiness import assist_action
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack


@pytest.mark.parametrize(
    ("labels", "selected", "index", "flat", "word"),
    [
        ((), None, 0, True, "Add a label"),
        (("cell",), None, 0, True, "Choose a label"),
        (("cell",), 1, None, True, "Go back"),
        (("cell",), 1, 0, False, "2-D, or roll its axes"),
        (("cell",), 1, 0, True, ""),
    ],
)
def test_reasons(labels, selected, index, flat, word):
    session = Session(Stack(np.zeros((3, 4, 5), np.uint8)))
    for name in labels:
        session.labels.add(name)
    action = assist_action(session, selected, index, flat=flat)
    assert action.enabled == (not word)
    assert word in action.why_not


def test_no_image():
    assert assist_action(None, None, None, flat=True).why_not.startswith("Open")
