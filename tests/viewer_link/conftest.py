"""A viewer without a window, and the link to it."""

from __future__ import annotations

import pytest
from napari.components import ViewerModel

from napari_salt.viewer_link import ViewerLink


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def link(viewer):
    link = ViewerLink(viewer)
    yield link
    link.close()
