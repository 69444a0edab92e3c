"""Masks of boxes by the embedded network's own decoder, on the sample brain and on drawn objects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_salt.errors import InputError
from napari_salt.model import assist
from napari_salt.model.assist import Assistant, Recent, Window, close_window, intensity_of
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.samples import load_mni_brain
from napari_salt.session.stack import Stack


def dice(mask, truth):
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def disks(dtype=np.uint8, scale=1, rgb=False):
    """One slice of 120 x 160 with a large and a small disk; (stack, small disk)."""
    rows, columns = np.mgrid[:120, :160]
    large = (rows - 55) ** 2 + (columns - 50) ** 2 < 35**2
    small = (rows - 80) ** 2 + (columns - 130) ** 2 < 6**2
    noise = np.random.default_rng(0).integers(0, 20, (120, 160))
    plane = ((40 + noise + 120 * (large | small)) * scale).astype(dtype)
    data = np.repeat(plane[None, ..., None], 3, -1) if rgb else plane[None]
    return Stack(data, rgb=rgb), large, small


@pytest.fixture(scope="module")
def backbone():
    return warm_backbone("lite-medsam")


def assistant_of(backbone, stack, index=0):
    return Assistant(backbone, stack.plane(index), intensity_of(stack, f"test {id(stack)}"))


def test_the_closer_look_surrounds_the_box_inside_the_slice():
    assert close_window((50, 60, 70, 90), (200, 300)) == Window(30, 45, 60)
    assert close_window((0, 0, 20, 30), (200, 300)) == Window(0, 0, 60)
    assert close_window((180, 280, 200, 300), (200, 300)) == Window(160, 260, 40)
    assert close_window((10, 10, 12, 12), (200, 300)) == Window(3, 3, assist.SMALLEST_SIDE)
    assert close_window((50, 60, 180, 90), (200, 300)) is None


@pytest.mark.parametrize("box", [(5, 5, 5.5, 40), (-20, 5, -3, 40), (500, 5, 600, 40)])
def test_a_box_without_room_is_refused(backbone, box):
    with pytest.raises(InputError, match="too small"):
        next(assistant_of(backbone, disks()[0]).masks(box))


@pytest.mark.parametrize(
    "kind", [{}, {"dtype": np.uint16, "scale": 300}, {"rgb": True}], ids=["8 bit", "16 bit", "RGB"]
)
def test_a_small_disk_is_found_and_sharper_at_the_second_look(backbone, kind):
    stack, _, small = disks(**kind)
    first, second = assistant_of(backbone, stack).masks((73, 123, 88, 138))
    assert first.shape == small.shape
    assert first.dtype == np.bool_
    assert dice(second, small) > 0.85
    assert dice(second, small) > dice(first, small) - 0.02


def test_a_large_disk_needs_one_look_and_corners_come_in_any_order(backbone):
    stack, large, _ = disks()
    (mask,) = assistant_of(backbone, stack).masks((92, 13, 18, 87))
    assert dice(mask, large) > 0.85


def test_what_was_embedded_ahead_is_not_embedded_again(backbone, monkeypatch):
    stack, _, _ = disks()
    monkeypatch.setattr(assist, "_looks", Recent(4))
    assistant_of(backbone, stack).embed()
    monkeypatch.setattr(
        type(backbone), "embedding", lambda *args: pytest.fail("the embedding was there")
    )
    assert next(assistant_of(backbone, stack).masks((18, 13, 92, 87))).any()


def test_recent_forgets_the_oldest():
    recent, made = Recent(2), []

    def get(key):
        return recent.get(key, lambda: made.append(key) or key)

    assert [get(key) for key in "abaca"] == list("abaca")
    assert made == ["a", "b", "c"]
    assert "b" not in recent


@pytest.mark.parametrize(("index", "least"), [(20, 0.9), (37, 0.78)])
def test_gray_matter_of_the_sample_in_a_slightly_wide_box(backbone, index, least):
    stack, labels, _ = load_mni_brain()
    objects, _ = ndimage.label(labels[index] == 1)
    truth = objects == 1
    rows, columns = np.nonzero(truth)
    box = (rows.min() - 1.0, columns.min() - 1.0, rows.max() + 2.0, columns.max() + 2.0)
    *_, mask = assistant_of(backbone, stack, index).masks(box)
    assert dice(mask, truth) > least
