"""Parts of slices, from stacks that can read them and from those that cannot."""

from __future__ import annotations

import numpy as np

from napari_salt.records import StackInfo
from napari_salt.regions import LARGE, is_large, with_regions
from napari_salt.session.stack import Stack


class WholePlanes:
    info = StackInfo((2, 30, 40))

    def __init__(self):
        self.read = []

    def plane(self, index):
        self.read.append(index)
        return np.arange(1200).reshape(30, 40) + index


def test_a_stack_reads_regions_itself():
    stack = Stack(np.zeros((2, 3, 4), np.uint8))
    assert with_regions(stack) is stack


def test_regions_are_cut_out_of_planes_that_come_whole_and_are_read_once():
    planes = WholePlanes()
    regions = with_regions(planes)
    expected = np.arange(1200).reshape(30, 40) + 1
    for rows, columns in ((slice(3, 9), slice(0, 40)), (slice(20, 30), slice(5, 6))):
        np.testing.assert_array_equal(regions.region(1, rows, columns), expected[rows, columns])
    assert planes.read == [1]
    assert regions.region(0, slice(0, 1), slice(0, 2)).tolist() == [[0, 1]]
    assert planes.read == [1, 0]


def test_whole_planes_are_handed_on():
    planes = WholePlanes()
    regions = with_regions(planes)
    assert regions.info is planes.info
    assert regions.plane(1)[0, 0] == 1


def test_channels_count_for_what_is_large():
    edge = int(LARGE**0.5)
    assert not is_large(StackInfo((900, edge, edge)))
    assert is_large(StackInfo((1, edge, edge + 1)))
    assert is_large(StackInfo((1, edge, edge), channels=3, rgb=True))
