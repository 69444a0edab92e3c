"""Layers renamed, removed, converted, duplicated, replaced: the dock follows and paint is never lost.

The controller on a real viewer model; the engine and the window play no part.
"""

from __future__ import annotations

from unittest.mock import create_autospec

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_salt.control.controller import Controller
from napari_salt.errors import InputError
from napari_salt.io.identity import identity
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes


class Runner:
    """An engine that never answers."""

    running = False

    def submit(self, request, planes, **calls):
        return 1

    def stop(self):
        pass

    def close(self):
        pass


class Bench:
    """A controller on a real viewer model."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.view.confirm.return_value = True
        self.link = ViewerLink(viewer)
        self.controller = Controller(self.view, self.link, Runner())

    @property
    def session(self):
        return self.controller.desk.session

    @property
    def paint(self):
        return self.session.annotations.paint

    @property
    def image(self):
        return self.view.set_image.call_args.args[0]

    @property
    def status(self):
        return self.view.set_status.call_args.args[0]

    @property
    def readiness(self):
        return self.view.set_readiness.call_args.args[0]

    def key(self, name):
        return next(e.key for e in self.link.images.entries() if e.name == name)

    def stroke(self, index=2, name="t1 paint", label=1):
        self.link.go_to(index)
        layer = self.viewer.layers[name]
        at = [4, 4] if layer.ndim == 2 else [index, 4, 4]
        layer.paint([0] * (layer.ndim - len(at)) + at, label)

    def predict(self, index=2, label=1):
        shape = self.paint.shape[1:]
        self.link.write_prediction(
            SlicePrediction(
                index,
                np.full(shape, label, np.uint16),
                np.zeros(shape, np.float16),
                SliceSummary(index, 0.2),
            )
        )


@pytest.fixture
def bench(viewer):
    viewer.add_image(pixels(), name="t1")
    bench = Bench(viewer)
    bench.wishes.label_added.emit("cell")
    yield bench
    bench.controller.close()


def pixels(shape=(6, 8, 8), seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape, np.uint8)


def convert(viewer, layer, kind):
    """What napari's "Convert to …" does."""
    place = viewer.layers.index(layer)
    viewer.layers.pop(place)
    data, state, _ = layer.as_layer_data_tuple()
    base = ("name", "metadata", "scale", "translate", "units", "axis_labels", "visible")
    viewer.layers.insert(place, Layer.create(data, {key: state[key] for key in base}, kind))
    return viewer.layers[place]


def duplicate(viewer, layer):
    """What napari's "Duplicate layer" does."""
    data, state, kind = layer.as_layer_data_tuple()
    state["name"] += " copy"
    return viewer.add_layer(Layer.create(np.array(data), state, kind))


# ---- the image


def test_a_renamed_image_takes_its_layers_names_along(bench, viewer):
    bench.predict()
    viewer.layers["t1 prediction"].name = "mine"
    viewer.layers["t1"].name = "brain"
    assert {layer.name for layer in viewer.layers} >= {"brain", "brain paint", "mine"}
    assert bench.session.stack.info.name == "brain"


def test_a_new_voxel_size_is_that_of_the_exports_too(bench, viewer):
    viewer.layers["t1"].scale = (3, 1, 1)
    assert bench.session.stack.info.spacing == (3, 1, 1)
    assert "3 × 1 × 1" in bench.image.facts
    np.testing.assert_array_equal(viewer.layers["t1 paint"].scale, (3, 1, 1))


def test_an_image_that_is_tilted_is_laid_straight_by_a_button(bench, viewer):
    image = viewer.layers["t1"]
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    image.rotate, image.scale = turn, (3, 1, 1)
    assert bench.image.note.text == "It lies askew to what is on screen, and cannot be painted so."
    assert bench.image.note.offer == "Lay it straight"
    bench.wishes.image_offer_taken.emit()
    assert not bench.image.note.offer
    assert bench.session.stack.info.spacing == (3, 1, 1)
    image.rotate = turn
    viewer.dims.ndisplay = 3
    assert not bench.image.note.offer


def test_a_size_that_naparis_reader_left_in_the_file_is_offered(bench, viewer, tmp_path):
    sizes = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    options = {"imagej": True, "resolution": (5.0, 10.0), "metadata": sizes}
    tifffile.imwrite(tmp_path / "cells.tif", pixels(), **options)
    (layer,) = viewer.open(str(tmp_path / "cells.tif"), plugin="napari")
    bench.wishes.image_chosen.emit(bench.key("cells"))
    bench.stroke(name="cells paint")
    assert "0.5 × 0.1 × 0.2 µm" in bench.image.note.text
    assert bench.image.note.offer
    bench.link.go_to(4)
    bench.wishes.image_offer_taken.emit()
    assert bench.link.current_slice() == 4, "what is shown stays"
    assert bench.session.stack.info.spacing == (0.5, 0.1, 0.2)
    assert bench.session.stack.info.units == ("um", "um", "um")
    assert not bench.image.note.offer
    assert "0.5 × 0.1 × 0.2 µm" in bench.image.facts
    for name in ("cells", "cells paint"):
        np.testing.assert_allclose(viewer.layers[name].scale, (0.5, 0.1, 0.2))
    assert bench.paint[2, 4, 4] == 1, "no paint is lost"
    assert layer.units == viewer.layers["cells paint"].units


def test_an_image_that_cannot_be_opened_leaves_the_name_of_the_open_one(bench, monkeypatch):
    def refuse(key):
        raise InputError("It has no slices.")

    monkeypatch.setattr(bench.link, "first_place", refuse)
    before = bench.image.key
    bench.view.set_image.reset_mock()
    bench.wishes.image_chosen.emit("another")
    assert bench.view.set_image.called, "the list has run ahead, so it is told again"
    assert bench.image.key == before
    assert bench.status.level == "error"


def test_an_image_that_moved_while_another_was_open(bench, viewer):
    viewer.add_image(pixels(seed=1), name="t2")
    bench.wishes.image_chosen.emit(bench.key("t2"))
    viewer.layers["t1"].translate = (5, 0, 0)
    bench.wishes.image_chosen.emit(bench.key("t1"))
    np.testing.assert_array_equal(viewer.layers["t1 paint"].translate, (5, 0, 0))


def test_an_image_converted_to_labels_and_back_has_its_paint_again(bench, viewer):
    bench.stroke()
    session = bench.session
    labels = convert(viewer, viewer.layers["t1"], "labels")
    assert bench.session is None
    assert "paint on 1 slice is kept" in bench.status.text
    assert not len(session.stack.data.strides) or session.stack.data.strides == (0, 0, 0)
    convert(viewer, labels, "image")
    assert bench.session is session
    assert bench.paint[2, 4, 4] == 1
    paints = [layer for layer in viewer.layers if layer.name == "t1 paint"]
    assert len(paints) == 1
    np.testing.assert_array_equal(session.stack.plane(3), viewer.layers["t1"].data[3])
    bench.stroke(4)
    assert bench.paint[4, 4, 4] == 1


def test_everything_deleted_and_the_image_opened_again(bench, viewer):
    bench.stroke()
    viewer.layers.clear()
    assert bench.session is None
    viewer.add_image(pixels(seed=1), name="other")
    assert not bench.paint.any()
    viewer.add_image(pixels(), name="t1 again")
    bench.wishes.image_chosen.emit(bench.key("t1 again"))
    assert bench.paint[2, 4, 4] == 1
    assert viewer.layers["t1 again paint"].visible
    assert bench.view.set_labels.call_args.args[0][0].name == "cell"


def test_work_outlives_dock_and_layers(bench, viewer):
    bench.stroke()
    viewer.layers.clear()
    bench.controller.close()
    viewer.add_image(pixels(), name="t1")
    again = Bench(viewer)
    assert again.paint[2, 4, 4] == 1
    again.controller.close()


def test_a_layer_without_paint_is_not_kept(bench, viewer):
    session = bench.session
    viewer.layers.clear()
    viewer.add_image(pixels(), name="t1")
    assert bench.session is not session


def test_other_pixels_of_the_same_shape_keep_the_paint(bench, viewer):
    bench.stroke()
    bench.predict()
    bench.session.add_prediction(SliceSummary(2, 0.2))
    new = pixels(seed=3)
    viewer.layers["t1"].data = new
    np.testing.assert_array_equal(bench.session.stack.plane(1), new[1])
    assert bench.paint[2, 4, 4] == 1
    assert bench.session.fresh_slices() == ()
    assert "pixels of “t1” were replaced" in bench.status.text
    known, _ = bench.controller.saving._kept.known.result()
    assert known == identity(bench.session.stack), "the work is kept as that of the new pixels"


@pytest.mark.parametrize("shape", [(5, 8, 8), (6, 9, 8), (8, 8), (2, 6, 8, 8)])
def test_another_shape_starts_anew_and_leaves_the_paint(bench, viewer, shape):
    bench.stroke()
    old = viewer.layers["t1 paint"]
    viewer.layers["t1"].data = pixels(shape, seed=5)
    assert old in viewer.layers
    assert old.data[2, 4, 4] == 1
    assert bench.session.stack.info.shape[-2:] == shape[-2:]
    assert not bench.paint.any()
    assert "another shape" in bench.status.text
    viewer.layers["t1"].data = pixels()
    assert bench.paint[2, 4, 4] == 1
    assert viewer.layers.selection.active is old


def test_the_same_stack_as_a_time_point_of_a_movie_takes_its_paint_over(bench, viewer):
    bench.stroke()
    bench.predict()
    viewer.layers["t1"].data = np.stack([pixels()] * 3)
    assert bench.paint[2, 4, 4] == 1
    assert viewer.layers["t1 paint · axis 0 = 0"].ndim == 4
    assert viewer.layers["t1 paint · axis 0 = 0"].data[0, 2, 4, 4] == 1
    assert (bench.link.predictions()[2] == 1).all()
    assert len([layer for layer in viewer.layers if "paint" in layer.name]) == 1


def test_pixels_replaced_while_another_image_was_open(bench, viewer):
    bench.stroke()
    viewer.add_image(pixels(seed=1), name="t2")
    bench.wishes.image_chosen.emit(bench.key("t2"))
    viewer.layers["t1"].data = pixels((4, 8, 8))
    bench.wishes.image_chosen.emit(bench.key("t1"))
    assert bench.session.stack.info.shape == (4, 8, 8)
    assert not bench.paint.any()
    viewer.layers["t1"].data = pixels()
    assert bench.paint[2, 4, 4] == 1


# ---- our layers


def test_converted_paint_is_an_image_of_the_users_and_paint_comes_back(bench, viewer):
    bench.stroke()
    converted = convert(viewer, viewer.layers["t1 paint"], "image")
    assert isinstance(converted, Image)
    assert bench.status.offer
    bench.wishes.offer_taken.emit()
    (paint,) = [x for x in viewer.layers if isinstance(x, Labels) and "paint" in x.name]
    assert paint.data[2, 4, 4] == 1
    bench.link.go_to(3)
    paint.paint((3, 4, 4), 1)
    assert bench.session.annotations.painted_slices() == (2, 3)


def test_duplicates_are_the_users_own(bench, viewer):
    bench.stroke()
    bench.predict()
    copies = [duplicate(viewer, viewer.layers[f"t1 {role}"]) for role in ("paint", "prediction")]
    before = bench.paint.copy()
    for copy in copies:
        assert "napari-salt" not in copy.metadata
        copy.data_setitem((np.array([1]), np.array([1]), np.array([1])), 1)
    np.testing.assert_array_equal(bench.paint, before)
    bench.predict(3)
    assert not copies[1].data[3].any()
    bench.wishes.uncertainty_shown.emit(True)
    assert duplicate(viewer, viewer.layers["t1 uncertainty"]).name in {
        entry.name for entry in bench.link.images.entries()
    }


def test_paint_of_another_image_deleted_meanwhile(bench, viewer):
    bench.stroke()
    viewer.add_image(pixels(seed=1), name="t2")
    bench.wishes.image_chosen.emit(bench.key("t2"))
    viewer.layers.remove("t1 paint")
    bench.wishes.image_chosen.emit(bench.key("t1"))
    assert bench.paint[2, 4, 4] == 1
    assert viewer.layers["t1 paint"].data[2, 4, 4] == 1


def test_two_viewers_do_not_disturb_each_other(bench, viewer):
    other_viewer = ViewerModel()
    other_viewer.add_image(pixels(), name="t1")
    other = Bench(other_viewer)
    other.wishes.label_added.emit("nucleus")
    bench.stroke(1)
    other.stroke(5)
    assert bench.session.annotations.painted_slices() == (1,)
    assert other.session.annotations.painted_slices() == (5,)
    assert [label.name for label in bench.session.labels] == ["cell"]
    assert other.controller.jobs is not bench.controller.jobs
    viewer.layers.clear()
    other_viewer.layers.clear()
    other_viewer.add_image(pixels(), name="t1")
    assert other.session.annotations.painted_slices() == (5,), "each viewer keeps its own work"
    bench.controller.close()
    other.stroke(3)
    assert other.session.annotations.painted_slices() == (3, 5)
    assert other_viewer.keymap
    other.controller.close()


def test_of_three_channels_removed_at_once_the_one_with_paint_is_told_of(viewer):
    for name in ("actin", "dapi", "tubulin"):
        viewer.add_image(pixels(), name=name)
    bench = Bench(viewer)
    bench.wishes.image_chosen.emit(bench.key("tubulin"))
    bench.wishes.label_added.emit("cell")
    bench.stroke(2, "tubulin paint")
    viewer.layers.clear()
    assert "Its paint on 1 slice is kept" in bench.status.text
    assert not bench.status.offer
    bench.controller.close()


def test_a_paint_layer_without_paint_comes_back_too_and_nothing_is_offered_once_its_image_is_gone(
    viewer,
):
    viewer.add_image(pixels(), name="t1")
    bench = Bench(viewer)
    viewer.layers.remove("t1 paint")
    assert bench.status.text == "The paint layer was removed."
    bench.wishes.offer_taken.emit()
    assert "t1 paint" in viewer.layers
    viewer.layers.remove("t1 paint")
    viewer.layers.remove("t1")
    assert bench.status.text == "The image “t1” was removed from the viewer."
    assert not bench.status.offer
    bench.controller.close()


# ---- time, channels, volumes


def test_each_time_point_keeps_its_paint(viewer):
    viewer.add_image(pixels((3, 4, 8, 8)), name="movie", axis_labels=("t", "z", "y", "x"))
    bench = Bench(viewer)
    bench.wishes.label_added.emit("cell")
    first = bench.controller.desk.place.geometry.fixed[0]
    assert f"t = {first}" in bench.image.facts
    bench.stroke(1, f"movie paint · t = {first}")
    bench.session.use_adapter("some adapter")
    other = (first + 1) % 3
    viewer.dims.set_current_step(0, other)
    assert bench.link.current_slice() is None
    assert bench.image.note.text == f"This is t = {first}; the viewer shows t = {other}."
    assert bench.image.note.offer == f"Work on t = {other}"
    assert f"Press “Work on t = {other}”" in bench.readiness.hint
    bench.wishes.image_offer_taken.emit()
    assert f"t = {other}" in bench.image.facts
    assert bench.image.note.offer == ""
    assert [label.name for label in bench.session.labels] == ["cell"]
    assert bench.session.adapter_path == "some adapter"
    assert not bench.paint.any()
    viewer.dims.set_current_step(0, first)
    bench.wishes.image_offer_taken.emit()
    assert bench.session.annotations.painted_slices() == (1,)
    bench.controller.close()


def test_labels_and_adapter_come_along_to_a_time_point_that_was_open_before(viewer):
    viewer.add_image(pixels((3, 4, 8, 8)), name="movie", axis_labels=("t", "z", "y", "x"))
    bench = Bench(viewer)
    opened = bench.controller.desk.place.geometry.fixed[0]

    def work_on(time):
        viewer.dims.set_current_step(0, time)
        bench.wishes.image_offer_taken.emit()
        return [label.name for label in bench.session.labels]

    worked = (opened + 1) % 3
    work_on(worked)
    bench.wishes.label_added.emit("cell")
    bench.stroke(1, f"movie paint · t = {worked}")
    bench.session.use_adapter("some adapter")
    assert work_on(opened) == ["cell"]
    assert bench.session.adapter_path == "some adapter"
    assert not bench.session.annotations.usable_slices()
    work_on(worked)
    bench.wishes.label_added.emit("dot")
    assert work_on(opened) == ["cell", "dot"]
    bench.wishes.label_removed.emit(2)
    work_on(worked)
    assert work_on(opened) == ["cell"], "what was deleted here does not come back"
    bench.controller.close()


@pytest.mark.parametrize(
    ("shape", "labels", "axis"),
    [
        ((3, 9, 8, 8), None, 1),
        ((9, 3, 8, 8), None, 0),
        ((9, 30, 8, 8), ("z", "c", "y", "x"), 0),
        ((5, 2, 8, 8), ("t", "z", "y", "x"), 1),
        ((9, 5, 8, 8), ("t", "channel", "y", "x"), 0),
        ((2, 9, 3, 8, 8), None, 1),
    ],
)
def test_the_likely_slice_axis(viewer, shape, labels, axis):
    kwargs = {} if labels is None else {"axis_labels": labels}
    viewer.add_image(pixels(shape), **kwargs)
    link = ViewerLink(viewer)
    assert link.images.place(link.images.active()).geometry.slice_axis == axis
    link.close()


def test_single_images_are_stacked_from_the_dock(viewer):
    for number in range(3):
        viewer.add_image(pixels((8, 8), number), name=f"x{number}")
    bench = Bench(viewer)
    assert bench.image.note.offer == "Make one stack of 3"
    bench.wishes.image_offer_taken.emit()
    assert bench.session.stack.info.shape == (3, 8, 8)
    viewer.dims.set_current_step(0, 1)
    assert bench.image.note.text == "x1"
    assert bench.image.note.offer == ""
    bench.controller.close()


def test_predictions_and_strokes_in_three_dimensions(bench, viewer):
    viewer.dims.ndisplay = 3
    for index in range(6):
        bench.predict(index)
    bench.link.draw_predictions()
    assert (bench.link.predictions() == 1).all()
    told = []
    bench.link.signals.painted.connect(told.append)
    paint = viewer.layers["t1 paint"]
    paint.n_edit_dimensions, paint.brush_size = 3, 3
    paint.paint((3, 4, 4), 1)
    assert told == [(2, 3, 4)]
    assert bench.session.annotations.painted_slices() == (2, 3, 4)
    told.clear()
    paint.refresh()
    paint.undo()
    assert set(told) == {(2, 3, 4)}
    assert bench.session.annotations.painted_slices() == ()
    assert not bench.paint.any()
    viewer.dims.ndisplay = paint.n_edit_dimensions = 2
    bench.stroke(5)
    assert bench.session.annotations.painted_slices() == (5,)


def test_layers_are_made_with_the_mouse_resting_on_a_volume(bench, viewer):
    bench.link.set_labels(bench.controller.desk.rows())
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (2.0, 4.0, 4.0)
    viewer.dims.ndisplay = 3
    bench.predict(2)
    bench.wishes.label_selected.emit(1)
    assert viewer.mouse_over_canvas
    assert viewer.layers.selection.active is viewer.layers["t1 paint"]


def test_rolled_axes_lose_no_paint(bench, viewer):
    shown = bench.view.set_slice
    assert not shown.call_args.args[0].all_shown
    viewer.dims.order = (1, 2, 0)
    assert shown.call_args.args[0].all_shown
    viewer.layers["t1 paint"].paint((3, 4, 4), 1)
    assert 3 in bench.session.annotations.painted_slices()
    viewer.layers["t1 paint"].undo()
    assert bench.session.annotations.painted_slices() == ()
