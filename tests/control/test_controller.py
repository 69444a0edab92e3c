"""The controller with mock views: wishes in, states out; no Qt, no viewer, no engine."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
from safetensors.numpy import save

from descriptions import described
from napari_salt.control import files_controller, loop_controller
from napari_salt.control.controller import Controller
from napari_salt.control.files_controller import copy_file
from napari_salt.control.loop_controller import outwards
from napari_salt.control.merged_masks import MergedMasks
from napari_salt.control.saving_controller import SavingController
from napari_salt.engine.requests import (
    AdapterSaved,
    AdaptRequest,
    AdaptResult,
    ExtendRequest,
    LookAheadRequest,
    LookAheadResult,
    ScoreRequest,
    ScoreResult,
    SegmentRequest,
    SegmentResult,
    WarmUpRequest,
)
from napari_salt.errors import OutputError
from napari_salt.geometry import Place, StackGeometry
from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.key_table import resolve
from napari_salt.model.adapter_header import HEADER_KEY
from napari_salt.model.adapter_info import AdapterInfo, read_info
from napari_salt.records import (
    BACKGROUND,
    FitRecord,
    FitSettings,
    Label,
    SlicePrediction,
    SliceSummary,
    StepReport,
)
from napari_salt.scale.requests import ClusterSegmentRequest
from napari_salt.session.coverage import COMPLETE, PAINTED, PREDICTED, SUGGESTED
from napari_salt.session.objects import ObjectsChoice
from napari_salt.session.stack import Stack
from napari_salt.session.undo import STROKE, PaintStep
from napari_salt.viewer_link import ViewerLink
from napari_salt.viewer_link.compare import CompareLayers
from napari_salt.viewer_link.images import ViewerImages
from napari_salt.viewer_link.signals import ViewerSignals
from napari_salt.views import (
    DisplayState,
    DockView,
    ImageEntry,
    SuggestionState,
    Wishes,
)
from played_runner import PlayedRunner

SHAPE = (6, 8, 8)
RECORD = FitRecord("salt", "lite-medsam", (2,), 30, 12.0, 1000, "adapted", 0.8, 0.9)


class Bench:
    """A controller among mocks, with one image of six slices."""

    def __init__(self):
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = Wishes()
        self.view.confirm.return_value = True
        self.link = create_autospec(ViewerLink, instance=True)
        self.link.signals = ViewerSignals()
        self.link.images = create_autospec(ViewerImages, instance=True)
        self.link.images.entries.return_value = (ImageEntry("a", "t1"), ImageEntry("b", "t2"))
        self.link.images.active.return_value = "a"
        self.link.images.axes.return_value = ()
        self.link.first_place.side_effect = lambda key: Place(key, StackGeometry(3))
        self.link.images.place.side_effect = lambda key, axis, level: Place(key, StackGeometry(3))
        self.link.images.open_stack.side_effect = lambda place: Stack(
            np.arange(np.prod(SHAPE)).reshape(SHAPE), name=place.key
        )
        self.link.images.position.return_value = ()
        self.link.images.elsewhere.return_value = ()
        self.link.images.levels.return_value = ()
        self.link.images.other_levels.return_value = []
        self.link.single_images.return_value = 1
        self.link.session_of.return_value = None
        self.link.current_slice.return_value = 2
        self.link.predictions.return_value = None
        self.link.display.return_value = DisplayState()
        self.link.keys.return_value = resolve({}, {}, str)
        self.runner = PlayedRunner()
        self.controller = Controller(self.view, self.link, self.runner)
        self.wishes = self.view.wishes
        self.settle()

    def settle(self):
        """Intensities are measured beside this thread; shown from here on, they come as no surprise."""
        measuring = self.controller.intensities._measuring
        if measuring is not None:
            measuring.result(60)
            self.controller.refresh()

    @property
    def session(self):
        return self.controller.desk.session

    def shown(self, name):
        """What the view was shown last."""
        return getattr(self.view, f"set_{name}").call_args.args[0]

    def stroke(self, index, label, where=np.s_[2:5, 2:5]):
        """Paint as the viewer does: the array is edited, then it is told."""
        plane = self.session.annotations.paint[index]
        mask = np.zeros(plane.shape, bool)
        mask[where] = True
        pixels = np.flatnonzero(mask & (plane != label))
        ids = plane.ravel()[pixels]
        step = PaintStep(index, pixels, ids, np.full_like(ids, label), what=STROKE)
        plane[where] = label
        self.link.signals.stroke_made.emit(step)
        self.link.signals.painted.emit((index,))

    def paint(self, index=2, label=1, where=np.s_[2:5, 2:5]):
        self.session.annotations.paint[index][where] = label
        self.link.signals.painted.emit((index,))

    def ready(self):
        """Two labels, one slice painted and complete, warmed up."""
        self.wishes.label_added.emit("cell")
        self.wishes.label_added.emit("nucleus")
        self.paint()
        self.runner.end("on_done", None)
        self.wishes.complete_set.emit(True)


@pytest.fixture
def bench(monkeypatch):
    info = create_autospec(AdapterInfo, instance=True)
    info.kind, info.backbone, info.intensity_choice = "salt", "lite-medsam", AUTO
    info.this_stack_only, info.record, info.labels = False, RECORD, ()
    for module in (loop_controller, files_controller):
        monkeypatch.setattr(module, "read_info", lambda path: info)
    return Bench()


def prediction(index, label=1, **kwargs):
    summary = SliceSummary(index, 0.3, {label: 64}, {label: 0.4})
    uncertain = np.full(SHAPE[1:], 0.3, np.float16)
    return SlicePrediction(
        index, np.full(SHAPE[1:], label, np.uint16), uncertain, summary, **kwargs
    )


# ---- images and labels


def test_opens_the_active_image(bench):
    state = bench.shown("image")
    assert (state.key, state.facts) == ("a", "6 slices · 8 × 8")
    place, session = bench.link.attach.call_args.args
    assert place.key == "a"
    assert session is bench.session


def test_nothing_open_says_what_to_do(monkeypatch):
    view = create_autospec(DockView, instance=True)
    view.wishes = Wishes()
    link = create_autospec(ViewerLink, instance=True)
    link.signals, link.images = ViewerSignals(), create_autospec(ViewerImages, instance=True)
    link.images.active.return_value = None
    link.images.entries.return_value = ()
    link.current_slice.return_value = None
    Controller(view, link, PlayedRunner())
    readiness = view.set_readiness.call_args.args[0]
    assert "image" in readiness.hint
    assert not readiness.adapt.enabled
    view.wishes.label_added.emit("cell")
    assert view.set_status.call_args.args[0].level == "error"


def test_a_new_label_is_taken_up_by_the_brush(bench):
    bench.wishes.label_added.emit("cell")
    assert [row.name for row in bench.shown("labels")] == ["cell", "background"]
    assert bench.shown("selected_label") == 1
    bench.link.select_label.assert_called_with(1, brush=True)
    rows = bench.link.set_labels.call_args.args[0]
    assert rows[0].key == "Alt+1"


def test_a_bad_name_becomes_a_sentence(bench):
    bench.wishes.label_added.emit("cell")
    bench.wishes.label_added.emit("Cell")
    assert "already" in bench.shown("status").text
    assert bench.view.notify.call_args.args[1] == "error"


@pytest.mark.parametrize("what", ["add", "rename", "remove", "paint", "undo"])
def test_a_bad_name_is_no_matter_once_the_user_goes_on(bench, what):
    bench.ready()
    bench.stroke(3, 1)
    bench.link.current_slice.return_value = 3
    bench.wishes.label_renamed.emit(1, "Nucleus")
    assert bench.shown("status").level == "error"
    if what == "add":
        bench.wishes.label_added.emit("vessel")
    elif what == "rename":
        bench.wishes.label_renamed.emit(1, "neuron")
    elif what == "remove":
        bench.wishes.label_removed.emit(2)
    elif what == "paint":
        bench.stroke(3, 1, np.s_[6:, 6:])
    else:
        bench.link.signals.undo_pressed.emit()
    assert bench.shown("status").text == "idle"


def test_going_on_hides_no_error_of_anything_else(bench):
    bench.ready()
    bench.wishes.label_added.emit("cell")
    bench.controller.desk.fail("The disk is full.")
    bench.stroke(3, 1)
    bench.wishes.label_added.emit("vessel")
    assert bench.shown("status").text == "The disk is full."


def test_unchanged_states_are_not_shown_again(bench):
    bench.view.reset_mock()
    bench.controller.refresh()
    assert bench.view.method_calls == []


def test_removing_a_painted_label_asks_first(bench):
    bench.ready()
    bench.view.confirm.return_value = False
    bench.wishes.label_removed.emit(1)
    assert 1 in bench.session.labels
    assert "1 slice" in bench.view.confirm.call_args.args[0]
    bench.view.confirm.return_value = True
    bench.link.refresh_paint.reset_mock()
    bench.wishes.label_removed.emit(1)
    assert 1 not in bench.session.labels
    assert not (bench.session.annotations.paint == 1).any()
    bench.link.refresh_paint.assert_called()


def test_an_unpainted_label_goes_without_asking(bench):
    bench.wishes.label_added.emit("cell")
    bench.wishes.label_removed.emit(1)
    bench.view.confirm.assert_not_called()
    assert len(bench.session.labels) == 0


def test_keys_select_rows(bench):
    bench.ready()
    bench.link.signals.label_key_pressed.emit(1)
    assert bench.shown("selected_label") == 2
    bench.link.signals.label_key_pressed.emit(-1)
    assert bench.shown("selected_label") == BACKGROUND
    bench.link.signals.label_key_pressed.emit(7)
    assert bench.shown("selected_label") == BACKGROUND


def test_an_unknown_label_picked_in_the_viewer_selects_nothing(bench):
    bench.ready()
    bench.link.signals.label_picked.emit(9)
    assert bench.shown("selected_label") is None


def test_another_image_keeps_the_labels_and_settings(bench):
    bench.ready()
    bench.wishes.settings_changed.emit(FitSettings(steps=7))
    first = bench.session
    bench.wishes.image_chosen.emit("b")
    assert bench.session is not first
    assert [label.name for label in bench.session.labels] == ["cell", "nucleus"]
    assert bench.session.settings.steps == 7
    assert bench.session.annotations.painted_slices() == ()


def test_an_image_out_of_sight_is_gone_to(bench):
    bench.link.current_slice.return_value = None
    bench.wishes.image_chosen.emit("b")
    bench.link.go_to.assert_called_once_with(3)


def test_going_back_to_an_image_finds_its_session(bench):
    first = bench.session
    bench.wishes.image_chosen.emit("b")
    bench.link.session_of.return_value = first
    bench.wishes.image_chosen.emit("a")
    assert bench.session is first


def test_an_image_that_comes_back_with_its_paint_is_welcomed(bench):
    first = bench.session
    bench.paint(2, 2, np.s_[:])
    bench.link.images.active.return_value = None
    bench.link.signals.image_lost.emit("a", "t1")
    assert "Its paint on 1 slice is kept" in bench.shown("status").text
    bench.link.images.active.return_value = "a"
    bench.link.session_of.return_value = first
    bench.link.signals.images_changed.emit()
    assert bench.shown("status").text == "your paint on 1 slice is back"


def test_an_image_that_cannot_be_used_is_said_not_raised(bench):
    bench.link.images.entries.return_value = ()
    bench.link.images.active.return_value = None
    bench.link.signals.image_lost.emit("a", "t1")
    bench.link.images.active.return_value = "c"
    bench.link.images.open_stack.side_effect = lambda place: Stack(np.zeros(SHAPE, complex))
    bench.link.signals.images_changed.emit()
    assert "complex" in bench.shown("status").text
    bench.view.notify.assert_not_called()


def test_choosing_the_same_image_elsewhere_in_time_asks_during_a_job(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.wishes.image_chosen.emit("a")
    bench.view.confirm.assert_not_called()
    moved = Place("a", StackGeometry(4, 1, {0: 3}))
    bench.link.images.place.side_effect = lambda key, axis, level: moved
    bench.wishes.image_chosen.emit("a")
    bench.view.confirm.assert_called_once()
    assert bench.controller.desk.place == moved


# ---- paint


def test_strokes_are_counted_and_warm_the_engine_up_once(bench):
    bench.wishes.label_added.emit("cell")
    bench.paint()
    assert bench.shown("labels")[0].slices == 1
    bench.paint(3)
    assert [type(request) for request in bench.runner.requests] == [WarmUpRequest]
    assert not bench.shown("progress").busy


def test_complete_belongs_to_the_slice_on_screen(bench):
    bench.ready()
    assert bench.session.annotations.complete == {2}
    assert bench.shown("slice").complete
    bench.link.current_slice.return_value = 3
    bench.link.signals.slice_changed.emit()
    assert not bench.shown("slice").complete


def test_accept_is_one_step_and_undo_takes_strokes_first(bench):
    bench.ready()
    bench.link.current_slice.return_value = 4
    bench.link.predictions.return_value = np.full(SHAPE, 2, np.uint16)
    bench.session.add_prediction(SliceSummary(4, 0.1))
    bench.link.refresh_paint.reset_mock()
    bench.wishes.accept.emit()
    assert (bench.session.annotations.paint[4] == 2).all()
    bench.link.refresh_paint.assert_called_once_with()
    bench.stroke(4, 1)
    assert (bench.session.annotations.paint[4] == 1).any()
    said = bench.shown("status")
    bench.link.signals.undo_pressed.emit()
    assert (bench.session.annotations.paint[4] == 2).all()
    assert bench.shown("status") == said, "a stroke that is seen to go needs no word"
    bench.link.signals.undo_pressed.emit()
    assert not bench.session.annotations.paint[4].any()
    bench.link.signals.redo_pressed.emit()
    assert (bench.session.annotations.paint[4] == 2).all()
    assert bench.shown("status").text == "prediction on slice 4 made again"


def test_undo_of_accept_survives_a_change_of_slice_and_goes_there(bench):
    bench.ready()
    bench.link.current_slice.return_value = 4
    bench.link.predictions.return_value = np.full(SHAPE, 2, np.uint16)
    bench.wishes.accept.emit()
    bench.link.current_slice.return_value = 0
    bench.link.signals.slice_changed.emit()
    bench.wishes.undo_accept.emit()
    assert not bench.session.annotations.paint[4].any()
    bench.link.go_to.assert_called_with(4)


def test_lost_paint_layer_offers_it_back(bench):
    bench.ready()
    bench.link.signals.paint_lost.emit()
    status = bench.shown("status")
    assert "1 slice is kept" in status.text
    assert status.offer
    bench.wishes.offer_taken.emit()
    bench.link.show_paint.assert_called_with(bench.session)
    assert not bench.shown("status").offer


def test_lost_image_stops_its_job_and_says_so(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.link.images.entries.return_value = (ImageEntry("b", "t2"),)
    bench.link.images.active.return_value = None
    bench.link.signals.image_lost.emit("a", "t1")
    assert bench.runner.stops == 1
    assert bench.session is None
    text = bench.shown("status").text
    assert "t1" in text
    assert "1 slice" in text
    bench.runner.report(prediction(2))
    bench.link.write_prediction.assert_not_called()


# ---- adapt


def test_adapt_works_on_a_frozen_copy(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    request = bench.runner.requests[-1]
    assert isinstance(request, AdaptRequest)
    assert [part.index for part in request.annotated] == [2]
    assert [label.name for label in request.labels] == ["cell", "nucleus"]
    assert (request.preview, request.init) == (2, None)
    before = request.annotated[0].targets.copy()
    bench.paint(2, 2, np.s_[:])
    np.testing.assert_array_equal(request.annotated[0].targets, before)


def test_adapt_shows_progress_curve_and_first_masks(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    assert bench.shown("status").text == "starting…"
    bench.link.prepare_prediction.assert_called_once_with()
    bench.runner.report(StepReport("embedding", 1, 3))
    assert bench.shown("status").text == "embedding 1/3"
    bench.link.write_prediction.assert_not_called()
    bench.runner.report(prediction(2, provisional=True))
    assert bench.link.write_prediction.call_args.args[0].provisional
    bench.runner.report(
        StepReport("adapting", 10, 30, 0.5, 9.0),
        StepReport("adapting", 20, 30, 0.3, 4.0, 0.85),
    )
    bench.controller.tick()
    progress = bench.shown("progress")
    assert (progress.done, progress.total) == (20, 30)
    assert progress.text == "adapting 20/30 (4 s left)"
    assert bench.shown("curve").losses == ((10, 0.5), (20, 0.3))
    assert bench.shown("curve").dice == ((20, 0.85),)
    assert not bench.shown("readiness").adapt.enabled
    assert bench.shown("readiness").stop.enabled


def finish(bench, tmp_path):
    path = tmp_path / "round.salt.safetensors"
    path.write_bytes(b"x" * 10)
    bench.runner.end("on_done", AdaptResult(RECORD, path, 10))
    return path


def test_adapt_learns_the_painted_stack_alone(bench):
    bench.ready()
    assert bench.session.settings.other_stacks
    bench.wishes.adapt.emit()
    assert not bench.runner.requests[-1].settings.other_stacks


def test_a_saved_adapter_is_fitted_for_other_stacks_while_the_dock_is_free(bench, tmp_path):
    adapted(bench, tmp_path)
    files_controller.read_info(None).this_stack_only = True
    files_controller.read_info(None).labels = tuple(bench.session.labels)
    bench.view.ask_save.return_value = tmp_path / "mine.salt.safetensors"
    before = bench.shown("readiness").hint
    bench.wishes.export_adapter.emit()
    assert isinstance(bench.runner.requests[-1], ExtendRequest)
    bench.runner.report(StepReport("adapting", 3, 12, message="changing the backbone"))
    readiness = bench.shown("readiness")
    assert readiness.adapt.enabled
    assert readiness.segment_all.enabled
    assert readiness.hint == before
    assert "3/12" in bench.shown("progress").text
    bench.wishes.adapt.emit()
    bench.runner.end("on_stopped")
    assert isinstance(bench.runner.requests[-1], AdaptRequest)


def test_a_finished_round_is_listed_and_the_stack_segmented(bench, tmp_path):
    bench.ready()
    bench.wishes.adapt.emit()
    path = finish(bench, tmp_path)
    request = bench.runner.requests[-1]
    assert isinstance(request, SegmentRequest)
    assert request.adapter == path
    assert request.slices == (2, 3, 1, 4, 0, 5)
    (row,) = bench.shown("rounds")
    assert (row.number, row.dice, row.active) == (1, "0.80 → 0.90", True)
    assert bench.shown("score") == "held-out Dice 0.90"
    bench.runner.report(*(prediction(index) for index in request.slices))
    bench.link.draw_predictions.assert_not_called()
    bench.runner.end("on_done", SegmentResult(6, 1.0))
    assert bench.shown("status").text == "6 slices segmented"
    assert bench.shown("suggestion").index in {0, 1, 3, 4, 5}
    bench.link.draw_predictions.assert_called()


def test_slices_that_cannot_be_read_are_told_of_and_cost_no_others(bench, tmp_path):
    bench.ready()
    bench.wishes.adapt.emit()
    path = tmp_path / "round.salt.safetensors"
    path.write_bytes(b"x" * 10)
    bench.controller.set_then_segment(False)
    bench.runner.end("on_done", AdaptResult(RECORD, path, 10, left_out=(4,)))
    status = bench.shown("status")
    assert status.text == "round 1 done in 12 s · slice 4 cannot be read and was left out"
    assert status.level == "warning"
    bench.wishes.segment_all.emit()
    request = bench.runner.requests[-1]
    assert request.leave_out
    bench.runner.report(*(prediction(index) for index in request.slices if index != 4))
    bench.runner.end("on_done", SegmentResult(5, 1.0, (4,)))
    status = bench.shown("status")
    assert status.text == "5 slices segmented · slice 4 cannot be read and was left out"
    bench.wishes.segment_slice.emit()
    assert not bench.runner.requests[-1].leave_out, "one that is asked for alone must be there"


def test_without_the_tick_nothing_is_segmented(bench, tmp_path):
    bench.ready()
    bench.wishes.then_segment_set.emit(False)
    bench.wishes.adapt.emit()
    finish(bench, tmp_path)
    assert isinstance(bench.runner.requests[-1], AdaptRequest)
    assert "round 1 done" in bench.shown("status").text


def test_the_next_round_goes_on_from_the_last(bench, tmp_path):
    bench.ready()
    bench.wishes.then_segment_set.emit(False)
    bench.wishes.adapt.emit()
    path = finish(bench, tmp_path)
    bench.wishes.adapt.emit()
    assert bench.runner.requests[-1].init == path
    bench.runner.end("on_stopped")
    for other in (FitSettings(kind="lora"), FitSettings(intensity=WINDOWS["lung"])):
        bench.wishes.settings_changed.emit(other)
        bench.wishes.adapt.emit()
        assert bench.runner.requests[-1].init is None
        bench.runner.end("on_stopped")


def test_adapt_during_warm_up_waits_for_it(bench):
    bench.wishes.label_added.emit("cell")
    bench.paint()
    bench.wishes.complete_set.emit(True)
    bench.wishes.adapt.emit()
    assert len(bench.runner.requests) == 1
    assert bench.shown("status").text == "loading weights…"
    bench.runner.end("on_done", None)
    assert isinstance(bench.runner.requests[-1], AdaptRequest)


def test_pauses_are_used_to_look_ahead_unless_that_is_turned_off(bench, monkeypatch):
    monkeypatch.setattr("napari_salt.control.look_ahead_controller.PAUSE", 0.0)
    bench.wishes.label_added.emit("cell")
    bench.paint()
    bench.runner.end("on_done", None)  # the weights are loaded
    bench.wishes.looking_ahead_set.emit(False)
    bench.controller.tick()
    assert len(bench.runner.requests) == 1
    bench.wishes.looking_ahead_set.emit(True)
    bench.controller.tick()
    assert isinstance(bench.runner.requests[-1], LookAheadRequest)
    assert bench.shown("status").text == "looking ahead in pauses: 0 of 1 slice"
    assert bench.shown("readiness").stop.enabled is False, "it is no job of the user's"
    bench.runner.end("on_done", LookAheadResult(None, 0, room=True))
    assert bench.shown("status").text == "looking ahead in pauses: 1 of 6 slices"


def test_a_waiting_adapt_can_be_stopped(bench):
    bench.wishes.label_added.emit("cell")
    bench.paint()
    bench.wishes.complete_set.emit(True)
    bench.wishes.adapt.emit()
    bench.wishes.stop.emit()
    assert "stopped" in bench.shown("status").text
    bench.runner.end("on_done", None)
    assert len(bench.runner.requests) == 1


def test_stop_keeps_the_first_fit(bench, tmp_path):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.runner.report(AdapterSaved(tmp_path / "first", 10, True))
    bench.wishes.stop.emit()
    assert bench.shown("status").text == "stopping…"
    bench.runner.end("on_stopped")
    assert bench.session.adapter_path == str(tmp_path / "first")
    assert bench.shown("status").text == "round 1 stopped; its first fit is kept"
    assert bench.shown("readiness").segment_all.enabled


def test_a_failed_job_is_a_sentence_and_the_next_one_works(bench):
    bench.ready()
    before = bench.session.annotations.paint.copy()
    bench.wishes.adapt.emit()
    bench.runner.end("on_failed", "The engine has died; press Adapt again.")
    assert "The engine has died; press Adapt again." in bench.shown("status").text
    assert bench.shown("status").level == "error"
    bench.view.notify.assert_called_once()
    np.testing.assert_array_equal(bench.session.annotations.paint, before)
    bench.wishes.adapt.emit()
    assert bench.runner.running


def test_a_late_answer_of_a_left_image_is_dropped(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.wishes.image_chosen.emit("b")
    bench.view.confirm.assert_called_once()
    assert bench.runner.stops == 1
    bench.runner.report(prediction(2))
    bench.link.write_prediction.assert_not_called()
    bench.runner.end("on_failed", "late")
    assert "late" not in bench.shown("status").text


def test_staying_with_the_image_keeps_the_job(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.view.confirm.return_value = False
    bench.view.set_image.reset_mock()
    bench.wishes.image_chosen.emit("b")
    assert bench.runner.stops == 0
    assert bench.shown("image").key == "a", "the combo box must be set back"


def test_adapt_on_the_new_image_waits_for_the_abandoned_job(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.wishes.image_chosen.emit("b")
    bench.paint(1)
    bench.wishes.complete_set.emit(True)
    bench.wishes.adapt.emit()
    assert len([r for r in bench.runner.requests if isinstance(r, AdaptRequest)]) == 1
    bench.runner.end("on_stopped")
    assert [part.index for part in bench.runner.requests[-1].annotated] == [1, 2]


def test_a_new_round_need_not_wait_for_the_masks_of_the_last(bench, tmp_path):
    bench.ready()
    bench.wishes.adapt.emit()
    finish(bench, tmp_path)
    assert isinstance(bench.runner.requests[-1], SegmentRequest)
    readiness = bench.shown("readiness")
    assert readiness.adapt.enabled
    assert not readiness.segment_all.enabled
    bench.wishes.adapt.emit()
    assert bench.runner.stops == 1
    bench.runner.report(prediction(2))
    bench.link.write_prediction.assert_not_called()
    bench.runner.end("on_stopped")
    assert isinstance(bench.runner.requests[-1], AdaptRequest)
    assert not bench.shown("readiness").adapt.enabled


# ---- segment, suggest, restore


def adapted(bench, tmp_path):
    bench.ready()
    bench.wishes.then_segment_set.emit(False)
    bench.wishes.adapt.emit()
    return finish(bench, tmp_path)


def test_labels_that_are_gone_are_not_shown(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.segment_slice.emit()
    assert bench.runner.requests[-1].slices == (2,)
    bench.runner.report(prediction(2, label=9))
    assert not bench.link.write_prediction.call_args.args[0].labels.any()


def test_a_stopped_segmentation_keeps_what_it_has(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.segment_all.emit()
    bench.runner.report(prediction(2), prediction(3))
    bench.controller.tick()
    assert bench.shown("progress").text.startswith("segmenting 2/6")
    bench.wishes.stop.emit()
    bench.runner.end("on_stopped")
    assert bench.shown("status").text == "stopped; 2 slices segmented"
    assert bench.session.predicted_slices() == (2, 3)


def test_segment_all_goes_on_with_what_is_missing_and_begins_anew_when_nothing_is(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.segment_all.emit()
    bench.runner.report(prediction(2), prediction(3))
    bench.wishes.stop.emit()
    bench.runner.end("on_stopped")
    bench.wishes.segment_all.emit()
    assert bench.runner.requests[-1].slices == (1, 4, 0, 5)
    bench.runner.report(*(prediction(index) for index in (1, 4, 0, 5)))
    bench.runner.end("on_done", SegmentResult(4, 1.0))
    bench.wishes.segment_all.emit()
    assert bench.runner.requests[-1].slices == (2, 3, 1, 4, 0, 5)


def test_segment_all_goes_to_the_cluster_of_the_settings(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.settings_changed.emit(FitSettings(cluster="tls://head:8786", device="cuda"))
    bench.wishes.segment_all.emit()
    request = bench.runner.requests[-1]
    assert isinstance(request, ClusterSegmentRequest)
    assert (request.cluster.address, request.device, request.show) == (
        "tls://head:8786",
        "cuda",
        True,
    )
    bench.runner.report(prediction(2))
    bench.runner.end("on_stopped")
    assert bench.session.fresh_slices() == (2,)
    bench.wishes.segment_slice.emit()
    assert type(bench.runner.requests[-1]) is SegmentRequest, "not worth the way"


def test_a_cluster_that_would_speak_in_the_open_is_refused_and_nothing_starts(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.settings_changed.emit(FitSettings(cluster="tcp://10.0.0.3:8786"))
    before = len(bench.runner.requests)
    bench.wishes.segment_all.emit()
    assert "not encrypted" in bench.shown("status").text
    assert len(bench.runner.requests) == before


def test_restore_uses_the_older_adapter(bench, tmp_path):
    first = adapted(bench, tmp_path)
    bench.wishes.adapt.emit()
    second = tmp_path / "second.salt.safetensors"
    bench.runner.end("on_done", AdaptResult(RECORD, second, 10))
    bench.wishes.restore_round.emit(1)
    assert bench.session.adapter_path == str(first)
    assert [row.active for row in bench.shown("rounds")] == [True, False]


def test_next_goes_there_and_skip_goes_elsewhere(bench):
    bench.ready()
    bench.wishes.next_slice.emit()
    first = bench.shown("suggestion").index
    bench.link.go_to.assert_called_with(first)
    bench.link.current_slice.return_value = first
    bench.wishes.skip_slice.emit()
    assert bench.shown("suggestion").index not in {None, first}
    assert first in bench.session.skipped


@pytest.mark.parametrize(
    ("count", "start", "order"), [(4, 0, (0, 1, 2, 3)), (5, 2, (2, 3, 1, 4, 0)), (1, 0, (0,))]
)
def test_outwards(count, start, order):
    assert outwards(count, start) == order


# ---- seeing what happens


def test_the_strip_follows_paint_predictions_and_the_viewer(bench, tmp_path):
    adapted(bench, tmp_path)
    assert (bench.shown("coverage").flags[2], bench.shown("coverage").current) == (
        PAINTED | COMPLETE,
        2,
    )
    bench.wishes.segment_all.emit()
    bench.runner.report(prediction(3))
    assert bench.shown("coverage").flags[3] == PREDICTED
    bench.runner.end("on_stopped")
    flags, suggestion = bench.shown("coverage").flags, bench.shown("suggestion")
    assert len(suggestion.slices) > 1
    assert suggestion.slices[0] == suggestion.index
    assert {i for i in range(6) if flags[i] & SUGGESTED} == set(suggestion.slices)
    bench.link.current_slice.return_value = 5
    bench.link.signals.slice_changed.emit()
    assert bench.shown("coverage").current == 5
    bench.wishes.go_to_slice.emit(1)
    bench.link.go_to.assert_called_with(1)
    bench.link.go_to.reset_mock()
    bench.wishes.go_to_slice.emit(99)
    bench.link.go_to.assert_not_called()


def test_a_suggestion_names_no_label_that_is_gone_or_goes_by_another_name(bench):
    bench.ready()
    for index in range(SHAPE[0]):
        areas, unsure = {1: 64, 2: 64}, {1: 0.1 + 0.01 * index, 2: 0.8 - 0.01 * index}
        bench.session.add_prediction(SliceSummary(index, 0.3, areas, unsure))
    bench.wishes.next_slice.emit()
    assert "nucleus" in bench.shown("suggestion").reason
    bench.wishes.label_renamed.emit(2, "soma")
    assert "soma uncertain" in bench.shown("suggestion").reason
    bench.wishes.label_removed.emit(2)
    assert "cell uncertain" in bench.shown("suggestion").reason
    bench.wishes.label_removed.emit(1)
    assert bench.shown("suggestion") == SuggestionState()
    assert bench.shown("readiness").hint == "Name what you want to find: add a label."


def test_suggestions_of_a_longer_stack_are_forgotten_before_the_next_is_shown(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.next_slice.emit()
    assert max(bench.shown("suggestion").slices) >= 2
    bench.link.images.open_stack.side_effect = lambda place: Stack(np.arange(128).reshape(2, 8, 8))
    # the viewer tells of what is done to its layers while the image is still being opened
    bench.link.set_labels.side_effect = lambda rows: bench.link.signals.slice_changed.emit()
    bench.wishes.image_chosen.emit("b")
    assert bench.shown("suggestion").slices == ()
    assert bench.shown("coverage").flags == bytes(2)


def test_the_table_comes_when_asked_for_and_only_with_news(bench):
    bench.ready()
    bench.view.set_slices.assert_not_called()
    bench.wishes.slices_wanted.emit()
    assert bench.shown("slices").areas[2].tolist() == [9, 0]
    bench.wishes.slices_wanted.emit()
    bench.view.set_slices.assert_called_once()
    for change in (
        lambda: bench.paint(2, 2),
        lambda: bench.session.add_prediction(SliceSummary(4, 0.1)),
        lambda: bench.wishes.label_renamed.emit(1, "cells"),
        lambda: bench.wishes.skip_slice.emit(),
        lambda: bench.session.replace_stack(
            Stack(np.zeros(SHAPE, np.uint8), spacing=(1, 2, 2), units=("mm",) * 3)
        ),
        lambda: bench.wishes.image_chosen.emit("b"),
    ):
        bench.view.set_slices.reset_mock()
        change()
        bench.wishes.slices_wanted.emit()
        bench.view.set_slices.assert_called_once()
    assert not any(bench.shown("slices").flags)


def test_the_table_is_saved(bench, tmp_path):
    bench.ready()
    bench.view.ask_save.return_value = None
    bench.wishes.export_slices.emit()
    bench.view.ask_save.return_value = tmp_path / "slices"
    bench.wishes.export_slices.emit()
    lines = (tmp_path / "slices.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 7
    assert lines[3] == "2,1,1,0,0,,9,0"
    assert bench.shown("status").text == "table of slices saved to slices.csv"


def two_rounds(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.adapt.emit()
    path = tmp_path / "second.salt.safetensors"
    bench.runner.end("on_done", AdaptResult(RECORD, path, 10))
    bench.link.compare = create_autospec(CompareLayers, instance=True)
    return path


def test_two_rounds_are_shown_on_the_slice_on_screen(bench, tmp_path):
    second = two_rounds(bench, tmp_path)
    before = bench.session.predicted_slices()
    bench.wishes.compare_rounds.emit(1, 2)
    assert "Comparing" in bench.shown("readiness").hint
    bench.runner.report(StepReport("segmenting", 1, 1), prediction(2))
    assert bench.shown("status").text == "segmenting slice 2 with round 1…"
    bench.runner.end("on_done", SegmentResult(1, 1.0))
    request = bench.runner.requests[-1]
    assert (request.adapter, request.slices) == (second, (2,))
    bench.link.compare.show.assert_not_called()
    bench.runner.report(prediction(2, label=2))
    bench.runner.end("on_done", SegmentResult(1, 1.0))
    place, index, shown, rows = bench.link.compare.show.call_args.args
    assert (place, index) == (bench.controller.desk.place, 2)
    assert [(name, int(labels.max())) for name, labels in shown] == [("round 1", 1), ("round 2", 2)]
    assert [row.name for row in rows][:2] == ["cell", "nucleus"]
    bench.link.set_shown.assert_called_with("prediction", False)
    assert "64 pixels differ (100.0%)" in bench.shown("comparison").text
    assert bench.session.predicted_slices() == before
    bench.link.write_prediction.assert_not_called()
    bench.wishes.comparison_ended.emit()
    bench.link.compare.clear.assert_called_once()
    bench.link.set_shown.assert_called_with("prediction", True)
    assert bench.shown("comparison").text == ""


def compared(bench, tmp_path):
    two_rounds(bench, tmp_path)
    compare_again(bench)


def compare_again(bench):
    bench.wishes.compare_rounds.emit(1, 2)
    for _ in range(2):
        bench.runner.report(prediction(2))
        bench.runner.end("on_done", SegmentResult(1, 1.0))


def test_rounds_that_agree_are_said_to(bench, tmp_path):
    compared(bench, tmp_path)
    assert "they agree everywhere" in bench.shown("comparison").text


def test_a_label_deleted_meanwhile_is_not_compared(bench, tmp_path):
    two_rounds(bench, tmp_path)
    bench.wishes.compare_rounds.emit(1, 2)
    bench.runner.report(prediction(2, label=2))
    bench.wishes.label_removed.emit(2)
    bench.runner.end("on_done", SegmentResult(1, 1.0))
    bench.runner.report(prediction(2, label=2))
    bench.runner.end("on_done", SegmentResult(1, 1.0))
    shown = bench.link.compare.show.call_args.args[2]
    assert not any(labels.any() for _, labels in shown)
    bench.wishes.label_removed.emit(1)
    assert bench.shown("comparison").text == "", "it would go on showing a deleted label"


def test_a_comparison_ends_with_its_layers_and_with_its_image(bench, tmp_path):
    compared(bench, tmp_path)
    bench.link.compare.shown = False
    bench.link.signals.images_changed.emit()
    assert bench.shown("comparison").text == ""
    bench.link.compare.clear.reset_mock()
    compare_again(bench)
    bench.wishes.image_chosen.emit("b")
    assert bench.shown("comparison").text == ""
    bench.link.compare.clear.assert_called_once()


def scoring(bench, tmp_path):
    """Two rounds, the second of which is being scored."""
    adapted(bench, tmp_path)
    bench.wishes.adapt.emit()
    assert bench.runner.requests[-1].score_later
    unscored = replace(RECORD, kept="first fit", held_out_before=None, held_out_after=None)
    second = tmp_path / "second.salt.safetensors"
    bench.runner.end("on_done", AdaptResult(unscored, second, 10, score_waits=True))
    bench.link.compare = create_autospec(CompareLayers, instance=True)
    bench.controller.tick()
    assert isinstance(bench.runner.requests[-1], ScoreRequest)


def test_a_score_that_came_later_is_shown_and_kept(bench, tmp_path):
    scoring(bench, tmp_path)
    assert bench.shown("rounds")[1].dice == "–"
    bench.runner.end("on_done", ScoreResult(replace(RECORD, kept="adapted", held_out_after=0.93)))
    assert bench.shown("rounds")[1].dice == "0.80 → 0.93"
    assert bench.shown("score").startswith("held-out Dice 0.93 (round 1: 0.90)")


@pytest.mark.parametrize("what", ["compare", "restore", "segment"])
def test_a_score_gives_way(bench, tmp_path, what):
    scoring(bench, tmp_path)
    if what == "compare":
        bench.wishes.compare_rounds.emit(1, 2)
    elif what == "restore":
        bench.wishes.then_segment_set.emit(True)
        bench.wishes.restore_round.emit(1)
    else:
        bench.wishes.segment_slice.emit()
    assert bench.runner.stops == 1
    bench.runner.end("on_stopped")
    assert isinstance(bench.runner.requests[-1], SegmentRequest)


def test_a_stopped_comparison_shows_nothing(bench, tmp_path):
    two_rounds(bench, tmp_path)
    bench.wishes.compare_rounds.emit(1, 2)
    bench.runner.end("on_stopped")
    assert bench.shown("status").text == "comparison stopped"
    assert not bench.runner.running
    bench.link.compare.show.assert_not_called()


def test_held_out_dice_of_labels_is_followed_live(bench):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.runner.report(
        StepReport(
            "scoring", 100, 100, held_out_dice=0.7, held_out_by_label=(("cell", 0.8), ("x", 0.6))
        ),
        StepReport("adapting", 5, 30, 0.5),
    )
    (curve,) = bench.shown("curve").labels
    assert (curve.name, curve.points) == ("cell", ((1, 0.8),))
    assert bench.shown("curve").dice == ()
    bench.runner.end("on_stopped")
    assert bench.shown("curve").labels == ()


def test_scores_of_a_finished_fit_are_no_round_to_come_while_the_stack_is_segmented(
    bench, tmp_path
):
    bench.ready()
    bench.wishes.adapt.emit()
    scored = (("cell", 0.8),)
    bench.runner.report(StepReport("scoring", 1, 1, held_out_dice=0.8, held_out_by_label=scored))
    record = replace(RECORD, held_out_by_label=scored)
    bench.runner.end("on_done", AdaptResult(record, tmp_path / "a", 1))
    assert bench.runner.running
    (curve,) = bench.shown("curve").labels
    assert curve.points == ((1, 0.8),)


def test_the_score_says_when_more_slices_help_little(bench, tmp_path):
    adapted(bench, tmp_path)
    for count in (2, 3):
        record = replace(RECORD, slices=tuple(range(count)), held_out_after=0.9 + count / 1000)
        bench.session.add_round(record, "a", 1)
    bench.controller.refresh()
    assert "gained 0.003: more slices help little now." in bench.shown("score")


def test_loading_ahead_of_time_is_said_but_is_no_job(bench):
    bench.wishes.label_added.emit("cell")
    assert bench.shown("status").text == "idle"
    bench.paint()
    assert bench.shown("status").text == "loading weights…"
    assert not bench.shown("progress").busy
    bench.runner.end("on_done", None)
    assert bench.shown("status").text == "idle"


def test_an_offer_does_not_hide_what_goes_on(bench):
    bench.ready()
    bench.controller.desk.say("Restore your work?", "plain", "Restore", lambda: None)
    bench.wishes.adapt.emit()
    bench.controller.desk.say("Restore your work?", "plain", "Restore", lambda: None)
    bench.runner.report(StepReport("adapting", 84, 150, 0.5, 9.0))
    status = bench.shown("status")
    assert status.text == "adapting 84/150 (9 s left)\nRestore your work?"
    assert status.offer == "Restore"
    bench.runner.end("on_failed", "No memory left; use fewer slices.")
    assert bench.shown("status").text == "No memory left; use fewer slices."


@pytest.mark.parametrize(
    ("text", "level", "shown", "shown_level"),
    [
        ("idle", "plain", "Your work is not being saved.", "warning"),
        ("masks saved", "good", "masks saved\nYour work is not being saved.", "warning"),
        ("No memory.", "error", "No memory.\nYour work is not being saved.", "error"),
        (
            "Your work is not being saved: full.",
            "error",
            "Your work is not being saved: full.",
            "error",
        ),
    ],
)
def test_that_work_is_not_saved_is_told_as_long_as_it_is_so(
    bench, monkeypatch, text, level, shown, shown_level
):
    bench.ready()
    bench.controller.desk.say(text, level)
    monkeypatch.setattr(SavingController, "is_refused", True)
    bench.controller.refresh()
    status = bench.shown("status")
    assert (status.text, status.level) == (shown, shown_level)
    monkeypatch.setattr(SavingController, "is_refused", False)
    bench.controller.refresh()
    assert bench.shown("status").text == text


def test_a_note_of_segmenting_stays_with_the_progress_and_the_end(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.wishes.segment_all.emit()
    bench.runner.report(
        StepReport("segmenting", 0, 6, message="computed on the CPU"),
        prediction(2),
        StepReport("segmenting", 1, 6),
    )
    bench.controller.tick()
    assert bench.shown("status").text.startswith("segmenting 1/6 (")
    assert bench.shown("status").text.endswith(" · computed on the CPU")
    bench.runner.end("on_done", SegmentResult(6, 1.0))
    assert bench.shown("status").text == "6 slices segmented · computed on the CPU"
    bench.wishes.segment_slice.emit()
    bench.runner.end("on_done", SegmentResult(1, 1.0))
    assert bench.shown("status").text == "1 slice segmented"


def test_outline_is_asked_of_the_viewer(bench):
    bench.wishes.prediction_outlined.emit(True)
    bench.link.set_outline.assert_called_once_with(True)


# ---- files


def test_masks_to_export_put_paint_on_top(bench):
    bench.ready()
    session = bench.session
    session.annotations.paint[3, 0, 0] = 2
    session.annotations.paint[3, 0, 1] = BACKGROUND
    session.annotations.touched(3)
    merged = MergedMasks(session, np.full(SHAPE, 1, np.uint16))
    masks = np.stack([merged[index] for index in range(SHAPE[0])])
    assert (masks[0] == 1).all()
    assert set(np.unique(masks[2])) == {0, 1}
    assert masks[2].sum() == 9
    assert (masks[3, 0, 0], masks[3, 0, 1], masks[3, 0, 2]) == (2, 0, 1)


def test_a_deleted_label_is_not_exported_though_it_was_predicted(bench, tmp_path):
    from napari_salt.io.read import read_labels

    bench.ready()
    predictions = np.full(SHAPE, 1, np.uint16)
    predictions[:, :, 4:] = 2
    bench.link.predictions.return_value = predictions
    bench.session.add_prediction(prediction(1).summary)
    bench.wishes.label_removed.emit(2)
    bench.view.ask_save_as.return_value = (tmp_path / "masks.tif", 0)
    bench.wishes.export_masks.emit()
    exported(bench)
    image = read_labels(tmp_path / "masks.tif")
    assert set(np.unique(image.labels)) == {0, 1}
    assert image.names == {1: "cell"}
    assert (predictions[:, :, 4:] == 2).all(), "what was predicted is not written anew"
    bench.view.ask_save.return_value = tmp_path / "objects.csv"
    bench.wishes.export_table.emit(ObjectsChoice())
    exported(bench)
    rows = (tmp_path / "objects.csv").read_text().splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"cell"}


def exported(bench):
    """Let the export that was asked for end, and the dock's clock tick."""
    wait([bench.controller.exports._export.future])
    bench.controller.tick()


def test_masks_are_saved_with_names_and_sizes(bench, tmp_path):
    from napari_salt.io.read import read_labels

    bench.ready()
    bench.view.ask_save_as.return_value = tmp_path / "masks", 0
    bench.wishes.export_masks.emit()
    assert bench.shown("progress").busy
    exported(bench)
    image = read_labels(tmp_path / "masks.tif")
    assert np.asarray(image.labels).shape == SHAPE
    assert image.names == {1: "cell", 2: "nucleus"}
    assert bench.shown("status").text == "masks saved to masks.tif"
    assert not bench.shown("progress").busy


def test_nothing_segments_while_masks_are_saved_and_stop_stops_that(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.view.ask_save_as.return_value = tmp_path / "masks", 0
    bench.wishes.export_masks.emit()
    ready = bench.shown("readiness")
    assert not any((ready.adapt.enabled, ready.segment_all.enabled, ready.export_masks.enabled))
    assert ready.stop.enabled
    bench.wishes.stop.emit()
    assert bench.shown("progress").text == "stopping…"
    exported(bench)
    assert bench.shown("readiness").segment_all.enabled


def test_objects_and_their_table_are_saved(bench, tmp_path):
    bench.ready()
    bench.view.ask_save_as.return_value = tmp_path / "objects.tif", 0
    bench.wishes.export_objects.emit(ObjectsChoice("watershed"))
    exported(bench)
    assert bench.shown("status").text == "objects saved to objects.tif"
    bench.view.ask_save.return_value = tmp_path / "sizes"
    bench.wishes.export_table.emit(ObjectsChoice(volume=True))
    exported(bench)
    assert bench.shown("status").text == "table saved to sizes.csv"
    lines = (tmp_path / "sizes.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("object,label,voxels,volume (pixel³)")


def adapter_from_a_file(monkeypatch, tmp_path, *labels):
    """A file that says it is an adapter of ``labels``; copies lie in a folder of their own."""
    monkeypatch.setattr(files_controller, "read_info", read_info)
    monkeypatch.setattr(files_controller, "rounds_folder", lambda: tmp_path)
    told = described(labels, FitRecord("salt", "lite-medsam", (0,), 0, 1.0, 1, "first fit"))
    path = tmp_path / "a.salt.safetensors"
    path.write_bytes(save({"x": np.zeros(1)}, metadata={HEADER_KEY: told.to_json()}))
    return path


def test_an_adapter_from_a_file_brings_its_labels(bench, tmp_path, monkeypatch):
    bench.ready()
    labels = (Label(1, "Nucleus"), Label(5, "liver", (0.0, 1.0, 0.0, 1.0)))
    bench.view.ask_open.return_value = adapter_from_a_file(monkeypatch, tmp_path, *labels)
    bench.wishes.load_adapter.emit()
    assert bench.session.labels.names == {1: "cell", 2: "nucleus", 5: "liver"}
    bench.wishes.segment_slice.emit()
    used = bench.runner.requests[-1].adapter
    assert [label.label_id for label in read_info(used).labels] == [2, 5]
    bench.runner.report(prediction(2, label=2))
    written = bench.link.write_prediction.call_args.args[0]
    assert set(np.unique(written.labels)) == {2}
    assert written.summary.areas == {2: 64}


def test_the_id_of_a_deleted_label_goes_to_no_other_one(bench, tmp_path, monkeypatch):
    """Masks made before, and adapters, go on speaking of the deleted label by it."""
    bench.ready()
    bench.wishes.label_removed.emit(2)
    labels = (Label(4, "spleen"), Label(2, "liver"), Label(3, "kidney"))
    bench.view.ask_open.return_value = adapter_from_a_file(monkeypatch, tmp_path, *labels)
    bench.wishes.load_adapter.emit()
    assert bench.session.labels.names == {1: "cell", 4: "spleen", 5: "liver", 3: "kidney"}


def test_another_image_does_not_give_the_id_of_a_deleted_label_away_either(bench):
    bench.ready()
    bench.wishes.label_removed.emit(2)
    bench.wishes.image_chosen.emit("b")
    bench.wishes.label_added.emit("liver")
    assert bench.session.labels.names == {1: "cell", 3: "liver"}


def test_the_adapter_is_copied_under_the_asked_name(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.view.ask_save.return_value = tmp_path / "mine"
    bench.wishes.export_adapter.emit()
    assert (tmp_path / "mine.salt.safetensors").read_bytes() == b"x" * 10
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path):
    source = tmp_path / "a"
    source.write_bytes(b"x")
    with pytest.raises(OutputError, match="could not be written"):
        copy_file(source, tmp_path / "missing" / "b")


def test_thinking_better_of_it_writes_nothing(bench, tmp_path):
    adapted(bench, tmp_path)
    bench.view.ask_save.return_value = bench.view.ask_save_as.return_value = None
    bench.wishes.export_adapter.emit()
    bench.wishes.export_masks.emit()
    bench.wishes.export_objects.emit(ObjectsChoice())
    bench.wishes.export_table.emit(ObjectsChoice())
    assert [path.name for path in tmp_path.iterdir()] == ["round.salt.safetensors"]


def test_close_ends_the_engine_and_hears_nothing_more(bench):
    bench.ready()
    bench.controller.close()
    bench.controller.close()
    assert bench.runner.closed
    bench.view.reset_mock()
    bench.wishes.label_added.emit("late")
    bench.link.signals.slice_changed.emit()
    assert bench.view.method_calls == []


# ---- a job always ends


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (("on_failed", "Out of memory; take fewer labels."), "Out of memory; take fewer labels."),
        (("on_stopped",), "round 1 stopped"),
    ],
)
def test_a_job_that_ends_before_its_first_mask_leaves_nothing_behind(bench, how, said):
    bench.ready()
    bench.wishes.adapt.emit()
    bench.runner.report(StepReport("embedding", 1, 3))
    bench.link.drop_empty_prediction.assert_not_called()
    bench.runner.end(*how)
    bench.link.write_prediction.assert_not_called()
    bench.link.drop_empty_prediction.assert_called_once_with()
    assert bench.shown("status").text == said
    assert not bench.shown("progress").busy
    assert bench.shown("readiness").adapt.enabled


@pytest.mark.parametrize("error", [OSError("no more processes"), OutputError("The disk is full.")])
def test_a_job_that_cannot_be_started_says_so(bench, monkeypatch, error):
    bench.ready()

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(bench.runner, "submit", refuse)
    bench.wishes.adapt.emit()
    assert str(error) in bench.shown("status").text
    bench.link.prepare_prediction.assert_not_called()
    assert not bench.shown("progress").busy
    assert bench.shown("readiness").adapt.enabled


def test_a_result_that_cannot_be_kept_ends_the_job_all_the_same(bench, monkeypatch):
    bench.ready()
    bench.wishes.adapt.emit()

    def refuse(*_):
        raise OutputError("The disk is full; free some space.")

    monkeypatch.setattr(bench.session, "add_round", refuse)
    bench.runner.end("on_done", AdaptResult("a.salt.safetensors", RECORD, 10))
    assert bench.shown("status").text == "The disk is full; free some space."
    assert not bench.shown("progress").busy


# ---- a full disk


FULL = OutputError("The disk of '/tmp' is full; free some space and try again.")


def test_a_full_disk_ends_segmenting_with_one_sentence_and_keeps_the_paint(bench):
    bench.ready()
    bench.session.use_adapter("a.salt.safetensors")
    paint = bench.session.annotations.paint.copy()
    bench.wishes.segment_all.emit()
    bench.runner.report(prediction(2))
    bench.link.write_prediction.side_effect = FULL
    bench.view.notify.reset_mock()
    bench.runner.report(prediction(3), prediction(1))
    assert bench.runner.stops == 1
    assert bench.link.write_prediction.call_count == 2
    bench.runner.end("on_stopped")
    status = bench.shown("status")
    assert status.level == "error"
    assert "is full; free some space" in status.text
    assert "Your paint and the masks so far are kept." in status.text
    bench.view.notify.assert_called_once()
    assert bench.session.predicted_slices() == (2,)
    np.testing.assert_array_equal(bench.session.annotations.paint, paint)
    bench.link.write_prediction.side_effect = None
    bench.wishes.segment_all.emit()
    assert set(bench.runner.requests[-1].slices) == set(range(6)) - {2}


def test_a_full_disk_is_no_reason_to_stop_fitting(bench, tmp_path):
    bench.ready()
    bench.wishes.then_segment_set.emit(False)
    bench.wishes.adapt.emit()
    bench.link.write_prediction.side_effect = FULL
    bench.runner.report(prediction(2, provisional=True))
    assert bench.runner.stops == 0
    assert "first look cannot be shown" in bench.view.notify.call_args.args[0]
    bench.runner.end("on_done", AdaptResult(RECORD, tmp_path / "a", 7))
    assert len(bench.session.rounds) == 1
