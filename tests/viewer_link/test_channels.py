"""Channels that came as layers of their own: the dock says that it sees one, and takes all where asked to."""

from __future__ import annotations

from concurrent.futures import wait
from unittest.mock import create_autospec

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.layers._source import layer_source

from napari_salt.control.controller import Controller
from napari_salt.engine.requests import JobRunner
from napari_salt.io.joined_channels import JoinedChannels
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes


class Bench:
    """A controller on a real viewer model; the engine and the window play no part."""

    def __init__(self, viewer):
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        runner = create_autospec(JobRunner, instance=True, running=False)
        self.controller = Controller(self.view, ViewerLink(viewer), runner)

    @property
    def image(self):
        return self.view.set_image.call_args.args[0]

    @property
    def session(self):
        return self.controller.desk.session


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(1, 60_000, (3, 5, 8, 9), np.uint16)


@pytest.fixture
def bench(viewer):
    made = []

    def opened(of=None):
        made.append(Bench(viewer if of is None else of))
        return made[-1]

    yield opened
    for one in made:
        one.controller.close()


def add_file(viewer, path, *planes, **kwargs):
    with layer_source(path=path):
        for number, data in enumerate(planes):
            viewer.layers.append(Image(data, name=f"{path} {number}", **kwargs))


def test_the_dock_says_that_it_sees_one_channel_and_takes_all(viewer, bench, pixels):
    add_file(viewer, "a.tif", *pixels[:2], scale=(2, 1, 1), units=("um",) * 3)
    desk = bench()
    note = desk.image.note
    assert note.text == "One of 2 channels; the network sees this one only."
    assert note.offer == "Use 2 channels together"
    desk.wishes.image_offer_taken.emit()
    stack = desk.session.stack
    assert stack.info.name == "a.tif 0 + a.tif 1"
    assert (stack.info.channels, stack.info.rgb) == (2, False)
    assert (stack.info.spacing, stack.info.units[0]) == ((2, 1, 1), "um")
    np.testing.assert_array_equal(stack.plane(3), np.moveaxis(pixels[:2, 3], 0, -1))
    assert desk.image.note.text == ""
    assert "2 channels" in desk.image.facts
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False, True]


def test_paint_comes_along(viewer, bench, pixels):
    add_file(viewer, "a.tif", *pixels[:2])
    desk = bench()
    desk.wishes.label_added.emit("cell")
    viewer.dims.set_current_step(0, 2)
    viewer.layers["a.tif 1 paint"].paint((2, 4, 4), 1)
    desk.wishes.complete_set.emit(True)
    before = desk.session
    desk.wishes.image_offer_taken.emit()
    assert desk.session is not before
    assert desk.session.labels.names == {1: "cell"}
    np.testing.assert_array_equal(desk.session.annotations.paint, before.annotations.paint)
    assert desk.session.annotations.complete == {2}
    assert "paint on 1 slice came along" in desk.view.set_status.call_args.args[0].text
    desk.session.annotations.paint[2] = 0
    assert before.annotations.paint[2].any(), "it is a copy"


def test_channels_are_joined_once(viewer, bench, pixels):
    add_file(viewer, "a.tif", *pixels)
    desk = bench()
    desk.wishes.image_offer_taken.emit()
    first = desk.image.key
    desk.wishes.image_chosen.emit(desk.image.entries[-1].key)
    assert desk.session.stack.info.channels == 1
    desk.wishes.image_offer_taken.emit()
    assert desk.image.key == first


def test_those_that_are_selected_are_used(viewer, bench, pixels):
    add_file(viewer, "a.tif", *pixels)
    viewer.layers.selection = {viewer.layers[0], viewer.layers[2]}
    viewer.layers.selection.active = viewer.layers[0]
    desk = bench()
    viewer.layers.selection = {viewer.layers[0], viewer.layers[2]}
    desk.wishes.image_offer_taken.emit()
    assert desk.session.stack.info.channels == 2
    np.testing.assert_array_equal(desk.session.stack.plane(1)[..., 1], pixels[2, 1])


def others(viewer, pixels, kind):
    """A second layer that is no channel of the first."""
    grey = pixels[0]
    add_file(viewer, "a.tif", grey)
    if kind == "another file":
        add_file(viewer, "b.tif", grey)
    elif kind == "another shape":
        add_file(viewer, "a.tif", grey[:3])
    elif kind == "another place":
        add_file(viewer, "a.tif", grey, translate=(0, 0, 9))
    elif kind == "colour":
        add_file(viewer, "a.tif", np.zeros((*grey.shape, 3), np.uint8), rgb=True)
    elif kind == "a copy":
        with layer_source(parent=viewer.layers[0], path="a.tif"):
            viewer.layers.append(Image(grey.copy()))


KINDS = ("another file", "another shape", "another place", "colour", "a copy")


@pytest.mark.parametrize("kind", KINDS)
def test_other_images_are_no_channels(viewer, bench, pixels, kind):
    others(viewer, pixels, kind)
    assert "channel" not in bench().image.note.text


def test_images_from_nowhere_are_channels_where_they_are_laid_over_each_other(
    viewer, bench, pixels
):
    viewer.add_image(pixels[0])
    viewer.add_image(pixels[1])
    desk = bench()
    assert desk.image.note.text == ""
    viewer.layers[1].blending = "additive"
    desk.controller.refresh()
    assert "One of 2 channels" in desk.image.note.text


def test_napari_s_own_split_is_seen(viewer, bench, pixels):
    viewer.add_image(pixels, channel_axis=0)
    assert "One of 3 channels" in bench().image.note.text


def test_planes_that_are_channels_are_no_slices(viewer, bench, pixels):
    add_file(viewer, "a.tif", *pixels[:2, 0])
    assert "channels" in bench().image.note.offer


def test_pyramids_are_told_of_only(viewer, bench, pixels):
    levels = [[one, one[:, ::2, ::2]] for one in pixels[:2]]
    add_file(viewer, "a.tif", *levels, multiscale=True)
    note = bench().image.note
    assert "One of 2 channels" in note.text
    assert note.offer == ""


def test_time_points_of_joined_channels(viewer, bench, pixels):
    movie = np.stack([pixels, pixels[::-1]], axis=1)
    add_file(viewer, "a.tif", *movie, axis_labels=("t", "z", "y", "x"))
    viewer.dims.set_current_step(0, 1)
    desk = bench()
    desk.wishes.image_offer_taken.emit()
    np.testing.assert_array_equal(
        desk.session.stack.plane(2), np.moveaxis(pixels[::-1][:, 2], 0, -1)
    )


def test_nothing_is_read_before_it_is_asked_for(pixels):
    read = []

    def plane(block, number, block_info=None):
        read.append(number)
        return block

    parts = [
        da.from_array(one, chunks=(1, 8, 9)).map_blocks(plane, number, meta=one[:1])
        for number, one in enumerate(pixels)
    ]
    joined = JoinedChannels(parts)
    assert joined.shape == pixels.shape[1:]
    np.testing.assert_array_equal(joined[2], pixels[0, 2])
    assert read == [0]
    stack = Stack(joined.channels, channel_axis=3)
    np.testing.assert_array_equal(stack.plane(4), np.moveaxis(pixels[:, 4], 0, -1))
    assert sorted(read) == [0, 0, 1, 2]
    np.testing.assert_array_equal(joined.channels[1:3, 2, ..., -1], pixels[2, 1:3, 2])


def test_other_types_of_pixels_go_together(pixels):
    joined = JoinedChannels([pixels[0], pixels[1].astype(np.float32), pixels[2].astype(np.uint8)])
    assert joined.dtype == np.float32
    assert joined[0].dtype == np.float32


# ---- over a restart


def painted_together(viewer, bench, pixels):
    """Work on two channels seen together, in a dock that was closed since; where it is kept."""
    add_file(viewer, "a.tif", *pixels[:2])
    desk = bench()
    desk.wishes.image_offer_taken.emit()
    desk.wishes.label_added.emit("cell")
    desk.session.annotations.paint[2, 2:5] = 1
    desk.session.annotations.touched(2)
    desk.wishes.complete_set.emit(True)
    kept = desk.controller.saving._kept
    wait([kept.known])
    desk.controller.close()
    return kept.folder.path


def restarted(bench, pixels, *, channels=2):
    """A dock in a new viewer where the same file is open again."""
    viewer = ViewerModel()
    add_file(viewer, "a.tif", *pixels[:channels])
    desk = bench(viewer)
    wait([desk.controller.saving._kept.known])
    desk.controller.tick()
    return viewer, desk


def test_work_on_channels_together_is_offered_after_a_restart(viewer, bench, pixels):
    painted_together(viewer, bench, pixels)
    again, desk = restarted(bench, pixels)
    status = desk.view.set_status.call_args.args[0]
    assert status.text == "Restore your work on “a.tif 1”, 2 channels together? 1 slice"
    assert status.offer == "Restore"
    desk.wishes.offer_taken.emit()
    assert desk.session.stack.info.channels == 2
    assert desk.session.annotations.painted_slices(1) == (2,)
    assert [layer.name for layer in again.layers][3:] == [
        "a.tif 0 + a.tif 1",
        "a.tif 0 + a.tif 1 paint",
    ]
    desk.wishes.image_chosen.emit(desk.image.entries[-1].key)
    wait([desk.controller.saving._kept.known])
    desk.controller.tick()
    assert not desk.view.set_status.call_args.args[0].offer, "it is open here already"


def test_a_session_of_channels_together_is_opened_on_them(viewer, bench, pixels):
    path = painted_together(viewer, bench, pixels)
    _, desk = restarted(bench, pixels)
    desk.view.ask_folder.return_value = path
    desk.wishes.open_session.emit()
    assert desk.session.stack.info.channels == 2
    assert desk.session.annotations.painted_slices(1) == (2,)


def test_without_the_channels_it_is_said_what_to_open(viewer, bench, pixels):
    path = painted_together(viewer, bench, pixels)
    _, desk = restarted(bench, pixels, channels=1)
    desk.view.ask_folder.return_value = path
    desk.view.ask_open.return_value = None
    desk.view.confirm.return_value = False
    desk.wishes.open_session.emit()
    text = desk.view.set_status.call_args.args[0].text
    assert "open that image first, with its 2 channels as layers of their own" in text
