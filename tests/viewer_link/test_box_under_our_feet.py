"""The box tool while layers, images, slices and sessions change: it goes off or goes on, cleanly.

The controller on a real viewer model; the engine is played by the tests, the window plays no part.
"""

from __future__ import annotations

from concurrent.futures import wait
from unittest.mock import create_autospec

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_salt.control.controller import Controller
from napari_salt.engine.requests import AssistMask, BoxRequest
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes

SHAPE = (6, 8, 8)
BOX = (1.0, 1.0, 6.0, 6.0)
TOOL_LAYERS = {"t1 box", "t1 box mask"}


class Runner:
    """Looks ahead at once; a box is answered when the test says so."""

    def __init__(self):
        self.calls = self.request = None
        self.closed = False

    running = False

    def submit(self, request, planes, **calls):
        if isinstance(request, BoxRequest):
            self.request, self.calls = request, calls
        else:
            calls["on_done"](None)
        return 1

    def answer(self):
        mask = np.zeros(SHAPE[1:], np.bool_)
        mask[1:6, 1:6] = True
        self.calls["on_report"](AssistMask(self.request.index, mask))
        self.calls["on_done"](None)

    def stop(self):
        pass

    def close(self):
        self.closed = True


class Bench:
    """A controller on a real viewer model, with one image and one label."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.view.confirm.return_value = True
        self.link, self.engine = ViewerLink(viewer), Runner()
        self.controller = Controller(
            self.view, self.link, Runner(), assist_runner=lambda: self.engine
        )
        viewer.add_image(np.zeros(SHAPE, np.uint8), name="t1", scale=(3, 1, 1))
        self.wishes.label_added.emit("cell")
        self.link.go_to(2)

    @property
    def session(self):
        return self.controller.desk.session

    @property
    def paint(self):
        return self.session.annotations.paint

    @property
    def state(self):
        return self.view.set_assist.call_args.args[0]

    @property
    def names(self):
        return {layer.name for layer in self.viewer.layers}

    @property
    def active(self):
        return self.viewer.layers.selection.active

    def preview(self):
        """The tool is on and a mask waits."""
        self.wishes.assist_set.emit(True)
        self.link.signals.box_drawn.emit(BOX)
        self.engine.answer()
        assert self.state.can_take
        assert self.names >= {"t1 box mask"}


@pytest.fixture
def bench():
    bench = Bench(ViewerModel())
    yield bench
    bench.controller.close()


def is_off(bench):
    return not bench.state.on and not bench.names & TOOL_LAYERS


def test_taking_and_leaving_gives_the_brush_back(bench):
    paint = bench.viewer.layers["t1 paint"]
    paint.mode = "paint"
    bench.preview()
    bench.link.signals.box_taken.emit()
    assert (bench.paint[2] == 1).sum() == 25
    assert bench.state.on
    bench.link.signals.box_dropped.emit()
    assert is_off(bench)
    assert bench.active is paint
    assert paint.mode == "paint"


@pytest.mark.parametrize("name", ["t1 paint", "t1"])
def test_another_layer_taken_up_turns_it_off_and_stays_selected(bench, name):
    bench.preview()
    bench.viewer.layers.selection.active = bench.viewer.layers[name]
    assert is_off(bench)
    assert bench.active.name == name


def test_a_layer_that_the_user_adds_is_selected_and_turns_it_off(bench):
    bench.preview()
    other = bench.viewer.add_points(np.zeros((1, 3)))
    assert is_off(bench)
    assert bench.active is other


@pytest.mark.parametrize("name", sorted(TOOL_LAYERS))
def test_its_own_layers_can_be_removed_by_the_user(bench, name):
    bench.preview()
    bench.viewer.layers.remove(name)
    assert not bench.state.can_take
    assert bench.state.on == (name == "t1 box mask")
    assert "t1 box mask" not in bench.names
    bench.wishes.assist_set.emit(False)
    assert is_off(bench)


def test_the_image_removed(bench):
    bench.preview()
    bench.viewer.layers.remove("t1")
    assert is_off(bench)
    assert "Open" in bench.state.why_not


def test_the_paint_layer_removed_and_brought_back(bench):
    bench.preview()
    bench.viewer.layers.remove("t1 paint")
    assert bench.state.can_take, "the paint itself is still there to take the mask"
    bench.wishes.assist_take.emit()
    assert (bench.paint[2] == 1).sum() == 25
    bench.controller.paint.layer_lost()
    bench.wishes.offer_taken.emit()
    assert is_off(bench), "the paint layer is taken up"
    np.testing.assert_array_equal(bench.viewer.layers["t1 paint"].data[2], bench.paint[2])


@pytest.mark.parametrize("change", ["slice", "moved", "other pixels"])
def test_the_preview_falls_and_the_tool_stays(bench, change):
    bench.preview()
    image = bench.viewer.layers["t1"]
    if change == "slice":
        bench.link.go_to(4)
    elif change == "moved":
        image.scale = (3, 2, 2)
    else:
        image.data = np.ones(SHAPE, np.uint8)
    assert bench.state.on
    assert not bench.state.can_take
    assert "t1 box mask" not in bench.names
    outline = bench.viewer.layers["t1 box"]
    assert not len(outline.data)
    assert bench.active is outline
    np.testing.assert_allclose(outline.scale, image.scale)
    bench.wishes.assist_take.emit()
    assert not bench.paint.any()
    if change == "moved":
        bench.link.go_to(2)  # the viewer keeps its place in the world
    bench.link.signals.box_drawn.emit(BOX)
    bench.engine.answer()
    assert bench.state.can_take


def test_an_image_of_another_shape_turns_it_off(bench):
    bench.preview()
    bench.viewer.layers["t1"].data = np.zeros((6, 9, 9), np.uint8)
    assert is_off(bench)
    assert bench.session.annotations.paint.shape == (6, 9, 9)


def test_a_volume_on_screen_turns_it_off_with_the_mouse_over_it(bench):
    bench.preview()
    bench.viewer.mouse_over_canvas = True
    bench.viewer.dims.ndisplay = 3
    assert is_off(bench)
    assert "2-D" in bench.state.why_not
    assert bench.viewer.mouse_over_canvas


def test_the_label_deleted_with_a_preview_on_screen(bench):
    bench.preview()
    bench.wishes.label_removed.emit(1)
    bench.wishes.assist_take.emit()
    assert not (bench.paint == 1).any(), "no paint with a label that is gone"


def test_earlier_work_restored_over_a_preview(bench):
    bench.preview()
    bench.wishes.assist_take.emit()
    bench.controller.close()
    again = Bench(ViewerModel())
    again.preview()
    wait([again.controller.saving._kept.known])
    again.controller.tick()
    again.wishes.offer_taken.emit()
    assert (again.paint[2] == 1).sum() == 25
    np.testing.assert_array_equal(again.viewer.layers["t1 paint"].data, again.paint)
    again.link.signals.box_dropped.emit()
    again.wishes.assist_set.emit(False)
    assert is_off(again)
    again.controller.close()


def test_closing_takes_the_layers_away_and_ends_the_engine(bench):
    bench.preview()
    bench.controller.close()
    assert not bench.names & TOOL_LAYERS
    assert bench.engine.closed
    assert "Shift+B" not in {str(key) for key in bench.viewer.keymap}
