"""TIFF files in which tifffile finds several series: pages written in a loop, several images, pages that are lost."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_salt.errors import InputError
from napari_salt.io import tiles
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.tiles import Tiles

PAGES = np.arange(5 * 24 * 32, dtype=np.uint16).reshape(5, 24, 32)


def looped(path, planes, ome=None, **options):
    with tifffile.TiffWriter(path, ome=ome) as tif:
        for plane in planes:
            tif.write(plane, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.tif", {}), ("a.tif", {"compression": "zlib"}), ("a.ome.tif", {"ome": True})],
)
def test_pages_written_in_a_loop_are_slices_read_one_at_a_time(
    tmp_path, monkeypatch, name, options
):
    path = looped(tmp_path / name, PAGES, **options)
    read, asarray = [], tifffile.TiffPage.asarray
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page, *a, **k: read.append(1) or asarray(page, *a, **k)
    )
    stack = read_stack(path)
    assert (stack.info.shape, stack.slice_axis_name, stack.note) == (PAGES.shape, "Z", "")
    assert read == []
    np.testing.assert_array_equal(stack.plane(3), PAGES[3])
    assert len(read) <= 1
    np.testing.assert_array_equal(read_labels(path).labels, PAGES)


def test_pages_in_colour_written_in_a_loop_are_slices(tmp_path):
    colour = np.random.default_rng(0).integers(0, 255, (3, 16, 24, 3), np.uint8)
    stack = read_stack(looped(tmp_path / "a.tif", colour, photometric="rgb"))
    assert (stack.info.shape, stack.info.rgb) == ((3, 16, 24), True)
    np.testing.assert_array_equal(stack.plane(2), colour[2])


def test_large_pages_written_in_a_loop_are_read_by_the_tile(tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "LARGE", 100)
    stack = read_stack(looped(tmp_path / "a.tif", PAGES, tile=(16, 16), compression="zlib"))
    assert isinstance(stack.data, Tiles)
    np.testing.assert_array_equal(stack.region(4, slice(2, 9), slice(20, 30)), PAGES[4, 2:9, 20:30])


@pytest.mark.parametrize(
    "images",
    [(PAGES, PAGES[:3]), (PAGES, PAGES), (PAGES[0], PAGES[0, :8]), (PAGES[0], PAGES[0] > 9)],
    ids=["unequal stacks", "equal stacks", "unequal planes", "other pixels"],
)
def test_of_several_images_the_first_is_opened_and_the_others_are_told_of(tmp_path, images):
    for name, options in (("a.ome.tif", {"ome": True}), ("a.tif", {})):
        axes = {"axes": "ZYX"[-images[0].ndim :]}
        path = looped(tmp_path / name, images, photometric="minisblack", metadata=axes, **options)
        stack = read_stack(path)
        np.testing.assert_array_equal(stack.plane(0), images[0].reshape(-1, 24, 32)[0])
        assert len(stack) == images[0].size // (24 * 32)
        assert f"{name} holds 2 images; this is the first (" in stack.note


def test_one_of_several_images_is_chosen_by_number_or_name(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number, (name, pixels) in enumerate(
            {"Gross": PAGES, "klein": PAGES[:3, :8]}.items(), 1
        ):
            sizes = {"PhysicalSizeX": number / 2, "PhysicalSizeXUnit": "µm"}
            tif.write(pixels, metadata={"axes": "ZYX", "Name": name, **sizes}, compression="lzw")
    for series in ("1", " KLEIN "):
        stack = read_stack(path, series=series)
        np.testing.assert_array_equal(stack.plane(2), PAGES[2, :8])
        assert (stack.info.spacing[2], stack.info.units[2], stack.note) == (1.0, "um", "")
    assert read_stack(path, series="0").info.spacing[2] == 0.5
    for series in ("2", "-1", "", "gro"):
        with pytest.raises(InputError, match=r"0: Gross \(.*1: klein \(3 × 8 × 32\)\. Choose one"):
            read_stack(path, series=series)


def test_an_image_of_several_has_its_own_levels(tmp_path):
    path, fine = tmp_path / "a.ome.tif", np.zeros((64, 48), np.uint8)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PAGES, metadata={"axes": "ZYX"})
        tif.write(fine, subifds=1, tile=(16, 16), metadata={"axes": "YX"})
        tif.write(fine[::2, ::2], subfiletype=1, tile=(16, 16))
    assert read_stack(path, series="1", level=1).info.shape == (1, 32, 24)
    with pytest.raises(InputError, match="no level 1; it has 1"):
        read_stack(path, series="0", level=1)


def test_lost_pages_are_told_of_in_our_words_only(tmp_path, caplog):
    path = looped(tmp_path / "a.tif", PAGES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stack = read_stack(path)
    assert len(stack) < len(PAGES)
    assert "a.tif ends before its last page" in stack.note
    assert caplog.records == []


def test_what_is_no_tiff_is_refused_without_its_bytes(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"it is no TIFF file, or a damaged one") as caught:
        read_stack(tmp_path / "a.tif")
    assert "header" not in str(caught.value)


def test_a_file_without_pages_is_refused_in_our_words(tmp_path, caplog):
    (tmp_path / "a.tif").write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(InputError, match=r"a\.tif holds no image; .*save it again\.$"):
        read_stack(tmp_path / "a.tif")
    assert caplog.records == []
