"""What an encoder says of a slice besides its features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model.encoder import Encoder, head_taps
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.features import Taps
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.segmenter import join_taps

pytestmark = pytest.mark.usefixtures("same_random_state")

PLANE = np.random.default_rng(0).random((16, 16), np.float32)


@pytest.fixture
def stack(planes_of):
    return planes_of(np.stack([PLANE] * 2))


def encoder_of(backbone, **options) -> Encoder:
    return Encoder(backbone, Intensity((0.0,), (1.0,)), Framing(16), **options)


@pytest.mark.parametrize(
    ("index", "count", "depth"), [(0, 3, -1.0), (1, 3, 0.0), (2, 3, 1.0), (0, 1, 0.0)]
)
def test_the_depth_of_a_slice_runs_along_the_stack(tiny_backbone, planes_of, index, count, depth):
    stack = planes_of(np.stack([PLANE] * count))
    view, frames = encoder_of(tiny_backbone()).view(stack, index, PLANE)
    assert view.depth == depth
    assert frames.shape == (1, 3, 16, 16)


def test_a_stack_may_have_no_depth(tiny_backbone, planes_of):
    stack = planes_of(np.stack([PLANE] * 3))
    assert encoder_of(tiny_backbone(), along_stack=False).view(stack, 1, PLANE)[0].depth is None


def test_the_finest_tap_is_left_out_and_the_others_keep_their_order(tiny_backbone, stack):
    backbone = tiny_backbone()
    backbone.tap_channels = {"stage0": 2, "stage1": 4, "neck": 8}
    taps: Taps = head_taps(backbone)
    assert taps == (("stage1", 4), ("neck", 8))
    *_, encoded = encoder_of(backbone).steps(stack, 0)
    tail = backbone.make_tail()
    assert list(join_taps(taps, encoded, tail)) == ["stage1", "neck"]
    assert list(join_taps(taps[::-1], encoded, tail)) == ["neck", "stage1"]


def test_the_taps_of_the_pretrained_tail_come_from_the_cache(tiny_backbone, stack, tmp_path):
    backbone, cache = tiny_backbone(), FeatureCache(tmp_path)
    calls: list[int] = []
    backbone._tail.register_forward_hook(lambda *_: calls.append(1))
    encoder = encoder_of(backbone, cache=cache, pretrained_tail=True)
    *_, new = encoder.steps(stack, 0)
    *_, found = encoder.steps(stack, 0)
    *_, bare = encoder_of(backbone, pretrained_tail=True).steps(stack, 0)
    assert len(calls) == 2  # the last one had no cache
    assert len(backbone.passes) == 2
    for one in (found, bare):
        assert torch.equal(one.tail_taps["neck"], new.tail_taps["neck"])
    assert torch.equal(new.tail_taps["neck"], new.tail_taps["neck"].half().float())


def test_a_prefix_of_an_earlier_job_serves_the_tail(tiny_backbone, stack, tmp_path):
    backbone, cache = tiny_backbone(), FeatureCache(tmp_path)
    *_, without = encoder_of(backbone, cache=cache).steps(stack, 0)
    *_, with_tail = encoder_of(backbone, cache=cache, pretrained_tail=True).steps(stack, 0)
    assert without.tail_taps == {}
    assert list(with_tail.tail_taps) == ["neck"]
    assert backbone.passes == [1]


def test_only_the_pretrained_tail_is_believed_to_give_known_taps(tiny_backbone, stack):
    backbone = tiny_backbone()
    taps = head_taps(backbone)
    *_, encoded = encoder_of(backbone, pretrained_tail=True).steps(stack, 0)
    changed = backbone.make_tail()
    with torch.no_grad():
        changed.neck.bias += 1
    known = join_taps(taps, encoded, backbone.pretrained_tail())["neck"]
    assert known is encoded.tail_taps["neck"]
    torch.testing.assert_close(
        join_taps(taps, encoded, changed)["neck"], known + 1, atol=1e-3, rtol=1e-3
    )
    bare = encoded.without_tail_taps()
    again = join_taps(taps, bare, backbone.pretrained_tail())["neck"]
    torch.testing.assert_close(again, known, atol=1e-3, rtol=1e-3)
    assert not bare.tail_taps


def test_frames_of_a_slice_keep_their_own_taps(tiny_backbone, planes_of, tmp_path):
    wide = planes_of(np.random.default_rng(1).random((2, 16, 40), np.float32))
    backbone, cache = tiny_backbone(), FeatureCache(tmp_path)
    options = {"cache": cache, "pretrained_tail": True}
    encoder = Encoder(backbone, Intensity((0.0,), (1.0,)), Framing(16, 1.0), **options)
    *_, whole = encoder.steps(wide, 0)
    count = len(whole.view.layout.origins)
    assert count > 1
    tail = backbone.make_tail()
    for number in range(count):
        frame = whole.frame(number)
        assert torch.equal(frame.tail_taps["neck"], whole.tail_taps["neck"][number : number + 1])
        expected = tail(frame.tail_input)["neck"]
        torch.testing.assert_close(frame.tail_taps["neck"], expected, atol=1e-3, rtol=1e-3)
    # half of the frames are forgotten: they alone are seen again
    for path in sorted(cache.folder.iterdir())[: count // 2 + 1]:
        path.unlink()
    *_, again = encoder.steps(wide, 0)
    assert torch.equal(again.tail_taps["neck"], whole.tail_taps["neck"])
    assert torch.equal(again.tail_input, whole.tail_input)
