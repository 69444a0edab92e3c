"""Work at a coarser level of a pyramid: its layers lie on the image, pixel for pixel, wherever that lies."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_salt.errors import InputError
from napari_salt.geometry import Place, StackGeometry, shown
from napari_salt.records import Origin, SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink

RED = (1.0, 0.0, 0.0, 1.0)


def pyramid(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, shape, np.uint8) for shape in shapes]


def opened(link, viewer, levels, level, axis=None, **kwargs):
    image = viewer.add_image(levels, name="t1", multiscale=True, **kwargs)
    place = link.images.place(link.images.active(), axis, level)
    session = Session(link.images.open_stack(place))
    link.attach(place, session)
    return image, place, session


CASES = {
    "plane": ([(64, 48), (32, 24), (16, 12)], 2, None, {}),
    "odd lengths, filled up": ([(5, 47, 31), (5, 24, 16)], 1, None, {}),
    "odd lengths, cut off": ([(5, 47, 31), (5, 23, 15)], 1, None, {}),
    "no whole number": ([(5, 30, 30), (5, 21, 21)], 1, None, {}),
    "slices shrink too": ([(12, 32, 32), (6, 16, 16), (3, 8, 8)], 2, None, {}),
    "by three": ([(9, 27, 27), (3, 9, 9)], 1, None, {}),
    "moved, anisotropic": (
        [(6, 32, 32), (3, 16, 16)],
        1,
        None,
        {"scale": (4, 0.5, 2), "translate": (10, -3, 7)},
    ),
    "turned": ([(6, 32, 32), (6, 16, 16)], 1, None, {"rotate": 30, "scale": (2, 1, 3)}),
    "sheared": (
        [(6, 32, 32), (6, 16, 16)],
        1,
        None,
        {"shear": (0.1, 0.2, 0.3), "scale": (2, 1, 3)},
    ),
    "affine": ([(6, 32, 32), (6, 16, 16)], 1, None, {"affine": np.diag([2, 3, 4, 1])}),
    "time before z": ([(3, 8, 16, 16), (3, 4, 8, 8)], 1, 1, {}),
    "colour": ([(5, 32, 24, 3), (5, 16, 12, 3)], 1, None, {"rgb": True}),
}


def test_a_stack_knows_where_its_first_voxel_lies(link, viewer):
    shapes, level, _, kwargs = CASES["moved, anisotropic"]
    _, place, session = opened(link, viewer, pyramid(*shapes), level, **kwargs)
    assert session.stack.info.origin.offset == (10 + 4 / 2, -3 + 0.5 / 2, 7 + 2 / 2)
    finest = link.images.open_stack(link.images.at_level(place, 0))
    assert finest.info.origin.offset == (10, -3, 7)


@pytest.mark.parametrize("case", CASES)
def test_each_pixel_of_paint_covers_the_pixels_of_the_image_that_it_stands_for(link, viewer, case):
    shapes, level, axis, kwargs = CASES[case]
    image, place, session = opened(link, viewer, pyramid(*shapes), level, axis, **kwargs)
    paint = next(layer for layer in viewer.layers if "paint" in layer.name)
    info, fine = session.stack.info, link.images.open_stack(link.images.at_level(place, 0)).info
    for at, along in enumerate(place.geometry.stack_axes):
        few, many = (one.shape[-len(place.geometry.stack_axes) :][at] for one in (info, fine))
        spacing = [one.spacing[-len(place.geometry.stack_axes) :][at] for one in (info, fine)]
        exported = shown(few, many, spacing[0] / spacing[1])
        for index in range(many):
            point = np.zeros(image.ndim)
            point[along] = index
            point[list(place.geometry.fixed)] = list(place.geometry.fixed.values())
            found = np.rint(paint.world_to_data(image.data_to_world(point)))[along]
            assert min(found, few - 1) == exported[index], (along, index)


def test_the_finest_level_with_slices_of_a_handy_size_is_taken(link, viewer):
    levels = [np.broadcast_to(np.uint8(0), (2, n, n)) for n in (16384, 4096, 2048, 1024)]
    image = viewer.add_image(levels, multiscale=True)
    place = link.images.place(link.images.active())
    assert place.level == 2
    assert link.images.open_stack(place).info.shape == (2, 2048, 2048)
    assert link.images.levels(place)[0] == (2, 16384, 16384)
    colour = [np.broadcast_to(np.uint8(0), (n, n, 3)) for n in (4096, 2048, 1024)]
    viewer.add_image(colour, multiscale=True, rgb=True)
    assert link.images.place(link.images.active()).level == 2
    viewer.add_image([np.broadcast_to(np.uint8(0), (n, n)) for n in (9000, 4500)], multiscale=True)
    assert link.images.place(link.images.active()).level == 1
    assert image.multiscale


def test_the_level_worked_at_is_taken_again(link, viewer):
    _, place, _ = opened(link, viewer, pyramid((3, 32, 32), (3, 16, 16)), 1)
    assert link.images.place(place.key).level == 1
    assert link.first_place(place.key) == place
    link.close()
    again = ViewerLink(viewer)
    assert again.first_place(place.key) == place
    again.close()


def test_a_level_that_is_not_there_is_refused(link, viewer):
    _, place, _ = opened(link, viewer, pyramid((3, 32, 32), (3, 16, 16)), 0)
    with pytest.raises(InputError, match="no level 2"):
        link.images.at_level(place, 2)


def test_slices_of_a_level_with_fewer_of_them_are_found_and_shown(link, viewer):
    image, _, session = opened(
        link, viewer, pyramid((12, 32, 32), (3, 8, 8)), 1, scale=(5, 1, 1), translate=(7, 0, 0)
    )
    assert len(session.stack) == 3
    told = []
    for index in range(12):
        viewer.dims.set_point(0, image.data_to_world((index, 0, 0))[0])
        told.append(link.current_slice())
    assert told == [0] * 4 + [1] * 4 + [2] * 4
    paint = next(layer for layer in viewer.layers if "paint" in layer.name)
    for index in (2, 0, 1):
        session.annotations.paint[:] = 0
        session.annotations.paint[index] = 1
        link.go_to(index)
        assert link.current_slice() == index
        paint.refresh()
        assert paint._slice.image.raw.all()


def test_spacing_and_origin_are_those_of_the_level(link, viewer):
    affine = ((2.0, 0, 0, 5), (0, 3.0, 0, 6), (0, 0, 4.0, 7), (0, 0, 0, 1))
    origin = Origin("/a.ome.zarr", "ome-zarr", affine)
    _, _, session = opened(
        link,
        viewer,
        pyramid((4, 32, 32), (4, 16, 16)),
        1,
        scale=(2, 3, 4),
        axis_labels=("z", "y", "x"),
        metadata={"napari_salt_origin": origin},
    )
    info = session.stack.info
    assert info.spacing == (2, 6, 8)
    assert (info.origin.path, info.origin.level) == ("/a.ome.zarr", 1)
    # the middle of the first coarse pixel lies between the first two fine ones
    assert np.array(info.origin.affine) @ (0, 0, 0, 1) == pytest.approx((5, 7.5, 9, 1))
    assert np.array(info.origin.affine) @ (0, 1, 1, 1) == pytest.approx((5, 13.5, 17, 1))
    paint = next(layer for layer in viewer.layers if "paint" in layer.name)
    assert paint.name == "t1 paint · level 1"
    assert paint.metadata["napari_salt_origin"] == info.origin


def test_predictions_of_a_level_lie_on_the_image(link, viewer):
    image, _, _ = opened(link, viewer, pyramid((4, 32, 32), (2, 8, 8)), 1)
    labels = np.zeros((8, 8), np.uint16)
    labels[2, 3] = 1
    doubt = np.zeros((8, 8), np.float16)
    link.write_prediction(SlicePrediction(1, labels, doubt, SliceSummary(1, 0.0)))
    shown_there = next(layer for layer in viewer.layers if "prediction" in layer.name)
    assert isinstance(shown_there, Labels)
    for slice_index, row, column, value in (
        (2, 8, 12, 1),
        (3, 11, 15, 1),
        (2, 7, 12, 0),
        (2, 12, 12, 0),
        (1, 8, 12, 0),
    ):
        world = image.data_to_world((slice_index, row, column))
        viewer.dims.set_point(0, world[0])
        assert shown_there.get_value(world, world=True) == value


def test_levels_of_one_image_are_places_of_their_own(link, viewer):
    levels = pyramid((3, 32, 32), (3, 16, 16))
    _, coarse, session = opened(link, viewer, levels, 1)
    session.annotations.paint[1, 2, 3] = 1
    session.annotations.touched(1)
    fine = link.images.at_level(coarse, 0)
    assert fine == Place(coarse.key, StackGeometry(3))
    assert link.session_of(fine) is None
    link.attach(fine, Session(link.images.open_stack(fine)))
    visible = {layer.name: layer.visible for layer in viewer.layers if "paint" in layer.name}
    assert visible == {"t1 paint · level 1": False, "t1 paint": True}
    assert link.session_of(coarse) is session


def test_work_at_a_level_is_found_when_its_image_comes_back(link, viewer):
    levels = pyramid((3, 32, 32), (3, 16, 16))
    image, place, session = opened(link, viewer, levels, 1)
    session.annotations.paint[1, 2, 3] = 1
    session.annotations.touched(1)
    viewer.layers.remove(image)
    link.detach()
    other = viewer.add_image(pyramid((3, 32, 32), (3, 16, 16))[0] + 1)
    assert link.first_place(str(other.unique_id)).level == 0
    back = viewer.add_image(levels, multiscale=True)
    found = link.first_place(str(back.unique_id))
    assert found.level == 1
    assert link.session_of(found) is session
    assert found.key != place.key


def test_fewer_levels_than_the_one_in_use_are_another_image(link, viewer):
    image, place, _ = opened(link, viewer, pyramid((3, 32, 32), (3, 16, 16), (3, 8, 8)), 2)
    told = []
    link.signals.pixels_replaced.connect(lambda: told.append(True))
    image.data = pyramid((3, 32, 32), (3, 16, 16))
    assert told
    assert link.images.open_again(place) is None
    assert link.images.place(place.key).level == 1
