"""The box tool's controller with mock views and an engine that the tests play."""

from __future__ import annotations

from unittest.mock import create_autospec

import numpy as np
import pytest

from napari_salt.control.controller import Controller
from napari_salt.engine.requests import AssistMask, BoxRequest, EmbedRequest
from napari_salt.geometry import Place, StackGeometry
from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_store import SessionStore
from napari_salt.key_table import resolve
from napari_salt.records import BACKGROUND, FitSettings, StepReport
from napari_salt.session.stack import Stack
from napari_salt.session.undo import STROKE, PaintStep
from napari_salt.viewer_link import ViewerLink
from napari_salt.viewer_link.box_tool import BoxTool
from napari_salt.viewer_link.images import ViewerImages
from napari_salt.viewer_link.signals import ViewerSignals
from napari_salt.views import AssistState, DisplayState, DockView, Wishes
from played_runner import PlayedRunner

SHAPE = (6, 8, 8)
BOX = (1.0, 1.0, 6.0, 6.0)


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
        images.position.return_value = ()
        images.elsewhere.return_value = ()
        images.levels.return_value = ()
        images.other_levels.return_value = []
        self.link.first_place.side_effect = lambda key: Place(key, StackGeometry(3))
        images.open_stack.side_effect = lambda place: Stack(np.zeros(SHAPE, np.uint8))
        self.link.single_images.return_value = 1
        self.link.keys.return_value = resolve({}, {}, str)
        self.link.session_of.return_value = None
        self.link.current_slice.return_value = 2
        self.link.predictions.return_value = None
        self.link.display.return_value = DisplayState()
        self.engine, self.made = PlayedRunner(), []
        self.jobs = PlayedRunner()
        self.controller = Controller(self.view, self.link, self.jobs, assist_runner=self._make)
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

    def stroke(self, label=1, where=np.s_[7, 0:2]):
        """Paint on the slice on screen as the viewer does: the array is edited, then it is told."""
        index = self.link.current_slice()
        plane = self.paint[index]
        pixels = np.arange(plane.size).reshape(plane.shape)[where].ravel()
        ids = plane.ravel()[pixels]
        plane[where] = label
        step = PaintStep(index, pixels, ids, np.full_like(ids, label), what=STROKE)
        self.link.signals.stroke_made.emit(step)
        self.link.signals.painted.emit((index,))

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


def test_the_slice_is_seen_as_the_settings_say_and_anew_when_they_change(bench):
    bench.ready()
    assert bench.engine.requests[-1].intensity == AUTO
    lung = WINDOWS["lung"]
    bench.wishes.settings_changed.emit(FitSettings(intensity=lung))
    bench.engine.end()
    bench.draw()
    ahead, box = bench.engine.requests[1:]
    assert (ahead.index, ahead.intensity) == (2, lung)
    assert (box.box, box.intensity) == (BOX, lung)


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
    assert (bench.paint[2] == 1).sum() == 23, "nothing that was painted by hand is overwritten"
    assert bench.paint[2, 1, 1] == 7
    assert bench.paint[2, 2, 2] == BACKGROUND
    assert not bench.state.can_take
    assert bench.state.on
    bench.go_to(4)
    bench.link.signals.undo_pressed.emit()
    assert not (bench.paint == 1).any()
    assert bench.paint[2, 1, 1] == 7
    assert bench.paint[2, 2, 2] == BACKGROUND
    bench.link.go_to.assert_called_with(2)
    assert bench.status.text == "box mask on slice 2 taken back"
    bench.link.signals.redo_pressed.emit()
    assert (bench.paint[2] == 1).sum() == 23


def test_undo_takes_back_in_the_order_of_work(bench):
    bench.ready()
    bench.stroke(where=np.s_[7, 0:2])
    bench.draw()
    bench.answer()
    bench.wishes.assist_take.emit()
    bench.stroke(where=np.s_[0, 0:3])
    for left in (2 + 25, 2, 0):
        bench.link.signals.undo_pressed.emit()
        assert (bench.paint[2] == 1).sum() == left


def test_the_undo_button_takes_a_mask_back_and_keeps_later_strokes(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    bench.wishes.assist_take.emit()
    bench.stroke(where=np.s_[0, 0:3])
    bench.wishes.undo_accept.emit()
    assert (bench.paint[2] == 1).sum() == 3


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
    bench.box.hide.reset_mock()
    bench.link.signals.box_dropped.emit()
    assert not bench.state.on
    bench.box.hide.assert_called_once_with()


def test_a_preview_follows_the_label_and_falls_with_its_slice(bench):
    bench.wishes.label_added.emit("nucleus")
    bench.ready()
    bench.draw()
    bench.answer()
    bench.wishes.label_selected.emit(1)
    assert bench.state.can_take
    bench.box.set_color.assert_called_with(bench.controller.desk.session.labels[1].color)
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
    assert "2-D" in bench.status.text
    bench.box.possible.return_value = True
    bench.link.signals.key_pressed.emit("box")
    assert bench.state.on
    bench.link.signals.key_pressed.emit("box")
    assert not bench.state.on
    bench.wishes.assist_set.emit(True)
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
    bench.box.hide.reset_mock()
    bench.controller.close()
    assert bench.engine.closed
    bench.box.hide.assert_called_once_with()


# ---- beside the jobs of the other engine


def adapting(bench):
    """An Adapt job under way, behind the warm-up that paint starts."""
    bench.stroke(where=np.s_[2:5, 2:5])
    bench.jobs.end()
    bench.wishes.complete_set.emit(True)
    bench.wishes.adapt.emit()
    assert bench.controller.jobs.busy


def test_no_slice_is_looked_at_ahead_while_a_job_runs(bench):
    adapting(bench)
    bench.wishes.assist_set.emit(True)
    bench.go_to(3)
    assert bench.engine.requests == []
    assert bench.state.text == "drag a box around one object"
    bench.jobs.end("on_stopped")
    assert [(type(r), r.index) for r in bench.engine.requests] == [(EmbedRequest, 3)]


def test_a_box_is_answered_while_a_job_runs_and_the_job_goes_on(bench):
    adapting(bench)
    bench.wishes.assist_set.emit(True)
    bench.draw()
    bench.answer()
    bench.wishes.assist_take.emit()
    assert (bench.paint[2] == 1).sum() == 25
    assert bench.controller.jobs.busy
    assert bench.view.set_progress.call_args.args[0].busy
    assert not bench.engine.running


def test_a_look_ahead_that_fails_interrupts_nobody_and_is_not_tried_again(bench):
    bench.controller.desk.say("Restore your work?", "plain", "Restore", lambda: None)
    bench.wishes.assist_set.emit(True)
    bench.engine.end("on_failed", "The engine ran out of memory.")
    assert bench.state.text == "The engine ran out of memory."
    assert bench.status.offer == "Restore", "the way back to earlier work is still offered"
    bench.view.notify.assert_not_called()
    assert len(bench.engine.requests) == 1
    bench.draw()
    bench.answer()
    assert bench.state.can_take
    bench.go_to(3)
    bench.engine.end()
    assert bench.state.text == "drag a box around one object"


def test_an_engine_that_refuses_leaves_the_tool_usable(bench):
    bench.ready()
    bench.engine.refuses = True
    bench.draw()
    assert bench.status.text == "Another job is still running."
    assert not bench.state.can_take
    bench.engine.refuses = False
    bench.draw()
    bench.answer()
    assert bench.state.can_take


def test_a_box_whose_job_was_cancelled_can_be_drawn_again(bench):
    bench.ready()
    bench.draw()
    bench.engine.end("on_stopped")
    assert bench.status.text == "Stopped; drag the box again."
    bench.draw()
    bench.answer()
    assert bench.state.can_take


def test_without_an_engine_the_button_says_so(bench):
    controller = Controller(bench.view, bench.link, PlayedRunner())
    controller.refresh()
    assert "no engine" in bench.state.why_not
    controller.assist.set_on(True)
    assert not controller.desk.assisting


# ---- other work on the same desk


def test_a_preview_falls_when_the_image_shows_other_pixels(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    before = bench.engine.requests[0].stack_key
    bench.controller.desk.session.replace_stack(Stack(np.ones(SHAPE, np.uint8)), other_pixels=True)
    bench.controller.refresh()
    assert not bench.state.can_take
    assert bench.state.on
    bench.box.move.assert_called_with(bench.controller.desk.place, 2)
    assert bench.engine.requests[-1].stack_key != before, "the old look is worth nothing"


def test_another_image_turns_the_tool_off_and_a_new_one_starts_clean(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    bench.box.hide.reset_mock()
    bench.wishes.image_chosen.emit("b")
    assert not bench.state.on
    bench.box.hide.assert_called_once_with()
    bench.ready()
    assert not bench.state.can_take
    assert bench.engine.requests[-1].stack_key != bench.engine.requests[0].stack_key


def test_the_backbone_of_the_settings_is_used(bench):
    bench.ready()
    bench.wishes.settings_changed.emit(FitSettings(backbone="sam-vit-b"))
    assert bench.engine.requests[-1].backbone == "sam-vit-b"


def test_a_taken_mask_is_saved_like_paint(bench):
    bench.ready()
    bench.draw()
    bench.answer()
    bench.wishes.assist_take.emit()
    bench.controller.close()
    (folder,) = SessionStore().folder.glob("*.salt")
    kept = SessionFolder.open_folder(folder)
    assert (kept.paint(2) == 1).sum() == 25
    kept.close()
