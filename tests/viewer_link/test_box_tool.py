"""The box tool on a real viewer model: boxes in pixels of the slice, layers that come and go."""

from __future__ import annotations

import numpy as np
import pytest
import wrapt
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_salt.key_table import FIXED_KEYS
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.viewer_link.ownership import is_ours

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


class Event:
    """As much of a mouse event as callbacks look at."""

    def __init__(self, kind, position, *, button=1, modifiers=()):
        self.type, self.position, self.button, self.modifiers = kind, position, button, modifiers
        self.is_dragging = kind == "mouse_move"
        self.handled = False


def opened(link, viewer, data, axis=None, **kwargs):
    layer = viewer.add_image(data, name="t1", **kwargs)
    place = link.images.place(link.images.active(), axis)
    session = Session(link.images.open_stack(place))
    session.labels.add("cell", RED)
    link.attach(place, session)
    return layer, place, session


def drag(viewer, image, *corners, **kwargs):
    """Drag over points given in the image's data coordinates."""
    layer = viewer.layers.selection.active
    places = [image.data_to_world(corner) for corner in corners]
    for run, kind, where in (
        (mouse_press_callbacks, "mouse_press", places[0]),
        *((mouse_move_callbacks, "mouse_move", place) for place in places[1:]),
        (mouse_release_callbacks, "mouse_release", places[-1]),
    ):
        run(layer, wrapt.ObjectProxy(Event(kind, where, **kwargs)))


def boxes_of(link):
    told = []
    link.signals.box_drawn.connect(told.append)
    return told


CASES = {
    "plain": ({}, None, (7, 20, 30), lambda y, x: (3, y, x)),
    "anisotropic, moved": (
        {"scale": (5, 0.5, 2), "translate": (10, -3, 7)},
        None,
        (7, 20, 30),
        lambda y, x: (3, y, x),
    ),
    "z before time": ({"scale": (4, 1, 2, 3)}, 0, (7, 2, 20, 30), lambda y, x: (3, 0, y, x)),
    "turned": ({"rotate": 30}, None, (7, 20, 30), lambda y, x: (3, y, x)),
    "time before z": ({}, 1, (2, 7, 20, 30), lambda y, x: (0, 3, y, x)),
    "one plane": ({}, None, (20, 30), lambda y, x: (y, x)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_drag_is_a_box_in_pixels_of_the_slice(link, viewer, case):
    kwargs, axis, shape, at = CASES[case]
    image, place, _ = opened(link, viewer, np.zeros(shape, np.uint8), axis, **kwargs)
    link.go_to(3)
    told = boxes_of(link)
    link.box.show(place, 0 if len(shape) == 2 else 3, RED)
    drag(viewer, image, at(15.5, 20.5), at(9, 9), at(4.5, 2.5))
    (box,) = told
    np.testing.assert_allclose(box, (5, 3, 16, 21), atol=1e-6)
    drag(viewer, image, at(-8, 10), at(99, 99))
    np.testing.assert_allclose(told[1], (0, 10.5, 20, 30), atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_box_and_mask_lie_where_they_were_drawn(link, viewer, case):
    kwargs, axis, shape, at = CASES[case]
    image, place, _ = opened(link, viewer, np.zeros(shape, np.uint8), axis, **kwargs)
    index = 0 if len(shape) == 2 else 3
    link.box.show(place, index, RED)
    drag(viewer, image, at(4.5, 2.5), at(15.5, 20.5))
    outline = viewer.layers["t1 box"]
    corners = np.array([image.world_to_data(outline.data_to_world(x)) for x in outline.data[0]])
    np.testing.assert_allclose(corners[0], at(4.5, 2.5), atol=1e-6)
    np.testing.assert_allclose(corners[2], at(15.5, 20.5), atol=1e-6)
    mask = np.zeros((20, 30), np.bool_)
    mask[6:9, 4:12] = True
    link.box.show_mask(place, index, mask, RED)
    layer = viewer.layers["t1 box mask"]
    for y, x in ((6, 4), (8, 11)):
        assert layer.get_value(image.data_to_world(at(y, x)), world=True) == 1
    for y, x in ((5, 4), (8, 12)):
        assert not layer.get_value(image.data_to_world(at(y, x)), world=True)


def test_no_box_from_a_click_another_button_or_a_modifier(link, viewer):
    image, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    told = boxes_of(link)
    link.box.show(place, 3, RED)
    drag(viewer, image, (3, 5, 5), (3, 5.5, 9))
    drag(viewer, image, (3, 5, 5), (3, 15, 15), button=2)
    drag(viewer, image, (3, 5, 5), (3, 15, 15), modifiers=("Alt",))
    assert told == []


def test_the_tool_takes_the_mouse_and_leaves_everything_as_it_was(link, viewer):
    image, place, session = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    link.set_labels(())
    link.select_label(1, brush=True)
    paint = viewer.layers["t1 paint"]
    entries = link.images.entries()
    link.box.show(place, 3, RED)
    active = viewer.layers.selection.active
    assert active.name == "t1 box"
    assert not active.mouse_pan
    assert link.images.entries() == entries
    drag(viewer, image, (3, 5, 5), (3, 15, 15))
    assert not session.annotations.paint.any()
    link.box.show_mask(place, 3, np.ones((20, 30), np.bool_), RED)
    assert viewer.layers.selection.active is active
    link.box.hide()
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 paint"]
    assert viewer.layers.selection.active is paint
    assert paint.mode == "paint"
    assert paint.mouse_pan is False


def test_another_slice_or_label_forgets_or_recolours(link, viewer):
    image, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8), scale=(4, 1, 1))
    link.box.show(place, 3, RED)
    drag(viewer, image, (3, 5, 5), (3, 15, 15))
    link.box.show_mask(place, 3, np.ones((20, 30), np.bool_), RED)
    link.box.set_color(BLUE)
    np.testing.assert_allclose(viewer.layers["t1 box"].edge_color[0], BLUE)
    np.testing.assert_allclose(viewer.layers["t1 box mask"].colormap.map(1), BLUE)
    link.box.move(place, 5)
    assert "t1 box mask" not in viewer.layers
    assert len(viewer.layers["t1 box"].data) == 0
    assert viewer.layers["t1 box"].translate[0] == 20


def test_keys_belong_to_the_tool_only_while_it_is_on(link, viewer):
    _, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    before = dict(viewer.keymap)
    told = []
    for name in ("box_taken", "box_dropped", "undo_pressed", "redo_pressed"):
        getattr(link.signals, name).connect(lambda name=name: told.append(name), check_nargs=False)
    link.box.show(place, 3, RED)
    layer = viewer.layers["t1 box"]
    for act in layer.keymap.values():
        act(layer)
    assert {str(key): told[place] for place, key in enumerate(layer.keymap)} == {
        "Enter": "box_taken",
        "Escape": "box_dropped",
        "Ctrl+Z": "undo_pressed",
        "Ctrl+Shift+Z": "redo_pressed",
    }
    assert {str(key) for key in layer.keymap} == set(FIXED_KEYS), "and the list of keys names them"
    assert viewer.keymap == before


def test_leaving_the_tool_by_taking_up_another_layer(link, viewer):
    _, place, session = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    left = []
    link.signals.box_left.connect(lambda: left.append(True))
    link.box.show(place, 3, RED)
    link.box.show_mask(place, 3, np.ones((20, 30), np.bool_), RED)
    link.box.hide_mask()
    link.show_paint(session)
    assert left
    before = len(left)
    link.box.hide()
    link.box.show(place, 3, RED)
    viewer.layers.remove("t1 box")
    assert len(left) > before
    link.box.hide()
    assert "t1 box" not in viewer.layers


def test_possible_only_where_single_slices_are_shown(link, viewer):
    _, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    assert link.box.possible(place)
    viewer.dims.ndisplay = 3
    assert not link.box.possible(place)
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    assert not link.box.possible(place)
    viewer.dims.order = (0, 1, 2)
    assert link.box.possible(place)
    viewer.layers.remove("t1")
    assert not link.box.possible(place)


def test_the_selection_taken_away_leaves_the_tool(link, viewer):
    """Without the active layer the tool would not get the mouse, and yet say that it is on."""
    _, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    left = []
    link.signals.box_left.connect(lambda: left.append(True))
    link.box.show(place, 3, RED)
    viewer.layers.selection.clear()
    assert left


def test_layers_that_come_and_go_beside_the_tool_leave_it_on(link, viewer):
    _, place, session = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    other = viewer.add_image(np.zeros((7, 20, 30)), name="other")
    link.show_paint(session)
    left = []
    link.signals.box_left.connect(lambda: left.append(True))
    link.box.show(place, 3, RED)
    plane = np.zeros((20, 30))
    link.write_prediction(
        SlicePrediction(3, plane.astype(np.uint16), plane.astype(np.float16), SliceSummary(3, 0.1))
    )
    link.set_shown("uncertainty", True)  # it is made now
    link.box.show_mask(place, 3, np.ones((20, 30), np.bool_), RED)
    link.box.move(place, 4)
    viewer.layers.remove(other)
    assert {"t1 prediction", "t1 uncertainty", "t1 box"} <= {x.name for x in viewer.layers}
    assert viewer.layers.selection.active is viewer.layers["t1 box"]
    assert not left


def test_the_outline_follows_an_image_that_is_moved(link, viewer):
    image, place, _ = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    told = boxes_of(link)
    link.box.show(place, 3, RED)
    image.scale, image.translate = (5, 2, 2), (1, 7, 9)
    link.box.move(place, 3)
    drag(viewer, image, (3, 4.5, 2.5), (3, 15.5, 20.5))
    np.testing.assert_allclose(told[0], (5, 3, 16, 21), atol=1e-6)
    outline = viewer.layers["t1 box"]
    corners = [image.world_to_data(outline.data_to_world(x)) for x in outline.data[0]]
    np.testing.assert_allclose(corners[0], (3, 4.5, 2.5), atol=1e-6)


def test_a_mask_is_the_user_s_own_once_duplicated(link, viewer):
    """Nothing that only shows a preview may be taken for paint."""
    _, place, session = opened(link, viewer, np.zeros((7, 20, 30), np.uint8))
    link.box.show(place, 3, RED)
    link.box.show_mask(place, 3, np.ones((20, 30), np.bool_), RED)
    assert not any(is_ours(layer) for layer in viewer.layers if " box" in layer.name)
    assert [entry.name for entry in link.images.entries()] == ["t1"]
    assert not session.annotations.paint.any()
