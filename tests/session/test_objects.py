"""Objects of a mask: pieces, and pieces cut where they narrow."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.session.objects import components, split, watershed


def discs(*middles, shape=(40, 60), radius=10.0, spacing=(1.0, 1.0)):
    """A mask of discs or balls; middles and radius in the unit of the spacing."""
    grid = np.indices(shape).reshape(len(shape), -1).T * spacing
    mask = np.zeros(len(grid), bool)
    for middle in middles:
        mask |= ((grid - middle) ** 2).sum(1) <= radius**2
    return mask.reshape(shape)


def test_corners_connect():
    mask = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], bool)
    assert components(mask).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [2, 2, 0]]
    assert components(np.stack([mask, mask])).max() == 2


def test_touching_discs_are_one_piece_and_two_objects():
    mask = discs((20, 20), (20, 37))
    assert components(mask).max() == 1
    found = watershed(mask, (1, 1))
    assert found.max() == 2
    assert (found > 0).sum() == mask.sum()
    assert found[20, 15] != found[20, 42]
    left, right = np.bincount(found.ravel())[1:]
    assert abs(left - right) < 0.05 * mask.sum()


@pytest.mark.parametrize("radius", [2.0, 4.0, 9.3, 15.0])
def test_one_disc_stays_one(radius):
    assert watershed(discs((20, 30), radius=radius), (1, 1)).max() == 1


def test_a_long_rectangle_is_not_cut():
    mask = np.zeros((20, 80), bool)
    mask[5:15, 4:76] = True
    assert watershed(mask, (1, 1)).max() == 1


def test_distances_are_physical():
    """Discs that only look like discs where rows are four times as far apart as columns."""
    flat = discs((20, 20), (20, 37), shape=(10, 60), spacing=(4.0, 1.0))
    assert watershed(flat, (4, 1)).max() == 2
    assert watershed(discs((20, 30), shape=(10, 60), spacing=(4.0, 1.0)), (4, 1)).max() == 1


def test_touching_balls_in_slices_far_apart():
    spacing = (3.0, 1.0, 1.0)
    mask = discs((15, 20, 20), (15, 20, 36), shape=(11, 40, 60), spacing=spacing)
    assert components(mask).max() == 1
    assert watershed(mask, spacing).max() == 2


def test_thin_lines_and_single_pixels_are_objects_too():
    mask = np.zeros((9, 9), bool)
    mask[1, 1:8] = mask[5, 5] = True
    assert watershed(mask, (1, 1)).max() == 2
    assert (watershed(mask, (1, 1)) > 0).sum() == mask.sum()


def test_the_edge_of_the_image_is_an_edge():
    mask = discs((0, 20), (0, 37), shape=(20, 60))
    assert watershed(mask, (1, 1)).max() == 2


@pytest.mark.parametrize("how", ["components", "watershed"])
def test_nothing_and_everything(how):
    assert split(np.zeros((4, 5), bool), how, (1, 1)).max() == 0
    assert (split(np.ones((4, 5), bool), how, (1, 1)) == 1).all()
