"""Pixels are drawn from paint fairly: each once, rare labels more often, the same by the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model import drawing


def paint(seed: int = 0) -> np.ndarray:
    """40 x 50 pixels: half unlabelled, three labels of very different area."""
    targets = np.full((40, 50), -1, np.int64)
    targets[:, :25] = 0
    targets[5:15, 2:12] = 1
    targets[30, 7] = 2
    return targets


@pytest.mark.parametrize("count", [1, 5, 100, 999, 5000])
@pytest.mark.parametrize("seed", range(3))
def test_only_annotated_pixels_are_drawn_once_and_their_weights_are_the_areas(count, seed):
    targets = paint()
    rows, columns, drawn, weights = drawing.draw_pixels(targets, count, np.random.default_rng(seed))
    assert len(rows) == len(columns) == len(drawn) == len(weights)
    assert min(count, 1000) <= len(rows) <= min(count, 1000) + 2
    assert np.array_equal(targets[rows, columns], drawn)
    assert drawn.min() >= 0
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    for label in (0, 1, 2):
        area = np.count_nonzero(targets == label)
        assert float(weights[drawn == label].sum()) == pytest.approx(area, rel=1e-5)


def test_every_painted_label_is_drawn_however_few_its_pixels():
    targets = np.zeros((100, 100), np.int64)
    targets[:, 50:] = 1
    targets[0, 0] = 2
    for seed in range(20):
        _, _, drawn, _ = drawing.draw_pixels(targets, 10, np.random.default_rng(seed))
        assert set(drawn.tolist()) == {0, 1, 2}


def test_rare_labels_are_drawn_by_the_inverse_root_of_their_area():
    targets = np.zeros((100, 100), np.int64)
    targets[:1] = 1  # 100 of 10,000
    counts = np.zeros(2)
    for seed in range(20):
        _, _, drawn, _ = drawing.draw_pixels(targets, 100, np.random.default_rng(seed))
        counts += np.bincount(drawn, minlength=2)
    # √100 against √9900, so about one in eleven (a little less, drawn without replacement)
    assert 0.075 < counts[1] / counts.sum() < 0.1


def test_drawing_depends_on_the_seed_alone():
    first, again, other = (
        drawing.draw_pixels(paint(), 100, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
