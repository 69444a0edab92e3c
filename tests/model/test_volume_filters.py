"""Filters that look along the stack: what they respond to, and which slices they read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_salt.model import volume_filters as module
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.volume_filters import (
    OFFSETS,
    REACHES,
    VOLUME_FILTERS_PER_CHANNEL,
    Surroundings,
    looks_along,
    slices_around,
    volume_filters,
)
from napari_salt.records import StackInfo

COUNT, SIDE = 25, 48
MIDDLE = COUNT // 2


def responses(stack: np.ndarray, index: int = MIDDLE) -> torch.Tensor:
    """(scale, filter, Y, X) of one slice of (Z, Y, X)."""
    planes = [torch.from_numpy(one)[None].float() for one in stack]
    beside = {offset: (planes[index - offset], planes[index + offset]) for offset in OFFSETS}
    found = volume_filters(planes[index], beside)
    assert found.shape == (VOLUME_FILTERS_PER_CHANNEL, *stack.shape[1:])
    return found.reshape(len(REACHES), 4, *stack.shape[1:])


def test_where_nothing_changes_along_the_stack_only_the_plane_is_left():
    plane = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    along, laplacian, smooth, edge = responses(np.stack([plane] * COUNT)).unbind(1)
    assert along.abs().max() < 1e-5
    assert laplacian.abs().max() > 0.1
    assert 0 < smooth.min() < smooth.max() < 1
    assert edge.min() >= 0
    assert edge.max() > 0.1


def test_a_slope_and_a_bend_along_the_stack_are_told_in_intensities():
    z = np.arange(COUNT, dtype=np.float32)[:, None, None] - MIDDLE
    flat = np.ones((COUNT, SIDE, SIDE), np.float32)
    for number, (_, offset) in enumerate(REACHES):
        along, laplacian, smooth, edge = responses(0.01 * z * flat)[number]
        assert along.abs().max() < 1e-6
        assert laplacian.abs().max() < 1e-6
        torch.testing.assert_close(edge, torch.full_like(edge, 0.01 * offset))
        along, laplacian, smooth, edge = responses(0.01 * z**2 * flat)[number]
        bend = torch.full_like(along, 0.02 * offset**2)
        torch.testing.assert_close(along, bend)
        torch.testing.assert_close(laplacian, bend)
        torch.testing.assert_close(smooth, bend / 4)
        assert edge.abs().max() < 1e-6


@pytest.mark.parametrize("number", range(len(REACHES)))
def test_the_middle_of_a_ball_is_told_from_the_slice_above_it(number):
    """Both show the same disc, if the ball above the other slice is the brighter one."""
    scale, offset = REACHES[number]
    z, y, x = np.mgrid[:COUNT, :SIDE, :SIDE].astype(np.float32)
    centre = (SIDE - 1) / 2
    ball = np.exp(
        -((z - MIDDLE) ** 2 / offset**2 + ((y - centre) ** 2 + (x - centre) ** 2) / scale**2) / 2
    )
    at = SIDE // 2
    inside = responses(ball)[number, :, at, at]
    outside = responses(ball / ball[MIDDLE + 2 * offset].max(), MIDDLE + 2 * offset)
    outside = outside[number, :, at, at]
    assert inside[0] < 0 < outside[0]
    assert inside[1] < 0
    assert inside[1] < outside[1]


def test_each_channel_is_looked_at_by_itself():
    rng = np.random.default_rng(1)
    one, two = rng.random((2, COUNT, SIDE, SIDE)).astype(np.float32)
    both = {
        offset: tuple(
            torch.from_numpy(np.stack([one[place], two[place]]))
            for place in (MIDDLE - offset, MIDDLE + offset)
        )
        for offset in OFFSETS
    }
    here = torch.from_numpy(np.stack([one[MIDDLE], two[MIDDLE]]))
    found = volume_filters(here, both).reshape(len(REACHES), 4, 2, SIDE, SIDE)
    torch.testing.assert_close(found[:, :, 0], responses(one))
    torch.testing.assert_close(found[:, :, 1], responses(two))


def test_slices_beyond_the_ends_are_those_at_the_ends():
    assert slices_around(8, 20) == [4, 6, 7, 8, 9, 10, 12]
    assert slices_around(0, 20) == [0, 1, 2, 4]
    assert slices_around(19, 20) == [15, 17, 18, 19]
    assert slices_around(1, 2) == [0, 1]


def surroundings(planes) -> Surroundings:
    return Surroundings(Intensity((0.0,), (1.0,)), Framing(16))


@pytest.fixture
def planes(planes_of):
    return planes_of(np.random.default_rng(2).random((COUNT, 16, 16)).astype(np.float32))


def look(around: Surroundings, planes, index: int) -> torch.Tensor:
    return around.filters(planes, index, torch.from_numpy(planes.data[index])[None])


def test_surroundings_give_the_filters_of_the_slices_around(planes):
    around = surroundings(planes)
    expected = responses(planes.data).reshape(-1, 16, 16)
    torch.testing.assert_close(look(around, planes, MIDDLE), expected)
    assert sorted(planes.read) == [i for i in slices_around(MIDDLE, COUNT) if i != MIDDLE]
    first = look(around, planes, 0)
    beside = {
        offset: tuple(torch.from_numpy(planes.data[place])[None] for place in (0, offset))
        for offset in OFFSETS
    }
    torch.testing.assert_close(
        first, volume_filters(torch.from_numpy(planes.data[0])[None], beside)
    )


def test_along_a_stack_each_slice_is_read_once(planes, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 1)  # no more than is needed
    around = surroundings(planes)
    apart = [look(surroundings(planes), planes, index) for index in range(COUNT)]
    planes.read.clear()
    for index in range(COUNT):
        torch.testing.assert_close(look(around, planes, index), apart[index])
    assert len(planes.read) == len(set(planes.read))
    assert len(around._kept) == 2 * max(OFFSETS) + 1


def test_slices_of_another_stack_are_not_taken_for_those_of_this_one(planes, planes_of):
    around = surroundings(planes)
    other = planes_of(planes.data[::-1].copy())
    look(around, planes, 3)
    torch.testing.assert_close(look(around, other, 3), look(surroundings(other), other, 3))


def test_a_single_slice_and_slices_too_large_to_hold_are_not_looked_along():
    stack = StackInfo((20, 256, 256), 1, False, "uint8")
    assert looks_along(stack)
    assert not looks_along(replace(stack, shape=(1, 256, 256)))
    assert not looks_along(replace(stack, shape=(20, 4096, 4096)))
