"""Strokes go to what is on screen: beside its layer the brush is put down, and given back on the way in."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.session.session import Session
from napari_salt.views import LabelRow

ROWS = (LabelRow(1, "cell", (1.0, 0.0, 0.0, 1.0)),)


@pytest.fixture
def movie(link, viewer):
    """A movie (t, z, y, x) that is worked on at t = 1, with the brush in hand."""
    viewer.add_image(
        np.ones((4, 6, 8, 8), np.uint8), name="movie", axis_labels=("t", "z", "y", "x")
    )
    return open_with_brush(link, viewer, (1, 2))


def open_with_brush(link, viewer, at):
    viewer.dims.set_point(range(len(at)), at)
    place = link.images.place(link.images.active())
    link.attach(place, Session(link.images.open_stack(place)))
    link.set_labels(ROWS)
    link.select_label(1, brush=True)
    return next(layer for layer in viewer.layers if " paint" in layer.name)


@pytest.mark.parametrize("t", [0, 2, 3])
def test_no_brush_beside_the_time_point_of_the_paint(link, viewer, movie, t):
    assert movie.mode == "paint"
    viewer.dims.set_point(0, t)
    assert not movie.editable
    movie.mode = "fill"  # as its button would
    assert movie.mode == "pan_zoom"
    viewer.dims.set_point(0, 1)
    assert movie.editable
    assert movie.mode == "paint"


def test_no_brush_in_a_volume_where_another_layer_has_more_axes(link, viewer):
    viewer.add_image(np.ones((6, 8, 8), np.uint8), name="stack")
    paint = open_with_brush(link, viewer, (2,))
    viewer.add_image(np.ones((2, 6, 8, 8), np.uint8), name="movie")
    assert paint.mode == "paint"
    viewer.dims.ndisplay = 3
    assert paint.mode == "pan_zoom"
    viewer.layers.remove("movie")
    assert paint.mode == "paint", "napari's brush works again"
    viewer.add_image(np.ones((2, 6, 8, 8), np.uint8), name="movie")
    assert paint.mode == "pan_zoom"
    viewer.dims.ndisplay = 2
    assert paint.mode == "paint"


@pytest.mark.parametrize("mode", ["erase", "fill", "pan_zoom", "pick"])
def test_any_tool_comes_back(viewer, movie, mode):
    movie.mode = mode
    viewer.dims.set_point(0, 0)
    viewer.dims.set_point(0, 3)
    viewer.dims.set_point(0, 1)
    assert movie.mode == mode


def test_a_label_taken_up_beside_the_paint_is_painted_on_the_way_back(link, viewer, movie):
    movie.mode = "pan_zoom"
    viewer.dims.set_point(0, 2)
    assert not link.has_brush()
    link.select_label(1, brush=True)
    assert link.has_brush()
    assert movie.mode == "pan_zoom"
    viewer.dims.set_point(0, 1)
    assert movie.mode == "paint"


def test_a_layer_hidden_beside_its_time_point_has_its_tool_when_it_is_shown_there(viewer, movie):
    viewer.dims.set_point(0, 2)
    movie.visible = False
    viewer.dims.set_point(0, 1)
    movie.visible = True
    assert movie.mode == "paint"
    movie.visible = False
    viewer.dims.set_point(0, 0)
    movie.visible = True
    assert movie.mode == "pan_zoom"
    viewer.dims.set_point(0, 1)
    assert movie.mode == "paint"


@pytest.mark.parametrize("z", [-1, -3, 6])
def test_no_brush_on_slices_that_only_another_image_has(link, viewer, z):
    viewer.add_image(np.ones((20, 8, 8), np.uint8), name="long", translate=(-5, 0, 0))
    viewer.add_image(np.ones((6, 8, 8), np.uint8), name="short")
    paint = open_with_brush(link, viewer, (3,))
    viewer.dims.set_point(0, z)
    assert link.current_slice() is None
    assert not paint.editable
    viewer.dims.set_point(0, 5)
    assert paint.mode == "paint"


def test_rolled_axes_and_volumes_are_on_screen(viewer, movie):
    viewer.dims.order = (0, 2, 1, 3)
    assert movie.mode == "paint"
    viewer.dims.order = (1, 2, 0, 3)  # t is on screen
    viewer.dims.set_point(0, 3)
    assert movie.mode == "paint"
    viewer.dims.order = (0, 1, 2, 3)
    assert movie.mode == "pan_zoom"
    viewer.dims.ndisplay = 3
    assert movie.mode == "pan_zoom"
    viewer.dims.set_point(0, 1)
    assert movie.mode == "paint"


def test_an_image_that_moves_away_and_back(viewer, movie):
    image = viewer.layers["movie"]
    image.translate = (1, 0, 0, 0)
    assert movie.mode == "pan_zoom"
    image.translate = (0, 0, 0, 0)
    assert movie.mode == "paint"


def test_left_alone_the_layer_is_as_any_other(link, viewer, movie):
    viewer.dims.set_point(0, 2)
    link.detach()
    movie.visible = True
    assert movie.editable
    assert movie.mode == "paint"
