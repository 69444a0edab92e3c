"""Images turned out of the plane on screen: no brush there, and laid straight they are as they were shown."""

from __future__ import annotations

import numpy as np
import pytest

from napari_salt.geometry import part_filled
from napari_salt.records import Origin
from napari_salt.session.session import Session
from napari_salt.session.slice_table import pixel_area
from napari_salt.viewer_link.images import ORIGIN

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def affine(linear, offset=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, offset
    return matrix


ASKEW = (
    {"affine": affine(TURN @ np.diag([3, 1, 1]), (5, 6, 7))},
    {"rotate": TURN, "scale": (3, 1, 1), "translate": (5, 6, 7)},
    {"shear": (0.5, 0, 0), "scale": (3, 1, 1)},
    {"shear": (0, 0.1, 0)},
)


def painted(link, viewer, **place):
    image = viewer.add_image(np.ones((6, 8, 8), np.uint8), name="t1", **place)
    where = link.images.place(link.images.active())
    link.attach(where, Session(link.images.open_stack(where)))
    link.select_label(1, brush=True)
    return image, viewer.layers["t1 paint"]


@pytest.mark.parametrize("place", ASKEW)
def test_no_brush_until_the_image_lies_straight(link, viewer, place):
    image, paint = painted(link, viewer, **place)
    assert link.lies_askew()
    assert paint.mode == "pan_zoom"
    link.go_to(2)
    link.lay_straight()
    assert not link.lies_askew()
    assert link.current_slice() == 2
    assert paint.mode == "paint"
    for index in range(6):
        link.go_to(index)
        for y, x in ((0, 0), (7, 7)):
            corner = image.data_to_world((index, y, x))
            assert corner[0] == pytest.approx(viewer.dims.point[0])
            at = paint.world_to_data(corner)
            np.testing.assert_allclose(at, (index, y, x), atol=1e-9)


def test_size_and_first_voxel_stay(link, viewer):
    image, _ = painted(link, viewer, **ASKEW[0])
    link.lay_straight()
    np.testing.assert_allclose(image.scale, (3, 1, 1))
    np.testing.assert_allclose(image.translate, (5, 6, 7))
    np.testing.assert_allclose(image.affine.affine_matrix, np.eye(4))


@pytest.mark.parametrize(
    "place",
    [
        {"rotate": 30},
        {"scale": (2, -1, 0.5), "translate": (1, 2, 3)},
        {"affine": affine([[2, 0, 0], [0, 0.7, 0.7], [0, -0.7, 0.7]])},
        {"shear": (0, 0, 0.3)},
    ],
)
def test_turned_within_the_plane_it_is_painted_as_it_lies(link, viewer, place):
    _, paint = painted(link, viewer, **place)
    assert not link.lies_askew()
    assert paint.mode == "paint"


@pytest.mark.parametrize(
    ("place", "sizes"),
    [
        ({"scale": (3, -0.1, 0.1), "translate": (1e5, 7, 7)}, (3, 0.1, 0.1)),
        ({"affine": affine(np.diag([3, 0.7, 0.7]))}, (3, 0.7, 0.7)),
        ({"affine": affine(np.diag([2, 2, 2])), "scale": (3, 1, 1)}, (6, 2, 2)),
        ({"rotate": 30, "scale": (3, 2, 2)}, (3, 2, 2)),
        (ASKEW[0], (3, 1, 1)),
    ],
)
def test_voxels_are_as_large_as_scale_and_affine_make_them(link, viewer, place, sizes):
    painted(link, viewer, **place)
    stack = link.images.open_stack(link.images.place(link.images.active()))
    assert stack.info.spacing == pytest.approx(sizes, rel=1e-12)


def measured(link):
    return link.images.open_stack(link.images.place(link.images.active())).info


@pytest.mark.parametrize(
    ("place", "area", "volume"),
    [
        ({"shear": (0, 0, 0.75)}, 0.8, 0.8),
        ({"shear": (0, 0, 0.75), "scale": (3, 2, 2)}, 0.8, 0.8),
        ({"affine": affine([[1, 0, 0], [0, 1, 0.75], [0, 0, 1]])}, 0.8, 0.8),
        ({"affine": affine([[1, 0, 0.75], [0, 1, 0], [0, 0, 1]])}, 1, 0.8),
        ({"rotate": TURN, "scale": (3, 1, 2)}, 1, 1),
        ({"scale": (3, -1, 2)}, 1, 1),
    ],
)
def test_what_a_pixel_fills_counts_its_shear(link, viewer, place, area, volume):
    painted(link, viewer, **place, units="um")
    info = measured(link)
    assert part_filled(info.origin, 2) == pytest.approx(area, rel=1e-6)
    assert part_filled(info.origin, 3) == pytest.approx(volume, rel=1e-6)
    assert pixel_area(info)[0] == pytest.approx(info.spacing[1] * info.spacing[2] * area)


def test_a_single_image_counts_its_shear_as_well(link, viewer):
    viewer.add_image(np.ones((8, 8), np.uint8), shear=(0.75,), scale=(2, 2), units="um")
    info = measured(link)
    assert pixel_area(info) == (pytest.approx(4.0), "um"), "2 by 2.5 long, 0.8 of it filled"
    assert part_filled(info.origin) == pytest.approx(0.8)


def test_the_file_tells_where_the_viewer_lays_the_image_straight(link, viewer):
    image, _ = painted(link, viewer, axis_labels=("z", "y", "x"))
    tilted = ((0, 0, 1, 0), (0, 1, 0.75, 0), (1, 0, 0, 0), (0, 0, 0, 1))
    image.metadata[ORIGIN] = Origin("a.nii", "nifti", tilted)
    assert part_filled(measured(link).origin, 2) == pytest.approx(0.8)
    image.shear = (0, 0, -0.75)
    found = measured(link).origin
    assert (found.path, found.affine) == ("a.nii", tilted)
    assert found.cosines == pytest.approx((0, 0, -0.6))


def test_no_boxes_either(link, viewer):
    painted(link, viewer, **ASKEW[0])
    place = link.images.place(link.images.active())
    assert not link.box.possible(place)
    link.lay_straight()
    assert link.box.possible(place)


def test_a_volume_is_seen_as_a_whole(link, viewer):
    _, paint = painted(link, viewer, rotate=TURN)
    viewer.dims.ndisplay = 3
    assert not link.lies_askew()
    assert paint.mode == "paint"
    viewer.dims.ndisplay = 2
    assert link.lies_askew()
    assert paint.mode == "pan_zoom"
