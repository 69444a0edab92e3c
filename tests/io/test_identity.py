"""One image is told from another by its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.errors import UnreadableSlice
from napari_salt.io import identity as identity_module
from napari_salt.io.identity import closer_identity, identity
from napari_salt.session.stack import Stack


def stack(value: int) -> Stack:
    return Stack(np.full((3, 4, 4), value, np.uint8), name="a/b: c")


def test_a_stack_is_known_by_its_pixels_and_shape():
    assert identity(stack(1)) == identity(stack(1))
    assert identity(stack(1)) != identity(stack(2))
    wide = Stack(np.full((3, 2, 8), 1, np.uint8))
    assert identity(wide) != identity(stack(1))


def test_masks_belong_to_a_stack_whose_slices_between_are_the_same():
    image = np.zeros((65, 4, 4), np.uint8)
    changed = image.copy()
    changed[5] = 1
    assert identity(Stack(image)) == identity(Stack(changed))
    assert closer_identity(Stack(image)) != closer_identity(Stack(changed))
    assert closer_identity(Stack(image)) == closer_identity(Stack(image.copy()))


def test_of_large_slices_three_are_read(monkeypatch):
    monkeypatch.setattr(identity_module, "BYTES_COMPARED", 20)
    image = np.zeros((65, 4, 4), np.uint8)
    seen = image.copy()
    seen[[5, 31, 60]] = 1
    assert closer_identity(Stack(image)) == closer_identity(Stack(seen))
    seen[32] = 1
    assert closer_identity(Stack(image)) != closer_identity(Stack(seen))


class Torn:
    """An array of which some slices cannot be read."""

    def __init__(self, data, *torn):
        self.data, self.torn, self.shape, self.dtype = data, torn, data.shape, data.dtype

    def __getitem__(self, key):
        if key[0] in self.torn:
            raise OSError("cut off")
        return self.data[key]


def test_a_stack_whose_last_page_is_cut_off_is_known_by_the_others():
    image = np.random.default_rng(0).integers(0, 255, (5, 4, 4), np.uint8)
    torn = Stack(Torn(image, 4))
    assert identity(torn) == identity(Stack(Torn(image, 4)))
    assert identity(torn) != identity(Stack(image))
    assert closer_identity(torn) != closer_identity(Stack(Torn(image + 1, 4)))
    with pytest.raises(UnreadableSlice):
        identity(Stack(Torn(image, *range(5))))
