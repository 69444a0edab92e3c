"""Two rounds against each other, on a real viewer model: layers, places, and what is left after."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_salt.records import BACKGROUND
from napari_salt.viewer_link.compare import CompareLayers
from napari_salt.viewer_link.images import ViewerImages
from napari_salt.views import BACKGROUND_COLOR, LabelRow

RED = (1.0, 0.0, 0.0, 1.0)
ROWS = (LabelRow(1, "cell", RED), LabelRow(BACKGROUND, "background", BACKGROUND_COLOR))
ONE, TWO = np.zeros((6, 7), np.uint16), np.zeros((6, 7), np.uint16)
ONE[1:4, 1:4] = 1
TWO[1:4, 2:5] = 1


def show(viewer, data, index, axis=None, **kwargs):
    viewer.add_image(data, name="t1", **kwargs)
    images = ViewerImages(viewer)
    compare = CompareLayers(viewer, images)
    place = images.place(images.active(), axis)
    compare.show(place, index, [("round 2", ONE), ("round 4", TWO)], ROWS)
    return compare, images


@pytest.mark.parametrize(
    ("shape", "axis", "data_shape", "at"),
    [
        ((5, 6, 7), None, (1, 6, 7), (3, 2, 2)),
        ((5, 2, 6, 7), 0, (1, 1, 6, 7), (3, 0, 2, 2)),
        ((2, 5, 6, 7), 1, (1, 1, 6, 7), (0, 3, 2, 2)),
        ((6, 7), None, (6, 7), (2, 2)),
    ],
)
def test_layers_lie_on_their_slice(shape, axis, data_shape, at):
    viewer = ViewerModel()
    scale = tuple(range(2, 2 + len(shape)))
    compare, _ = show(viewer, np.zeros(shape), 3, axis, scale=scale)
    assert compare.shown
    assert [layer.name for layer in viewer.layers] == [
        "t1",
        "round 2",
        "round 4",
        "round 2 ≠ round 4",
    ]
    first, second, differ = list(viewer.layers)[1:]
    assert first.data.shape == data_shape

    def seen(place):
        world = np.multiply(place, scale)
        viewer.dims.set_point(range(len(shape)), world)
        return [layer.get_value(world, world=True) for layer in (first, second, differ)]

    assert seen(at) == [1, 1, 0]
    assert seen((*at[:-1], 1)) == [1, 0, 1]
    if len(shape) > 2:
        assert seen([4 if place == 3 else place for place in at]) == [None, None, None]


def test_colours_outline_and_no_new_images():
    viewer = ViewerModel()
    _, images = show(viewer, np.zeros((5, 6, 7)), 3)
    first, second, _ = list(viewer.layers)[1:]
    for layer in (first, second):
        np.testing.assert_allclose(layer.colormap.map(np.uint16(1)), RED)
        np.testing.assert_allclose(layer.colormap.map(np.uint16(0)), 0)
    assert (first.contour, second.contour > 0) == (0, True)
    assert [entry.name for entry in images.entries()] == ["t1"]
    assert viewer.layers.selection.active.name == "t1"


def test_the_next_comparison_replaces_the_last_and_clear_removes_it():
    viewer = ViewerModel()
    compare, images = show(viewer, np.zeros((5, 6, 7)), 3)
    viewer.layers.remove("round 4")
    place = images.place(images.active())
    compare.show(place, 1, [("round 1", TWO), ("round 2", ONE)], ROWS)
    names = [layer.name for layer in viewer.layers]
    assert names == ["t1", "round 1", "round 2", "round 1 ≠ round 2"]
    compare.clear()
    assert [layer.name for layer in viewer.layers] == ["t1"]
    assert not compare.shown
