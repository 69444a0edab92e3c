"""The box tool's controller with mock views and an engine that the tests play."""

from __future__ import annotations

from unittest.mock import create_autospec

import numpy as np
import pytest

from napari_salt.controller import Controller
from napari_salt.engine.requests import AssistMask, BoxRequest, EmbedRequest
from napari_salt.geometry import Place, StackGeometry
from napari_salt.records import BACKGROUND, StepReport
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.viewer_link.box_tool import BoxTool
from napari_salt.viewer_link.images import ViewerImages
from napari_salt.views import AssistState, DisplayState, DockView, ViewerSignals, Wishes

SHAPE = (6, 8, 8)
BOX = (1.0, 1.0, 6.0, 6.0)


class Runner:
    """Keeps the callbacks of the one job that runs."""

    def __init__(self):
        self.requests, self.calls, self.closed = [], None, False

    @property
    def running(self):
        return self.calls is not None

    def submit(self, request, planes, **calls):
        assert not self.running, "one job at a time"
        self.requests.append(request)
        self.calls = calls
        return len(self.requests)

    def stop(self):
        pass

    def close(self):
        self.closed = True

    def report(self, *reports):
        for report in reports:
            self.calls["on_report"](report)

    def end(self, how="on_done", *args):
        calls, self.calls = self.calls, None
        calls[how](*(args or ((None,) if how == "on_done" else ())))


class Bench:
    """A controller among mocks, with one image of six slices and one label."""

    def __init__(self):
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = Wishes()
        self.link = create_autospec(ViewerLink, instance=True)
        self.link.signals = ViewerSignals()
        self.link.box = self.box = create_autospec(BoxTool, instance=True)
        self.box.possible.return_value = True
        images = self.link.images = create_autospec(ViewerImages, instance=True)
        images.entries.return_value = ()
        images.active.return_value = "a"
        images.axes.return_value = ()
        images.place.side_effect = lambda key, axis=None: Place(key, StackGeometry(3))
        images.open_stack.side_effect = lambda place: Stack(np.zeros(SHAPE, np.uint8))
        self.link.session_of.return_value = None
        self.link.current_slice.return_value = 2
        self.link.predictions.return_value = None
        self.link.display.return_value = DisplayState()
        self.engine, self.made = Runner(), []
        self.controller = Controller(self.view, self.link, Runner(), self._make)
        self.wishes = self.view.wishes
        self.wishes.label_added.emit("cell")

    def _make(self):
        self.made.append(True)
        return self.engine

    @property
    def paint(self):
        return self.controller.desk.session.annotations.paint

    @property
    def state(self) -> AssistState:
        return self.view.set_assist.call_args.args[0]

    @property
    def status(self):
        return self.view.set_status.call_args.args[0]

    def ready(self):
        """On, and the slice on screen embedded."""
        self.wishes.assist_set.emit(True)
        self.engine.end()

    def draw(self, box=BOX):
        self.link.signals.box_drawn.emit(box)

    def go_to(self, index):
        self.link.current_slice.return_value = index
        self.link.signals.slice_changed.emit()

    def answer(self, index=2, where=np.s_[1:6, 1:6], *, end=True):
        mask = np.zeros(SHAPE[1:], np.bool_)
        mask[where] = True
        self.engine.report(AssistMask(index, mask))
        if end:
            self.engine.end()


@pytest.fixture
def bench():
    return Bench()


def test_the_engine_starts_with_the_tool_and_embeds_the_slice_on_screen(bench):
    assert bench.made == []
    assert bench.state == AssistState(False, True)
    bench.wishes.assist_set.emit(True)
    assert bench.made == [True]
    (request,) = bench.engine.requests
    assert isinstance(request, EmbedRequest)
    assert request.index == 2
    assert bench.state.text == "embedding slice 2…"
    bench.engine.report(StepReport("loading", 0, 0))
    assert bench.state.text == "loading weights…"
    bench.engine.end()
    assert bench.state.text == "drag a box around one object"
    assert len(bench.engine.requests) == 1
    bench.wishes.assist_set.emit(False)
    bench.wishes.assist_set.emit(True)
    assert bench.made == [True]


def test_scrolling_embeds_only_where_it_ends(bench):
    bench.wishes.assist_set.emit(True)
    for index in (3, 4, 5):
        bench.go_to(index)
    bench.engine.end()
    assert [request.index for request in bench.engine.requests] == [2, 5]


def test_a_box_is_proposed_and_taken_as_one_step(bench):
    bench.ready()
    bench.paint[2, 1, 1], bench.paint[2, 2, 2] = 7, BACKGROUND
    bench.draw()
    request = bench.engine.requests[-1]
    assert isinstance(request, BoxRequest)
    assert (request.index, request.box) == (2, BOX)
    assert request.stack_key == bench.engine.requests[0].stack_key
    assert bench.state.text == "finding the object…"
    assert not bench.state.can_take
    bench.answer(where=np.s_[1:4, 1:4], end=False)
    assert bench.state.can_take
    bench.answer()
    assert bench.box.show_mask.call_count == 2
    assert bench.state.text == "Enter takes it, Esc drops it"
    assert not (bench.paint[2] == 1).any()
    bench.link.signals.box_taken.emit()
    assert (bench.paint[2] == 1).sum() == 24
    assert bench.paint[2, 1, 1] == 7
    assert not bench.state.can_take
    assert bench.state.on
    bench.go_to(4)
    bench.link.signals.undo_pressed.emit()
    assert not (bench.paint == 1).any()
    assert bench.paint[2, 2, 2] == BACKGROUND
    bench.link.go_to.assert_called_with(2)


def test_undo_takes_back_in_the_order_of_work(bench):
    bench.ready()
    bench.link.signals.stroke_made.emit()
    bench.draw()
    bench.answer()
    bench.wishes.assist_take.emit()
    bench.link.signals.stroke_made.emit()
    bench.link.signals.undo_pressed.emit()
    assert bench.link.undo_stroke.call_count == 1
    assert (bench.paint[2] == 1).any()
    bench.link.signals.undo_pressed.emit()
    assert not (bench.paint[2] == 1).any()


@pytest.mark.parametrize("meanwhile", ["slice", "label", "image", "off", "other box", "dropped"])
def test_an_answer_that_comes_too_late_is_dropped(bench, meanwhile):
    bench.wishes.label_added.emit("nucleus")
    bench.ready()
    bench.draw()
    if meanwhile == "slice":
        bench.go_to(3)
        bench.go_to(2)
    elif meanwhile == "label":
        bench.wishes.label_selected.emit(1)
    elif meanwhile == "image":
        bench.wishes.image_chosen.emit("b")
    elif meanwhile == "off":
        bench.wishes.assist_set.emit(False)
    elif meanwhile == "other box":
        bench.draw((0.0, 0.0, 4.0, 4.0))
    else:
        bench.link.signals.box_dropped.emit()
    bench.answer()
    bench.box.show_mask.assert_not_called()
    assert not bench.state.can_take
    if meanwhile == "other box":
        bench.answer(where=np.s_[0:4, 0:4])
        bench.box.show_mask.assert_called_once()


def test_a_second_box_replaces_the_first(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    bench.draw((0.0, 0.0, 3.0, 3.0))
    assert not bench.state.can_take
    bench.answer(where=np.s_[0:2, 0:2])
    bench.wishes.assist_take.emit()
    assert (bench.paint[2] == 1).sum() == 4


def test_escape_drops_the_mask_then_leaves_the_tool(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    bench.link.signals.box_dropped.emit()
    assert not bench.state.can_take
    assert bench.state.on
    bench.link.signals.box_dropped.emit()
    assert not bench.state.on
    bench.box.hide.assert_called()


def test_a_preview_follows_the_label_and_falls_with_its_slice(bench):
    bench.wishes.label_added.emit("nucleus")
    bench.ready()
    bench.draw()
    bench.answer()
    bench.wishes.label_selected.emit(1)
    assert bench.state.can_take
    bench.box.set_color.assert_called()
    bench.link.select_label.assert_called_with(1, brush=False)
    bench.go_to(3)
    assert not bench.state.can_take
    bench.box.move.assert_called_with(bench.controller.desk.place, 3)
    bench.wishes.assist_take.emit()
    assert not bench.paint.any()


def test_a_failure_is_one_sentence_and_leaves_the_tool_usable(bench):
    bench.ready()
    bench.draw()
    bench.engine.end("on_failed", "That box is too small.")
    assert bench.status.text == "That box is too small."
    assert bench.status.level == "error"
    assert bench.state.text == "drag a box around one object"
    bench.draw()
    bench.answer()
    assert bench.state.can_take


def test_nothing_found_says_so(bench):
    bench.ready()
    bench.draw()
    bench.answer(where=np.s_[0:0])
    assert "nothing found" in bench.status.text
    assert not bench.state.can_take


def test_the_tool_goes_off_in_3d_and_when_another_layer_is_taken_up(bench):
    bench.ready()
    bench.box.possible.return_value = False
    bench.link.signals.slice_changed.emit()
    assert not bench.state.on
    assert "2-D" in bench.state.why_not
    bench.wishes.assist_set.emit(True)
    assert not bench.state.on
    bench.box.possible.return_value = True
    bench.link.signals.box_toggled.emit()
    assert bench.state.on
    bench.link.signals.box_left.emit()
    assert not bench.state.on


def test_outside_the_stack_the_tool_stays_on_and_says_why_nothing_happens(bench):
    bench.ready()
    bench.go_to(None)
    assert bench.state.on
    assert bench.state.text == "Go back to a slice of the image."
    bench.draw()
    assert len(bench.engine.requests) == 1
    bench.go_to(2)
    assert bench.state.text == "drag a box around one object"


def test_closing_ends_the_engine(bench):
    bench.ready()
    bench.controller.close()
    assert bench.engine.closed
    bench.box.hide.assert_called()
