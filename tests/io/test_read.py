"""Our own files and those of others, with the same metadata."""

from __future__ import annotations

import gc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_salt.errors import InputError
from napari_salt.io.opening import open_path
from napari_salt.io.pages import Pages
from napari_salt.io.read import READERS, LabelImage, read_labels, read_stack
from napari_salt.io.write import write_image, write_masks
from napari_salt.session.stack import Stack

UM, PX = ("um", "um", "um"), ("pixel", "pixel", "pixel")


def numbered(*shape, dtype=np.uint16):
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


# ---- our own, back again

NAMES = {1: "gray matter", 3: "white “µ” <matter>", 300: "far"}
COLORS = {1: (1.0, 0.0, 0.0, 1.0), 3: (0.0, 0.2, 1.0, 0.4)}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("flavour", ["imagej", "ome"])
@pytest.mark.parametrize(
    ("spacing", "units"),
    [
        ((2.0, 0.65, 0.65), UM),
        ((2.0, 1.0, 1.0), ("mm", "mm", "mm")),
        ((0.123456789, 0.333333333, 1e-3), ("nm", "nm", "nm")),
        ((1.0, 1.0, 1.0), PX),
        ((30.0, 0.1, 0.2), ("s", "um", "um")),
        ((1.0, 0.3, 0.2), ("pixel", "um", "um")),
    ],
)
def test_masks_round_trip(tmp_path, flavour, compress, spacing, units):
    labels = np.random.default_rng(0).choice([0, 1, 3, 300], (4, 6, 7))
    path = write_masks(
        tmp_path / "m.tif", labels, names=NAMES, colors=COLORS, spacing=spacing, units=units,
        flavour=flavour, compress=compress,
    )  # fmt: skip
    back = read_labels(path)
    assert (back.shape, back.names, back.units) == ((4, 6, 7), NAMES, units)
    assert back.spacing == pytest.approx(spacing, rel=1e-9)
    assert back.colors == COLORS
    assert back.labels.dtype == np.uint16
    np.testing.assert_array_equal(back.labels, labels)
    np.testing.assert_array_equal(back.plane(2), labels[2])


@pytest.mark.parametrize("flavour", ["imagej", "ome"])
def test_one_slice_stays_a_stack_of_one(tmp_path, flavour):
    path = write_masks(
        tmp_path / "m.tif", np.ones((1, 4, 5), int), spacing=(3, 1, 1), units=UM, flavour=flavour
    )
    back = read_labels(path)
    assert (back.shape, back.spacing) == ((1, 4, 5), (3.0, 1.0, 1.0))


def test_uncertainty_round_trip(tmp_path):
    image = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    stack = read_stack(write_image(tmp_path / "u.tif", image, spacing=(2, 1, 1), units=UM))
    assert (stack.info.dtype, stack.info.spacing, stack.info.units) == ("float32", (2, 1, 1), UM)
    np.testing.assert_array_equal(stack.plane(1), image[1])


# ---- files of others


def imagej(path, data, axes, **metadata):
    tifffile.imwrite(
        path, data, imagej=True, resolution=(4.0, 2.0), metadata={"axes": axes, **metadata}
    )


@pytest.mark.parametrize(
    ("metadata", "spacing", "units"),
    [
        ({"spacing": 3.0, "unit": "micron"}, (3.0, 0.5, 0.25), UM),
        ({"spacing": 3.0, "unit": "\\u00B5m"}, (3.0, 0.5, 0.25), UM),
        ({"spacing": -3.0, "unit": "mm"}, (3.0, 0.5, 0.25), ("mm", "mm", "mm")),
        ({"unit": "um"}, (1.0, 0.5, 0.25), ("pixel", "um", "um")),
        ({"spacing": 3.0, "unit": "um", "zunit": "mm"}, (3.0, 0.5, 0.25), ("mm", "um", "um")),
        ({"spacing": 3.0}, (3.0, 0.5, 0.25), PX),
        ({"spacing": 0.0, "unit": "um"}, (1.0, 0.5, 0.25), UM),
    ],
)
def test_imagej_sizes(tmp_path, metadata, spacing, units):
    imagej(tmp_path / "i.tif", numbered(3, 4, 5), "ZYX", **metadata)
    info = read_stack(tmp_path / "i.tif").info
    assert (info.shape, info.spacing, info.units) == ((3, 4, 5), spacing, units)


def test_print_resolution_is_no_pixel_size(tmp_path):
    tifffile.imwrite(
        tmp_path / "i.tif", numbered(3, 4, 5), imagej=True, resolution=(72, 72),
        resolutionunit="INCH", metadata={"axes": "ZYX"},
    )  # fmt: skip
    tifffile.imwrite(
        tmp_path / "p.tif", numbered(5, 4, 5), resolution=(300, 300), resolutionunit="INCH"
    )
    for name in ("i.tif", "p.tif"):
        info = read_stack(tmp_path / name).info
        assert (info.spacing, info.units) == ((1.0, 1.0, 1.0), PX)


def test_pixels_per_centimetre_are_taken_seriously(tmp_path):
    tifffile.imwrite(
        tmp_path / "p.tif", numbered(4, 5), resolution=(20, 10), resolutionunit="CENTIMETER"
    )
    info = read_stack(tmp_path / "p.tif").info
    assert (info.spacing, info.units) == ((1.0, 0.1, 0.05), ("cm", "cm", "cm"))


def test_imagej_time_series(tmp_path):
    imagej(tmp_path / "t.tif", numbered(3, 4, 5), "TYX", finterval=2.5, unit="um")
    stack = read_stack(tmp_path / "t.tif")
    assert (stack.info.spacing, stack.info.units) == ((2.5, 0.5, 0.25), ("s", "um", "um"))
    assert stack.slice_axis_name == "T"


@pytest.mark.parametrize(
    ("sizes", "spacing", "units"),
    [
        (
            {"PhysicalSizeZ": 3, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25},
            (3.0, 0.5, 0.25),
            UM,  # the default of OME
        ),
        (
            {"PhysicalSizeZ": 3, "PhysicalSizeZUnit": "mm", "PhysicalSizeX": 0.25},
            (3.0, 1.0, 0.25),
            ("mm", "pixel", "um"),
        ),
        ({}, (1.0, 1.0, 1.0), PX),
    ],
)
def test_ome_sizes(tmp_path, sizes, spacing, units):
    tifffile.imwrite(
        tmp_path / "o.ome.tif", numbered(3, 4, 5), metadata={"axes": "ZYX", **sizes}, ome=True
    )
    stack = read_stack(tmp_path / "o.ome.tif")
    assert (stack.info.spacing, stack.info.units) == (spacing, units)
    assert stack.info.name == "o"


SERIES = numbered(2, 3, 2, 4, 5)  # T Z C Y X


@pytest.mark.parametrize("flavour", ["imagej", "ome"])
@pytest.mark.parametrize(
    ("options", "shape", "channels", "index", "expected"),
    [
        ({}, (3, 4, 5), 2, 1, SERIES[0, 1].transpose(1, 2, 0)),
        ({"fixed": {"T": 1}}, (3, 4, 5), 2, 1, SERIES[1, 1].transpose(1, 2, 0)),
        ({"slice_axis": "time"}, (2, 4, 5), 2, 1, SERIES[1, 0].transpose(1, 2, 0)),
        ({"slice_axis": "t", "fixed": {"z": 2}}, (2, 4, 5), 2, 1, SERIES[1, 2].transpose(1, 2, 0)),
        ({"fixed": {"C": 1}}, (3, 4, 5), 1, 1, SERIES[0, 1, 1]),
        ({"slice_axis": "C"}, (2, 4, 5), 1, 1, SERIES[0, 0, 1]),
        ({"slice_axis": "C", "fixed": {"T": 1, "Z": 2}}, (2, 4, 5), 1, 0, SERIES[1, 2, 0]),
    ],
)
def test_many_axes(tmp_path, flavour, options, shape, channels, index, expected):
    tifffile.imwrite(
        tmp_path / "m.tif", SERIES, **{flavour: True}, photometric="minisblack",
        metadata={"axes": "TZCYX"},
    )  # fmt: skip
    stack = read_stack(tmp_path / "m.tif", **options)
    assert (stack.info.shape, stack.info.channels, stack.info.rgb) == (shape, channels, False)
    np.testing.assert_array_equal(stack.plane(index), expected)


def test_time_is_the_slice_axis_when_there_is_no_depth(tmp_path):
    imagej(tmp_path / "t.tif", numbered(4, 2, 4, 5), "TCYX")
    assert read_stack(tmp_path / "t.tif").info.shape == (4, 4, 5)


@pytest.mark.parametrize("axis", ["Z", "depth", ""])
def test_an_axis_that_is_not_there(tmp_path, axis):
    tifffile.imwrite(tmp_path / "p.tif", numbered(4, 5))
    with pytest.raises(InputError, match="it has Y, X"):
        read_stack(tmp_path / "p.tif", slice_axis=axis)


def test_an_index_that_is_not_there(tmp_path):
    imagej(tmp_path / "m.tif", SERIES, "TZCYX")
    with pytest.raises(InputError, match="the last one is 1"):
        read_stack(tmp_path / "m.tif", fixed={"T": 2})


def test_pages_without_names_are_slices(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tif:
        for plane in numbered(4, 6, 7):
            tif.write(plane, contiguous=False, metadata=None)
    tifffile.imwrite(tmp_path / "q.tif", numbered(2, 4, 6, 7), photometric="minisblack")
    stack = read_stack(tmp_path / "pages.tif")
    assert (stack.info.shape, stack.slice_axis_name) == ((4, 6, 7), "Z")
    np.testing.assert_array_equal(stack.plane(3), numbered(4, 6, 7)[3])
    other = read_stack(tmp_path / "q.tif", slice_axis="T", fixed={"Z": 3})
    np.testing.assert_array_equal(other.plane(1), numbered(2, 4, 6, 7)[1, 3])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour(tmp_path, planar, compression, dtype):
    data = numbered(5, 6, 7, 3, dtype=dtype)
    stored = data if planar == "contig" else np.moveaxis(data, -1, 1)
    tifffile.imwrite(
        tmp_path / "c.tif", stored, photometric="rgb", planarconfig=planar, compression=compression
    )
    stack = read_stack(tmp_path / "c.tif")
    assert (stack.info.shape, stack.info.channels, stack.info.rgb) == ((5, 6, 7), 3, True)
    np.testing.assert_array_equal(stack.plane(4), data[4])
    tifffile.imwrite(tmp_path / "one.tif", stored[0], photometric="rgb", planarconfig=planar)
    one = read_stack(tmp_path / "one.tif")
    assert (one.info.shape, one.info.rgb) == ((1, 6, 7), True)
    np.testing.assert_array_equal(one.plane(0), data[0])


@pytest.mark.parametrize("axes", [None, "ZYXC"])
def test_a_last_axis_of_three_bytes_is_colour(tmp_path, axes):
    data = numbered(5, 6, 7, 3, dtype="uint8")
    tifffile.imwrite(
        tmp_path / "c.tif", data, photometric="minisblack", metadata=(axes and {"axes": axes}) or {}
    )
    stack = read_stack(tmp_path / "c.tif")
    assert (stack.info.shape, stack.info.channels, stack.info.rgb) == ((5, 6, 7), 3, True)
    np.testing.assert_array_equal(stack.plane(4), data[4])


# ---- lazily


def test_contiguous_pixels_are_memory_mapped(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", numbered(5, 6, 7), byteorder=">")
    stack = read_stack(tmp_path / "b.tif")
    assert isinstance(stack.data, np.memmap)
    assert stack.plane(1).dtype.isnative
    np.testing.assert_array_equal(stack.plane(1), numbered(5, 6, 7)[1])


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_only_the_page_asked_for_is_decoded(tmp_path, monkeypatch, tile):
    data = numbered(5, 30, 20)
    tifffile.imwrite(tmp_path / "z.tif", data, compression="zlib", tile=tile)
    read = []
    whole = Pages._page
    monkeypatch.setattr(Pages, "_page", lambda self, at: read.append(at) or whole(self, at))
    stack = read_stack(tmp_path / "z.tif")
    assert isinstance(stack.data, Pages)
    np.testing.assert_array_equal(stack.plane(3), data[3])
    assert read == [3]
    np.testing.assert_array_equal(stack.data[1:4, 2], data[1:4, 2])
    np.testing.assert_array_equal(stack.data[...,][0], data[0])


def test_pages_can_be_read_from_many_threads(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (40, 50, 60), np.uint8)
    tifffile.imwrite(tmp_path / "z.tif", data, compression="zlib")
    stack = read_stack(tmp_path / "z.tif")
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(stack.plane, range(40)))
    np.testing.assert_array_equal(np.stack(planes), data)


def test_files_are_closed_with_the_stack(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", numbered(5, 4, 5), compression="zlib")
    stack = read_stack(tmp_path / "z.tif")
    file = stack.data._series.keyframe.parent.filehandle
    stack.plane(0)
    assert not file.closed
    del stack
    gc.collect()
    assert file.closed


# ---- npy and pictures


@pytest.mark.parametrize(
    ("shape", "dtype", "stack_shape", "channels"),
    [
        ((6, 7), "float32", (1, 6, 7), 1),
        ((5, 6, 7), "uint16", (5, 6, 7), 1),
        ((6, 7, 3), "uint8", (1, 6, 7), 3),
        ((6, 7, 3), "uint16", (6, 7, 3), 1),
        ((5, 6, 7, 4), "uint8", (5, 6, 7), 4),
        ((2, 5, 6, 7), "uint8", (5, 6, 7), 1),
    ],
)
def test_npy(tmp_path, shape, dtype, stack_shape, channels):
    np.save(tmp_path / "a.npy", numbered(*shape, dtype=dtype))
    stack = read_stack(tmp_path / "a.npy")
    assert (stack.info.shape, stack.info.channels) == (stack_shape, channels)
    assert isinstance(stack.data, np.memmap)


def test_npy_never_runs_code(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"holds Python objects, .* array of numbers, .* shape"):
        read_stack(tmp_path / "o.npy")


@pytest.mark.parametrize(
    ("mode", "suffix", "dtype", "channels"),
    [
        ("L", ".png", "uint8", 1), ("RGB", ".png", "uint8", 3), ("RGBA", ".png", "uint8", 4),
        ("I;16", ".png", "uint16", 1), ("1", ".png", "uint8", 1), ("LA", ".png", "uint8", 1),
        ("P", ".png", "uint8", 3), ("RGB", ".jpg", "uint8", 3), ("CMYK", ".jpeg", "uint8", 3),
        ("L", ".JPG", "uint8", 1),
    ],
)  # fmt: skip
def test_pictures(tmp_path, mode, suffix, dtype, channels):
    path = tmp_path / f"p{suffix}"
    Image.new(mode, (7, 6)).save(path)
    info = read_stack(path).info
    assert (info.shape, info.dtype, info.channels) == ((1, 6, 7), dtype, channels)


def test_a_turned_photograph_is_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (7, 6)).save(tmp_path / "p.jpg", exif=exif)
    assert read_stack(tmp_path / "p.jpg").info.shape == (1, 7, 6)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_is_one_whatever_else_its_name_hides(tmp_path, name):
    """Pillow would take the first page of a TIFF, and have Ghostscript run PostScript."""
    hidden = Image.fromarray(np.zeros((4, 5), np.uint8))
    for kind in ("TIFF", "EPS", "GIF"):
        hidden.save(tmp_path / "hidden", kind)
        (tmp_path / "hidden").rename(tmp_path / name)
        with pytest.raises(InputError, match="cannot be read as a picture"):
            read_stack(tmp_path / name)
        with pytest.raises(InputError, match="cannot be read as a picture"):
            read_stack(tmp_path)
    hidden.save(tmp_path / name, "PNG")
    assert read_stack(tmp_path / name).info.shape == (1, 4, 5)


def test_labels_from_pictures(tmp_path):
    ids = np.array([[0, 1], [2, 3]], np.uint8)
    palette = Image.fromarray(ids, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "p.png")
    Image.fromarray(ids > 0).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "p.png").labels, ids[None])
    np.testing.assert_array_equal(read_labels(tmp_path / "b.png").labels, ids[None] > 0)


# ---- label images


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0, 255], np.uint8), np.uint8),
        (np.array([0, 1], bool), np.uint8),
        (np.array([0, 255], np.int16), np.uint16),
        (np.array([0, 70000], np.int64), np.uint32),
        (np.array([0, 2**32 - 1], np.uint64), np.uint32),
        (np.array([0.0, 300.0], np.float32), np.uint16),
    ],
)
def test_ids_are_whole_and_unsigned(values, dtype):
    plane = LabelImage(Stack(np.tile(values, (3, 2, 1)))).plane(0)
    assert plane.dtype == dtype
    np.testing.assert_array_equal(plane[0], values.astype(np.uint64))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([0, -1], np.int16), "values from -1 to 0"),
        (np.array([0, 0.5]), "fractions such as 0.5"),
        (np.array([0, np.nan]), r"not a number \(NaN\)"),
        (np.array([0, np.inf]), "values from 0 to inf"),
        (np.array([0, 2**32], np.uint64), r"values from 0 to 4.29497e\+09"),
    ],
)
def test_what_is_no_id(values, problem):
    with pytest.raises(InputError, match=f"holds .*{problem}, but label ids are whole numbers"):
        LabelImage(Stack(np.tile(values, (3, 2, 1)))).plane(0)


def test_colour_is_no_label_image(tmp_path):
    Image.new("RGB", (7, 6)).save(tmp_path / "p.png")
    with pytest.raises(InputError, match="choose the label image"):
        read_labels(tmp_path / "p.png")


@pytest.mark.parametrize("text", ["{", "[1]", '[{"id": "x", "name": "a"}]', '{"id": 1}'])
def test_damaged_names_are_left_out(tmp_path, text):
    imagej(tmp_path / "i.tif", numbered(3, 4, 5), "ZYX", Info=f"napari-salt-labels: {text}\n")
    assert read_labels(tmp_path / "i.tif").names == {}


# ---- what cannot be read


def test_formats_that_are_read_are_listed(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        read_stack(tmp_path / "a.xyz")
    assert all(suffix in str(caught.value) for suffix in READERS)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
@pytest.mark.parametrize("content", [b"", b"nonsense that is no image at all"])
def test_damaged_files(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_stack(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"ome": True}, {"imagej": True}])
def test_files_cut_short(tmp_path, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.random.default_rng(0).integers(0, 9, (20, 64, 64), np.uint8), **options
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError):
        read_stack(path).plane(19)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="check the path"):
        read_stack(tmp_path / "no.tif")
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        read_stack(tmp_path / "d.tif")
    with pytest.raises(InputError, match="holds no label images"):
        read_labels(tmp_path / "d.tif")


def test_levels_of_a_pyramid(tmp_path):
    data = numbered(3, 64, 48)
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as tif:
        sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
        common = {"tile": (16, 16), "photometric": "minisblack"}
        tif.write(data, subifds=1, metadata=sizes, **common)
        tif.write(data[:, ::2, ::2], subfiletype=1, **common)
    fine, coarse = (read_stack(tmp_path / "p.ome.tif", level=level) for level in (0, 1))
    np.testing.assert_array_equal(fine.plane(2), data[2])
    np.testing.assert_array_equal(coarse.plane(2), data[2, ::2, ::2])
    assert fine.info.spacing == (2, 0.5, 0.5)
    assert coarse.info.spacing == (2, 1, 1)
    with pytest.raises(InputError, match="no level 2; it has 2"):
        read_stack(tmp_path / "p.ome.tif", level=2)
    levels = open_path(tmp_path / "p.ome.tif").pyramid
    for level, step in zip(levels, (1, 2), strict=True):
        np.testing.assert_array_equal(level[2], data[2, ::step, ::step])


@pytest.mark.parametrize(("told", "size"), [("|MPP = 0.4990|AppMag = 20", 0.499), ("", 1.0)])
def test_a_whole_slide(tmp_path, told, size):
    """As scanners of Aperio write it: the levels one page after the other, a small look between them."""
    data = np.random.default_rng(0).integers(0, 255, (256, 192, 3), np.uint8)
    common = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    header = "Aperio Image Library v11.2.1\r\n256x192 [0,0 192x256] (64x64)"
    with tifffile.TiffWriter(tmp_path / "slide.svs") as tif:
        tif.write(data, description=header + told, **common)
        tif.write(data[::8, ::8].copy(), description=header, photometric="rgb", metadata=None)
        tif.write(data[::4, ::4].copy(), description=header, **common)
    opened = open_path(tmp_path / "slide.svs")
    assert [level.shape for level in opened.pyramid] == [(256, 192, 3), (64, 48, 3)]
    fine, coarse = (read_stack(tmp_path / "slide.svs", level=level) for level in (0, 1))
    np.testing.assert_array_equal(fine.plane(0), data)
    np.testing.assert_array_equal(coarse.plane(0), data[::4, ::4])
    assert fine.info.spacing[1:] == (size, size)
    assert coarse.info.spacing[1:] == (4 * size, 4 * size)
    assert fine.info.units[1:] == (("um", "um") if told else ("pixel", "pixel"))
    assert fine.info.origin.format == "tiff"


def test_planes_in_several_ome_files(tmp_path):
    data, ids = numbered(2, 5, 4), ("urn:uuid:0", "urn:uuid:1")
    places = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="z{z}.ome.tif">{ids[z]}</UUID>'
        "</TiffData>"
        for z in range(2)
    )
    for z in range(2):
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{ids[z]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint16" SizeX="4" SizeY="5" SizeZ="2" SizeC="1" SizeT="1" PhysicalSizeZ="2.5">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{places}</Pixels></Image></OME>'
        )
        options = {"description": text.encode(), "metadata": None, "photometric": "minisblack"}
        tifffile.imwrite(tmp_path / f"z{z}.ome.tif", data[z], **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack = read_stack(tmp_path / "z0.ome.tif")
        assert (stack.info.shape, stack.info.spacing[0], stack.note) == ((2, 5, 4), 2.5, "")
        for z in (1, 0, 1):
            np.testing.assert_array_equal(stack.plane(z), data[z])
        (tmp_path / "z1.ome.tif").unlink()
        alone = read_stack(tmp_path / "z0.ome.tif")
        np.testing.assert_array_equal(alone.plane(0), data[0])
        assert alone.note.startswith("1 of 2 planes of z0.ome.tif are in files that are not there")
