"""The link on a real viewer model: layers, strokes, positions; no window needed."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_salt.records import BACKGROUND, SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import BACKGROUND_COLOR, DisplayState, LabelRow

RED = (1.0, 0.0, 0.0, 1.0)
ROWS = (LabelRow(1, "cell", RED), LabelRow(BACKGROUND, "background", BACKGROUND_COLOR))


class Heard:
    """Everything that the link has told, in order."""

    def __init__(self, link):
        self.all = []
        for name in ("painted", "image_lost", "paint_lost", "slice_changed", "label_picked"):
            getattr(link.signals, name).connect(self._note(name), check_nargs=False)

    def _note(self, name):
        def note(*args):
            self.all.append((name, *args))

        return note

    def of(self, name):
        return [told[1:] for told in self.all if told[0] == name]


def open_image(link, viewer, data, axis=None, **kwargs):
    layer = viewer.add_image(data, **kwargs)
    place = link.images.place(link.images.active(), axis)
    session = Session(link.images.open_stack(place))
    session.labels.add("cell", RED)
    link.attach(place, session)
    link.set_labels(ROWS)
    return layer, place, session


def stack(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def paint_layer(viewer):
    return next(layer for layer in viewer.layers if layer.name.endswith("paint"))


def prediction(index, shape, label=1, **kwargs):
    labels = np.full(shape, label, np.uint16)
    return SlicePrediction(
        index, labels, np.full(shape, 0.25, np.float16), SliceSummary(index, 0.25), **kwargs
    )


def test_images_topmost_first_without_our_own(link, viewer):
    viewer.add_image(stack(3, 4, 5), name="t1")
    viewer.add_labels(np.zeros((3, 4, 5), int))
    _, place, _ = open_image(link, viewer, stack(3, 4, 5), name="t2")
    link.write_prediction(prediction(0, (4, 5)))
    assert [entry.name for entry in link.images.entries()] == ["t2", "t1"]
    assert place.key == link.images.entries()[0].key


def test_paint_layer_is_the_session_s_array_dressed_like_the_image(link, viewer):
    image, _, session = open_image(
        link,
        viewer,
        stack(6, 4, 5),
        name="t1",
        scale=(2, 1, 1),
        translate=(5, 0, 1),
        units=("mm", "mm", "mm"),
    )
    paint = paint_layer(viewer)
    assert np.shares_memory(paint.data, session.annotations.paint)
    np.testing.assert_array_equal(paint.scale, image.scale)
    np.testing.assert_array_equal(paint.translate, image.translate)
    assert paint.units == image.units
    assert list(paint.features["name"]) == ["unlabelled", "cell", "background"]
    np.testing.assert_allclose(paint.get_color(1), RED)
    assert viewer.layers.selection.active is paint
    assert session.stack.info.units == ("mm",) * 3
    assert session.stack.info.spacing == (2.0, 1.0, 1.0)


def test_a_moved_image_takes_its_layers_along(link, viewer):
    image, _, _ = open_image(link, viewer, stack(3, 4, 5))
    image.scale = (3, 1, 1)
    np.testing.assert_array_equal(paint_layer(viewer).scale, (3, 1, 1))


def test_strokes_undo_and_redo_are_told(link, viewer):
    _, _, session = open_image(link, viewer, stack(6, 8, 8))
    viewer.dims.set_current_step(0, 2)
    heard, paint = Heard(link), paint_layer(viewer)
    paint.paint((2, 4, 4), 1)
    assert heard.of("painted") == [((2,),)]
    assert session.annotations.paint[2, 4, 4] == 1
    paint.undo()
    assert session.annotations.paint[2, 4, 4] == 0
    assert heard.of("painted")[-1] == ((2,),)
    heard.all.clear()
    paint.redo()
    assert session.annotations.paint[2, 4, 4] == 1
    assert heard.of("painted")[-1] == ((2,),)


def test_scrolling_tells_no_paint(link, viewer):
    open_image(link, viewer, stack(6, 8, 8))
    heard = Heard(link)
    viewer.dims.set_current_step(0, 4)
    assert heard.of("painted") == []
    assert heard.of("slice_changed")


def test_redrawing_tells_no_paint(link, viewer):
    open_image(link, viewer, stack(6, 8, 8))
    heard = Heard(link)
    link.set_labels(ROWS)
    paint_layer(viewer).contour = 1
    paint_layer(viewer).refresh()
    assert heard.of("painted") == []


def test_painting_in_three_dimensions_touches_every_slice(link, viewer):
    open_image(link, viewer, stack(3, 8, 8))
    heard, paint = Heard(link), paint_layer(viewer)
    paint.n_edit_dimensions = 3
    paint.paint((1, 4, 4), 1)
    assert heard.of("painted") == [((0, 1, 2),)]


@pytest.mark.parametrize("scale", [(1, 1, 1), (2.5, 1, 1)])
def test_go_to_and_current_slice(link, viewer, scale):
    open_image(link, viewer, stack(6, 8, 8), scale=scale)
    for index in (5, 0, 3):
        link.go_to(index)
        assert link.current_slice() == index


def test_slices_of_a_smaller_image_among_larger_ones(link, viewer):
    viewer.add_image(stack(20, 8, 8))
    open_image(link, viewer, stack(4, 8, 8), translate=(6, 0, 0))
    link.go_to(2)
    assert viewer.dims.point[0] == 8
    viewer.dims.set_point(0, 15)
    assert link.current_slice() is None


def test_a_plane_is_a_stack_of_one(link, viewer):
    _, _, session = open_image(link, viewer, stack(8, 9))
    assert session.stack.info.shape == (1, 8, 9)
    assert link.current_slice() == 0
    heard = Heard(link)
    paint_layer(viewer).paint((4, 4), 1)
    assert session.annotations.paint[0, 4, 4] == 1
    assert heard.of("painted") == [((0,),)]
    link.write_prediction(prediction(0, (8, 9)))
    assert link.predictions().shape == (1, 8, 9)


def test_the_image_is_shown_between_two_intensities(link, viewer):
    layer, _, _ = open_image(link, viewer, stack(3, 4, 5))
    link.set_contrast(-1350.0, 150.0)
    assert layer.contrast_limits == [-1350.0, 150.0]
    assert layer.contrast_limits_range[0] <= -1350
    open_image(link, viewer, np.zeros((3, 8, 8, 3), np.uint8), rgb=True)
    link.set_contrast(0.0, 80.0)  # a colour image has none: nothing happens


def test_colour_images(link, viewer):
    data = (stack(4, 8, 8, 3) * 255).astype(np.uint8)
    _, _, session = open_image(link, viewer, data, rgb=True)
    assert session.stack.info.shape == (4, 8, 8)
    assert session.stack.info.rgb
    np.testing.assert_array_equal(session.stack.plane(2), data[2])


def test_of_a_small_pyramid_the_finest_level_is_used(link, viewer):
    data = stack(4, 64, 64)
    _, _, session = open_image(link, viewer, [data, data[:, ::2, ::2]], multiscale=True)
    assert session.stack.info.shape == (4, 64, 64)
    np.testing.assert_array_equal(session.stack.plane(1), data[1])


def test_time_series_choose_the_axis(link, viewer):
    data = stack(3, 4, 8, 9)
    _, place, session = open_image(link, viewer, data, name="movie")
    assert [entry.axis for entry in link.images.axes(place.key)] == [0, 1]
    assert session.stack.info.shape == (4, 8, 9)
    viewer.dims.set_current_step(0, 2)
    again = link.images.place(place.key, 1)
    assert again != place
    over_time = link.images.place(place.key, 0)
    other = Session(link.images.open_stack(over_time))
    link.attach(over_time, other)
    assert other.stack.info.shape == (3, 8, 9)
    viewer.dims.set_current_step(0, 1)
    fixed = over_time.geometry.fixed[1]
    viewer.dims.set_current_step(1, fixed)
    assert link.current_slice() == 1
    np.testing.assert_array_equal(other.stack.plane(1), data[1, fixed])
    viewer.dims.set_current_step(1, fixed - 1)
    assert link.current_slice() is None
    link.go_to(2)
    assert link.current_slice() == 2
    assert viewer.dims.current_step[1] == fixed


def test_predictions_bypass_undo_and_never_touch_paint(link, viewer):
    _, _, session = open_image(link, viewer, stack(6, 8, 8), name="t1")
    viewer.dims.set_current_step(0, 3)
    paint_layer(viewer).paint((3, 4, 4), 1)
    before = session.annotations.paint.copy()
    link.write_prediction(prediction(3, (8, 8), label=2))
    layer = next(layer for layer in viewer.layers if layer.name == "t1 prediction")
    assert not layer.editable
    layer.undo()
    assert (layer.data[3] == 2).all()
    np.testing.assert_array_equal(session.annotations.paint, before)
    link.set_shown("uncertainty", True)
    names = [layer.name for layer in viewer.layers]
    assert names == ["t1", "t1 uncertainty", "t1 prediction", "t1 paint"]
    assert viewer.layers.selection.active is paint_layer(viewer)


def test_only_the_slice_on_screen_is_drawn(link, viewer, monkeypatch):
    open_image(link, viewer, stack(6, 8, 8))
    link.write_prediction(prediction(0, (8, 8)))
    drawn = []
    layer = next(layer for layer in viewer.layers if layer.name.endswith("prediction"))
    layer.events.set_data.connect(lambda event: drawn.append(link.current_slice()))
    viewer.dims.set_current_step(0, 4)
    drawn.clear()
    link.write_prediction(prediction(2, (8, 8)))
    assert drawn == []
    link.write_prediction(prediction(4, (8, 8)))
    assert drawn == [4]
    layer.visible = False
    drawn.clear()
    link.write_prediction(prediction(4, (8, 8)))
    assert drawn == []


def test_uncertainty_is_hidden_until_asked_for(link, viewer):
    open_image(link, viewer, stack(6, 8, 8), name="t1")
    link.write_prediction(prediction(1, (8, 8)))
    assert "t1 uncertainty" not in viewer.layers, "a layer that nobody looks at only costs time"
    link.set_shown("uncertainty", True)
    layer = viewer.layers["t1 uncertainty"]
    assert isinstance(layer, Image)
    assert layer.visible
    assert link.uncertainties()[1].max() == 0.25
    link.set_shown("uncertainty", False)
    assert not layer.visible
    assert not link.display().uncertainty


def test_uncertainty_without_a_layer_waits_with_its_session(link, viewer):
    _, place, session = open_image(link, viewer, stack(6, 8, 8), name="t1")
    link.write_prediction(prediction(1, (8, 8)))
    open_image(link, viewer, stack(6, 8, 8), name="other")
    assert link.uncertainties() is None
    link.attach(place, session)
    link.set_shown("uncertainty", True)
    assert viewer.layers["t1 uncertainty"].data[1].max() == 0.25


def test_opacity_and_visibility_hold_before_the_layer_exists(link, viewer):
    open_image(link, viewer, stack(6, 8, 8), name="t1")
    link.set_opacity(0.2)
    link.set_shown("prediction", False)
    link.write_prediction(prediction(1, (8, 8)))
    layer = viewer.layers["t1 prediction"]
    assert layer.opacity == 0.2
    assert not layer.visible


def test_the_viewer_s_own_controls_are_followed(link, viewer):
    open_image(link, viewer, stack(6, 8, 8), name="t1")
    link.set_shown("uncertainty", True)
    link.write_prediction(prediction(1, (8, 8)))
    link.set_shown("uncertainty", False)
    told = []
    link.signals.display_changed.connect(lambda: told.append(link.display()))
    viewer.layers["t1 prediction"].visible = False
    viewer.layers["t1 prediction"].opacity = 0.25
    viewer.layers["t1 uncertainty"].visible = True
    assert told[-1] == DisplayState(prediction=False, opacity=0.25, uncertainty=True)


def test_the_prediction_layer_comes_ahead_of_the_first_mask(link, viewer):
    open_image(link, viewer, stack(4, 8, 8), name="t1")
    paint = viewer.layers.selection.active
    assert link.predictions() is None
    link.prepare_prediction()
    link.prepare_prediction()
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 prediction", "t1 paint"]
    assert viewer.layers.selection.active is paint
    layer = viewer.layers["t1 prediction"]
    assert layer.visible
    assert not layer.editable
    assert not layer.data.any()
    link.write_prediction(prediction(2, (8, 8)))
    assert viewer.layers["t1 prediction"] is layer
    assert (layer.data[2] == 1).all()
    assert np.may_share_memory(link.predictions(), layer.data)


def test_nothing_is_left_of_a_job_without_a_mask(link, viewer):
    _, place, session = open_image(link, viewer, stack(4, 8, 8), name="t1")
    link.prepare_prediction()
    link.drop_empty_prediction()
    assert link.predictions() is None
    link.draw_predictions()
    link.set_shown("prediction", False)
    link.set_shown("prediction", True)
    link.attach(place, session)
    assert [layer.name for layer in viewer.layers] == ["t1", "t1 paint"]
    link.drop_empty_prediction()


def test_masks_outlive_a_job_that_ends_without_one(link, viewer):
    _, _, session = open_image(link, viewer, stack(4, 8, 8), name="t1")
    mask = prediction(2, (8, 8))
    link.write_prediction(mask)
    session.add_prediction(mask.summary)
    link.prepare_prediction()
    link.drop_empty_prediction()
    assert (viewer.layers["t1 prediction"].data[2] == 1).all()


@pytest.mark.parametrize("selected", [(), ("t1",), ("t1", "t1 paint")])
def test_a_prediction_layer_that_comes_leaves_the_selection_alone(link, viewer, selected):
    open_image(link, viewer, stack(4, 8, 8), name="t1")
    viewer.layers.selection.clear()
    viewer.layers.selection.update(viewer.layers[name] for name in selected)
    told = []
    viewer.layers.selection.events.changed.connect(told.append)
    link.write_prediction(prediction(2, (8, 8)))
    assert {layer.name for layer in viewer.layers.selection} == set(selected)
    assert not told


def test_a_layer_made_ahead_takes_other_colours(link, viewer):
    open_image(link, viewer, stack(4, 8, 8), name="t1")
    link.prepare_prediction()
    blue = (0.0, 0.0, 1.0, 1.0)
    link.set_labels((LabelRow(1, "cell", blue),))
    link.write_prediction(prediction(2, (8, 8)))
    np.testing.assert_allclose(viewer.layers["t1 prediction"].get_color(1), blue)


def test_a_layer_made_ahead_is_of_its_image(link, viewer):
    open_image(link, viewer, stack(4, 8, 8), name="t1")
    link.prepare_prediction()
    open_image(link, viewer, stack(3, 5, 6), name="t2")
    link.write_prediction(prediction(2, (5, 6)))
    assert not viewer.layers["t1 prediction"].visible
    assert viewer.layers["t2 prediction"].data.shape == (3, 5, 6)


def test_a_removed_prediction_layer_comes_back_with_everything(link, viewer):
    open_image(link, viewer, stack(6, 8, 8), name="t1")
    link.write_prediction(prediction(1, (8, 8)))
    viewer.layers.remove("t1 prediction")
    link.write_prediction(prediction(2, (8, 8)))
    assert (viewer.layers["t1 prediction"].data[1:3] == 1).all()


def test_removed_paint_layer_is_told_and_comes_back(link, viewer):
    _, _, session = open_image(link, viewer, stack(6, 8, 8))
    heard = Heard(link)
    paint_layer(viewer).paint((0, 4, 4), 1)
    viewer.layers.remove(paint_layer(viewer))
    assert heard.of("paint_lost") == [()]
    assert session.annotations.paint[0, 4, 4] == 1
    link.show_paint(session)
    link.set_labels(ROWS)
    back = paint_layer(viewer)
    assert back.data[0, 4, 4] == 1
    assert np.shares_memory(back.data, session.annotations.paint)
    np.testing.assert_allclose(back.get_color(1), RED)


def test_removed_image_is_told_by_name(link, viewer):
    image, place, _ = open_image(link, viewer, stack(6, 8, 8), name="t1")
    heard = Heard(link)
    viewer.layers.remove(image)
    assert heard.of("image_lost") == [(place.key, "t1")]


def test_renamed_image_keeps_its_key(link, viewer):
    image, place, _ = open_image(link, viewer, stack(6, 8, 8), name="t1")
    image.name = "brain"
    assert link.images.entries()[0].name == "brain"
    assert link.images.entries()[0].key == place.key


def test_converted_paint_layer_gets_our_array_back(link, viewer):
    _, _, session = open_image(link, viewer, stack(6, 8, 8))
    paint = paint_layer(viewer)
    paint.paint((0, 4, 4), 1)
    heard = Heard(link)
    converted = paint.data.astype(np.int32)
    converted[5, 1, 1] = 1
    paint.data = converted
    assert np.shares_memory(paint.data, session.annotations.paint)
    assert session.annotations.paint[5, 1, 1] == 1
    assert (tuple(range(6)),) in heard.of("painted")


def test_choosing_a_label_readies_the_brush(link, viewer):
    open_image(link, viewer, stack(6, 8, 8))
    paint = paint_layer(viewer)
    viewer.layers.selection.active = viewer.layers[0]
    link.select_label(BACKGROUND, brush=True)
    assert (paint.selected_label, paint.mode) == (BACKGROUND, "paint")
    assert viewer.layers.selection.active is paint
    paint.mode = "fill"
    link.select_label(1, brush=True)
    assert paint.mode == "fill"


def test_choosing_a_label_shows_the_paint_that_was_hidden(link, viewer):
    open_image(link, viewer, stack(3, 8, 8))
    layer = paint_layer(viewer)
    layer.visible = False
    link.select_label(1, brush=False)
    assert not layer.visible
    link.select_label(1, brush=True)
    assert (layer.visible, layer.mode) == (True, "paint")


def test_a_label_chosen_in_the_viewer_is_told(link, viewer):
    open_image(link, viewer, stack(6, 8, 8))
    heard = Heard(link)
    paint_layer(viewer).selected_label = 7
    assert heard.of("label_picked") == [(7,)]


def test_sessions_wait_with_their_paint_layer(link, viewer):
    _, place, session = open_image(link, viewer, stack(6, 8, 8))
    link.write_prediction(prediction(1, (8, 8)))
    link.close()
    again = ViewerLink(viewer)
    assert again.session_of(place) is session
    again.attach(place, session)
    assert len([layer for layer in viewer.layers if isinstance(layer, Labels)]) == 2
    assert (again.predictions()[1] == 1).all()
    again.close()


def test_a_duplicate_of_the_paint_layer_is_not_mistaken_for_it(link, viewer):
    _, place, session = open_image(link, viewer, stack(6, 8, 8))
    original = paint_layer(viewer)
    viewer.layers.insert(0, Labels(original.data.copy(), metadata=dict(original.metadata)))
    link.attach(place, session)
    assert np.shares_memory(link._paint().data, session.annotations.paint)
    assert len(viewer.layers) == 3


def test_another_image_hides_the_layers_of_the_first(link, viewer):
    open_image(link, viewer, stack(6, 8, 8), name="a")
    first = paint_layer(viewer)
    open_image(link, viewer, stack(6, 8, 8), name="b")
    assert not first.visible
    assert viewer.layers["b paint"].visible


def test_close_lets_go(link, viewer):
    open_image(link, viewer, stack(6, 8, 8))
    heard = Heard(link)
    link.close()
    paint_layer(viewer).paint((0, 4, 4), 1)
    viewer.dims.set_current_step(0, 3)
    viewer.layers.remove(paint_layer(viewer))
    assert heard.all == []
    link.close()


def test_keys_select_places(link, viewer):
    pressed = []
    link.signals.label_key_pressed.connect(pressed.append)
    from napari.utils.key_bindings import coerce_keybinding

    for key in ("Alt-2", "Alt-0"):
        viewer.keymap[coerce_keybinding(key)](viewer)
    assert pressed == [1, -1]
    link.close()
    assert coerce_keybinding("Alt-2") not in viewer.keymap


def test_outline_survives_slices_new_layers_and_other_images(link, viewer):
    _, place, session = open_image(link, viewer, stack(4, 8, 8), name="a")
    link.set_outline(True)
    assert link.display().outline
    link.write_prediction(prediction(0, (8, 8)))
    layer = viewer.layers["a prediction"]
    assert layer.contour > 0
    link.go_to(3)
    link.write_prediction(prediction(3, (8, 8)))
    assert layer.contour > 0
    viewer.layers.remove(layer)
    link.set_shown("prediction", True)
    assert viewer.layers["a prediction"].contour > 0
    link.set_outline(False)
    open_image(link, viewer, stack(4, 8, 8), name="b")
    link.write_prediction(prediction(0, (8, 8)))
    link.set_outline(True)
    assert viewer.layers["b prediction"].contour > 0
    link.attach(place, session)
    assert viewer.layers["a prediction"].contour > 0


def test_outline_set_in_the_viewer_is_told(link, viewer):
    open_image(link, viewer, stack(4, 8, 8), name="a")
    link.write_prediction(prediction(0, (8, 8)))
    told = []
    link.signals.display_changed.connect(lambda: told.append(link.display().outline))
    viewer.layers["a prediction"].contour = 3
    assert told == [True]
    link.set_outline(False)
    assert viewer.layers["a prediction"].contour == 0
