"""A TIFF whose layer another reader has made: levels and sizes come from its file, if the layer still shows that."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_salt.io import opening
from napari_salt.io.opening import open_path
from napari_salt.session.session import Session
from napari_salt.viewer_link import file_facts, images

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 60_000, (3, 96, 80), np.uint16)
COLOUR = RANDOM.integers(0, 255, (96, 80, 3), np.uint8)


def write(path, image, levels=3, order="<"):
    """A TIFF whose coarser levels lie in SubIFDs, as Bio-Formats and QuPath write them."""
    rgb = image.shape[-1] == 3
    options = {"photometric": "rgb" if rgb else "minisblack", "tile": (32, 32)}
    made = [image]
    with tifffile.TiffWriter(path, byteorder=order) as tif:
        tif.write(image, subifds=levels - 1, **options)
        for _ in range(levels - 1):
            finer = made[-1]
            made.append(finer[::2, ::2] if rgb else finer[..., ::2, ::2])
            tif.write(made[-1], subfiletype=1, **options)
    return made


def opened(viewer, path):
    (layer,) = viewer.open(str(path), plugin="napari")
    return layer


@pytest.mark.parametrize("image", [GREY, GREY[0], COLOUR], ids=["stack", "plane", "colour"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_levels_that_naparis_reader_left_in_the_file_are_offered(
    link, viewer, tmp_path, monkeypatch, image, order
):
    monkeypatch.setattr(images, "LARGE", 48 * 40 * (3 if image is COLOUR else 1))
    made = write(tmp_path / "slide.tif", image, order=order)
    layer = opened(viewer, tmp_path / "slide.tif")
    assert not layer.multiscale
    place = link.images.place(link.images.active())
    assert [shape[-2:] for shape in link.images.levels(place)] == [(96, 80), (48, 40), (24, 20)]
    assert place.level == 1
    stack = link.images.open_stack(link.images.at_level(place, 2))
    assert stack.info.spacing == (1, 4, 4)
    last = made[2] if image is GREY else made[2][None]
    np.testing.assert_array_equal(stack.plane(len(last) - 1), last[-1])
    origin = stack.info.origin
    assert (origin.path, origin.level) == (str(tmp_path / "slide.tif"), 2)


def test_what_napari_has_read_is_not_tried_before_it_is_looked_at(
    link, viewer, tmp_path, monkeypatch
):
    """The trial takes half a second, in which the window would stand still."""
    monkeypatch.setattr(opening, "check_survives", lambda *_: pytest.fail("tried"))
    tifffile.imwrite(
        tmp_path / "a.tif",
        GREY,
        photometric="minisblack",
        compression="lzw",
        resolution=(4, 4),
        resolutionunit="CENTIMETER",
    )
    opened(viewer, tmp_path / "a.tif")
    assert (
        link.images.size_in_file(link.images.place(link.images.active())).lengths[1:] == (0.25,) * 2
    )


def test_paint_at_a_level_of_the_file_lies_on_the_image(link, viewer, tmp_path):
    write(tmp_path / "slide.tif", GREY)
    layer = opened(viewer, tmp_path / "slide.tif")
    place = link.images.place(link.images.active(), level=1)
    session = Session(link.images.open_stack(place))
    link.attach(place, session)
    session.annotations.paint[1, 10, 20] = 7
    session.annotations.touched(1)
    paint = next(one for one in viewer.layers if "paint" in one.name)
    for row, column, value in ((20, 40, 7), (21, 41, 7), (19, 40, 0), (22, 41, 0)):
        world = layer.data_to_world((1, row, column))
        viewer.dims.set_point(0, world[0])
        assert (paint.get_value(world, world=True) or 0) == value


def test_what_was_made_of_the_image_since_has_no_levels(link, viewer, tmp_path):
    write(tmp_path / "slide.tif", GREY)
    layer = opened(viewer, tmp_path / "slide.tif")
    key = link.images.active()
    assert link.images.levels(link.images.place(key))
    layer.data = layer.data // 2
    assert link.images.levels(link.images.place(key)) == ()
    layer.data = GREY.copy()
    assert link.images.levels(link.images.place(key))
    layer.data = GREY[:, :50]
    assert link.images.levels(link.images.place(key)) == ()


def test_files_without_levels_are_as_before(link, viewer, tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", GREY, photometric="minisblack")
    (tmp_path / "gone.tif").write_bytes((tmp_path / "flat.tif").read_bytes())
    opened(viewer, tmp_path / "flat.tif")
    opened(viewer, tmp_path / "gone.tif")
    (tmp_path / "gone.tif").unlink()
    viewer.add_image(GREY)
    for entry in link.images.entries():
        place = link.images.place(entry.key)
        assert (link.images.levels(place), place.level) == ((), 0)


def test_a_file_that_was_damaged_since_is_no_matter(link, viewer, tmp_path):
    write(tmp_path / "slide.tif", GREY)
    opened(viewer, tmp_path / "slide.tif")
    (tmp_path / "slide.tif").write_bytes(b"II*\0nothing")
    assert link.images.levels(link.images.place(link.images.active())) == ()


def test_a_file_is_looked_at_once(link, viewer, tmp_path, monkeypatch):
    write(tmp_path / "slide.tif", GREY)
    opened(viewer, tmp_path / "slide.tif")
    asked = []

    def counted(path, wanted):
        asked.append(path)
        return open_path(path, wanted)

    monkeypatch.setattr(file_facts, "open_path", counted)
    for _ in range(3):
        assert link.images.levels(link.images.place(link.images.active()))
    assert asked == [str(tmp_path / "slide.tif")]


IMAGEJ = {
    "imagej": True,
    "resolution": (1 / 0.2, 1 / 0.1),
    "metadata": {"axes": "ZYX", "spacing": 0.5, "unit": "um"},
}


@pytest.fixture
def sized(link, viewer, tmp_path):
    """A stack with sizes in its file, as napari's own reader shows it."""
    tifffile.imwrite(tmp_path / "cells.tif", GREY, **IMAGEJ)
    return opened(viewer, tmp_path / "cells.tif")


def test_the_size_in_the_file_can_be_taken(link, viewer, sized):
    key = link.images.active()
    size = link.images.size_in_file(link.images.place(key))
    assert (size.lengths, size.units) == ((0.5, 0.1, 0.2), ("um", "um", "um"))
    place = link.images.place(key)
    link.attach(place, Session(link.images.open_stack(place)))
    link.take_size(size)
    assert link.images.size_in_file(link.images.place(key)) is None, "the layer says it now"
    info = link.images.open_stack(link.images.place(key)).info
    assert (info.spacing, info.units) == ((0.5, 0.1, 0.2), ("um", "um", "um"))
    assert viewer.scene.camera.center[1:] == pytest.approx((4.75, 7.9)), "all of it is in sight"


def test_the_place_on_screen_stays_also_in_time(link, viewer, tmp_path):
    sizes = {"axes": "TZYX", "spacing": 0.5, "unit": "um", "finterval": 7.0}
    movie = np.stack([GREY, GREY])
    tifffile.imwrite(tmp_path / "m.tif", movie, **{**IMAGEJ, "metadata": sizes})
    opened(viewer, tmp_path / "m.tif")
    viewer.dims.set_point((0, 1), (1, 2))
    key = link.images.active()
    place = link.images.place(key)
    link.attach(place, Session(link.images.open_stack(place)))
    link.take_size(link.images.size_in_file(place))
    assert tuple(viewer.dims.point[:2]) == (7.0, 1.0)
    assert link.current_slice() == 2
    assert link.images.place(key) == place


@pytest.mark.parametrize("change", ["scale", "units", "pixels", "shape"])
def test_what_the_user_said_or_made_stays(link, sized, change):
    if change == "scale":
        sized.scale = (2, 1, 1)
    elif change == "units":
        sized.units = ("mm", "mm", "mm")
    elif change == "pixels":
        sized.data = sized.data // 2
    else:
        sized.data = sized.data[1:]
    assert link.images.size_in_file(link.images.place(link.images.active())) is None


def test_an_axis_without_a_length_stays_in_pixels(link, viewer, tmp_path):
    tags = {"resolution": (20, 10), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack", **tags)
    opened(viewer, tmp_path / "a.tif")
    place = link.images.place(link.images.active())
    size = link.images.size_in_file(place)
    assert (size.lengths, size.units) == ((1.0, 0.1, 0.05), ("pixel", "cm", "cm"))
    link.attach(place, Session(link.images.open_stack(place)))
    link.take_size(size)
    assert link.images.open_stack(place).info.units == ("pixel", "cm", "cm")


@pytest.mark.parametrize("metadata", [{}, {"unit": "parsec", "spacing": 2.0}])
def test_a_file_that_says_nothing_of_use(link, viewer, tmp_path, metadata):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, metadata={"axes": "ZYX", **metadata})
    opened(viewer, tmp_path / "a.tif")
    assert link.images.size_in_file(link.images.place(link.images.active())) is None
