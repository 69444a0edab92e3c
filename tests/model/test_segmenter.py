"""What an encoder says of a slice besides its features."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.model.features import Taps
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.segmenter import Encoder, head_taps, join_taps

pytestmark = pytest.mark.usefixtures("same_random_state")

PLANE = np.random.default_rng(0).random((16, 16), np.float32)


def encoder_of(backbone, **options) -> Encoder:
    return Encoder(backbone, Intensity((0.0,), (1.0,)), Framing(16), **options)


@pytest.mark.parametrize(
    ("index", "count", "depth"), [(0, 3, -1.0), (1, 3, 0.0), (2, 3, 1.0), (0, 1, 0.0)]
)
def test_the_depth_of_a_slice_runs_along_the_stack(tiny_backbone, index, count, depth):
    view, frames = encoder_of(tiny_backbone()).view(PLANE, index, count)
    assert view.depth == depth
    assert frames.shape == (1, 3, 16, 16)


def test_a_stack_may_have_no_depth(tiny_backbone):
    assert encoder_of(tiny_backbone(), along_stack=False).view(PLANE, 1, 3)[0].depth is None


def test_the_finest_tap_is_left_out_and_the_others_keep_their_order(tiny_backbone):
    backbone = tiny_backbone()
    backbone.tap_channels = {"stage0": 2, "stage1": 4, "neck": 8}
    taps: Taps = head_taps(backbone)
    assert taps == (("stage1", 4), ("neck", 8))
    *_, encoded = encoder_of(backbone).steps(PLANE, 0, 2)
    tail = backbone.make_tail()
    assert list(join_taps(taps, encoded, tail)) == ["stage1", "neck"]
    assert list(join_taps(taps[::-1], encoded, tail)) == ["neck", "stage1"]
